//! `imgbuild explain`.

use std::io::Write;

use super::Context;
use super::error::CliError;
use super::exit;
use crate::build::codes::{self, Page};

/// Width of the text.
const WIDTH: usize = 80;

/// Explain a code of a check, or list all codes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The code, such as KMOD009; without one, all are listed
    code: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let Some(code) = self.code else {
            let pages = codes::pages();
            return context.print(&pages, |out| pages.iter().try_for_each(|page| line(out, page)));
        };
        match codes::find(&code) {
            Ok(page) => context.print(&page, |out| show(out, &page)),
            Err(near) => Err(CliError::new(exit::USAGE, unknown(&code, &near))),
        }
    }
}

fn unknown(code: &str, near: &[&str]) -> String {
    let hint = match near {
        [] => "`imgbuild explain` lists all".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    format!("error: there is no code `{code}`; {hint}")
}

fn line(out: &mut dyn Write, page: &Page) -> std::io::Result<()> {
    writeln!(out, "{}  {:<7}  {}", page.code, page.severity, page.title)
}

fn show(out: &mut dyn Write, page: &Page) -> std::io::Result<()> {
    writeln!(out, "{}: {} ({})\n", page.code, page.title, page.severity)?;
    writeln!(out, "{}\n", wrap(page.paragraph))?;
    writeln!(out, "{}", wrap(&format!("Fix: {}.", page.fix)))
}

/// Breaks lines between words.
pub(super) fn wrap(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        let text = wrap(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(wrap("short"), "short");
    }

    #[test]
    fn an_unknown_code_is_told_with_its_neighbours() {
        assert_eq!(unknown("KMD008", &["KMOD008"]), "error: there is no code `KMD008`; did you mean KMOD008?");
        assert_eq!(unknown("x", &[]), "error: there is no code `x`; `imgbuild explain` lists all");
    }
}
