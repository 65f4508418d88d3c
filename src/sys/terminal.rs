//! Asking the person at the terminal for something that must not be seen.

use std::fs::File;
use std::io::{self, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// No passphrase is longer.
const LIMIT: usize = 4096;

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: [u8; 2] = [8, 127];

/// The terminal as it was, put back when dropped.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    /// No echo, and bytes as they are typed: a signal in the middle would leave the terminal silent for ever.
    fn new(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.terminal, OptionalActions::Flush, &self.before) {
            tracing::debug!(%error, "putting the terminal back");
        }
    }
}

/// Asks on the terminal of this process, wherever standard input and output go, and shows nothing of the answer.
///
/// # Errors
/// When there is no terminal; [`io::ErrorKind::Interrupted`] after Ctrl-C.
pub fn read_secret(prompt: &str) -> io::Result<Vec<u8>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let mut out = &terminal;
    out.write_all(prompt.as_bytes())?;
    let answer = {
        let _quiet = Quiet::new(&terminal)?;
        read_line(&terminal)
    };
    out.write_all(b"\n")?;
    answer
}

/// A byte at a time: what is typed after the line is somebody else's.
fn read_line(mut terminal: impl io::Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LIMIT {
        let count = match terminal.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        match byte[0] {
            b'\n' | b'\r' | END => return Ok(line),
            _ if count == 0 => return Ok(line),
            INTERRUPT => return Err(io::ErrorKind::Interrupted.into()),
            typed if BACKSPACE.contains(&typed) => {
                line.pop();
            }
            typed => line.push(typed),
        }
    }
    Err(io::Error::other("the answer is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_it_was_ended() {
        for (typed, expected) in [
            (&b"secret\nmore"[..], Ok("secret")),
            (b"secret\r", Ok("secret")),
            (b"secretx\x7f\n", Ok("secret")),
            (b"\x08\x08s\n", Ok("s")),
            (b"\n", Ok("")),
            (b"secret", Ok("secret")),
            (b"sec\x04ret\n", Ok("sec")),
            (b"sec\x03ret\n", Err(io::ErrorKind::Interrupted)),
        ] {
            let found = read_line(typed).map_err(|error| error.kind());
            assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{typed:?}");
        }
        assert!(read_line(&vec![b'x'; LIMIT + 1][..]).is_err());
    }
}
