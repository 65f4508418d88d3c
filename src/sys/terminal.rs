//! Asking the person at the terminal for something that must not be seen.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

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

fn read_line(terminal: &File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    for byte in terminal.take(LIMIT as u64).bytes() {
        match byte? {
            b'\n' | b'\r' | END => return Ok(line),
            INTERRUPT => return Err(io::ErrorKind::Interrupted.into()),
            byte if BACKSPACE.contains(&byte) => {
                line.pop();
            }
            byte => line.push(byte),
        }
    }
    Err(io::Error::other("the answer is too long"))
}
