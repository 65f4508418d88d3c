//! Paragraphs of fields, as dpkg (deb-control(5)), Debian's copyright files and apk write them.
//!
//! Its own small reader, because it has to give the line of a fault in a database and go on after one in a copyright
//! file, and because values are borrowed: a status file is read once per layer.

use super::error::DatabaseError;

/// The fields of one paragraph, in their order.
#[derive(Debug, Default)]
pub(super) struct Paragraph<'a> {
    fields: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Paragraph<'a> {
    /// First line of a field's value, without surrounding white space; `None` when it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.lines(name)?.first().copied().map(str::trim).filter(|value| !value.is_empty())
    }

    /// All lines of a field's value; continued lines keep their leading white space.
    pub(super) fn lines(&self, name: &str) -> Option<&[&'a str]> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, lines)| lines.as_slice())
    }

    /// A field's value in one line.
    pub(super) fn joined(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.lines(name)?.iter().map(|line| line.trim()).collect();
        Some(lines.join(" ").trim().to_owned()).filter(|value| !value.is_empty())
    }
}

/// Reads all paragraphs.
///
/// # Errors
/// At the first line that is neither a field, nor the continuation of one, nor blank, nor a comment.
pub(super) fn parse_paragraphs(text: &str) -> Result<Vec<Paragraph<'_>>, DatabaseError> {
    let mut paragraphs = Vec::new();
    let mut open = Paragraph::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            paragraphs.extend(close(&mut open));
        } else if line.starts_with([' ', '\t']) {
            let (_, lines) = open.fields.last_mut().ok_or_else(|| not_a_field(number, line))?;
            lines.push(line);
        } else if !line.starts_with('#') {
            let (name, value) = line.split_once(':').ok_or_else(|| not_a_field(number, line))?;
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(not_a_field(number, line));
            }
            open.fields.push((name, vec![value]));
        }
    }
    paragraphs.extend(close(&mut open));
    Ok(paragraphs)
}

fn close<'a>(open: &mut Paragraph<'a>) -> Option<Paragraph<'a>> {
    let closed = std::mem::take(open);
    (!closed.fields.is_empty()).then_some(closed)
}

fn not_a_field(number: usize, line: &str) -> DatabaseError {
    DatabaseError::NotAField { line: number + 1, text: line.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_their_continuations() {
        let text = "Package: a\nDepends: b,\n c (>= 1)\n\n\n# comment\nPackage: d\nEmpty:\n";
        let paragraphs = parse_paragraphs(text).unwrap();
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("a"));
        assert_eq!(paragraphs[0].joined("Depends").as_deref(), Some("b, c (>= 1)"));
        assert_eq!((paragraphs[1].get("Package"), paragraphs[1].get("Empty")), (Some("d"), None));
        assert_eq!(paragraphs[1].joined("Depends"), None);
    }

    #[test]
    fn the_line_of_a_fault_is_named() {
        for (text, line) in [("Package: a\nnonsense\n", 2), (" continued\n", 1), (": x\n", 1), ("two words: x", 1)] {
            let error = parse_paragraphs(text).unwrap_err();
            assert!(matches!(error, DatabaseError::NotAField { line: found, .. } if found == line), "{text:?}");
        }
    }
}
