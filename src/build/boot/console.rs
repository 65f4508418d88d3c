//! What a serial console shows, as lines of text.

use std::collections::VecDeque;

/// So many lines are kept for the message when a boot fails.
const KEPT: usize = 30;

/// Longest line that is looked at; what is behind it is left out.
const MAX_LINE: usize = 4096;

/// Turns a console's bytes into lines: terminal control is taken out, and moving the cursor to another place, by
/// which firmware draws its menus, begins a new line.
#[derive(Debug, Default)]
pub(super) struct Console {
    state: State,
    line: Vec<u8>,
    /// The last lines that were not empty.
    kept: VecDeque<String>,
}

/// Where in a control sequence (ECMA-48) the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// `ESC [`: parameters until a byte from `@` on.
    Control,
    /// `ESC ]` and others: text until BEL or ESC.
    Text2,
    /// `ESC (`: one more byte.
    One,
}

impl Console {
    /// Takes bytes and hands every line that ended with them to `on_line`.
    pub(super) fn feed(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        for &byte in bytes {
            if self.step(byte) {
                self.end_line(on_line);
            }
        }
    }

    /// The line that has not ended yet, such as a prompt.
    pub(super) fn open_line(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    /// The last lines, the open one included.
    pub(super) fn tail(mut self) -> Vec<String> {
        self.end_line(&mut |_| {});
        self.kept.into()
    }

    /// Whether a line ended.
    fn step(&mut self, byte: u8) -> bool {
        let (state, ended) = match (self.state, byte) {
            (State::Text, 0x1b) => (State::Escape, false),
            (State::Text, b'\n') => (State::Text, true),
            (State::Text, byte) => {
                if (byte >= 0x20 || byte == b'\t') && byte != 0x7f && self.line.len() < MAX_LINE {
                    self.line.push(byte);
                }
                (State::Text, false)
            }
            (State::Escape, b'[') => (State::Control, false),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => (State::Text2, false),
            (State::Escape, b'(' | b')' | b'#' | b'%') => (State::One, false),
            (State::Control, b'H' | b'f') => (State::Text, !self.line.is_empty()),
            (State::Control, byte) if !(0x40..=0x7e).contains(&byte) => (State::Control, false),
            (State::Text2, 0x1b) => (State::One, false),
            (State::Text2, byte) if byte != 0x07 => (State::Text2, false),
            (State::Escape | State::Control | State::Text2 | State::One, _) => (State::Text, false),
        };
        self.state = state;
        ended
    }

    fn end_line(&mut self, on_line: &mut dyn FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        if line.trim().is_empty() {
            return;
        }
        on_line(&line);
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let (mut console, mut lines) = (Console::default(), Vec::new());
        for piece in pieces {
            console.feed(piece, &mut |line| lines.push(line.to_owned()));
        }
        (lines, console.open_line())
    }

    #[test]
    fn control_sequences_are_taken_out_wherever_they_are_cut() {
        let firmware = b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[0m\x1b[37mBdsDxe: loading\r\n\x1b[05;10HBoot in 5 s.\x1b[06;10HBoot in 4 s.";
        let expected = (vec!["BdsDxe: loading".to_owned(), "Boot in 5 s.".to_owned()], "Boot in 4 s.".to_owned());
        assert_eq!(lines(&[firmware]), expected);
        let pieces: Vec<&[u8]> = firmware.chunks(1).collect();
        assert_eq!(lines(&pieces), expected);
    }

    #[test]
    fn a_prompt_is_an_open_line_and_colours_are_gone() {
        let (done, open) = lines(&[b"[\x1b[0;32m  OK  \x1b[0m] Reached\x1b]0;title\x07.\r\n\n \r\n\x1b(Bedge login: "]);
        assert_eq!(done, ["[  OK  ] Reached."]);
        assert_eq!(open, "edge login: ");
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut console = Console::default();
        let text: String = (0..40).map(|number| format!("{number}\n")).collect();
        console.feed(text.as_bytes(), &mut |_| {});
        console.feed(b"end", &mut |_| {});
        let tail = console.tail();
        assert_eq!((tail.len(), &*tail[0], &*tail[29]), (30, "11", "end"));
    }
}
