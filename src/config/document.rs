//! A parsed TOML file whose keys and values know their place.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{ConfigErrorKind, Finding};
use super::shape::Shape;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    text: &'t str,
    root: Spanned<DeValue<'t>>,
}

impl<'t> Document<'t> {
    /// Parses a file; the findings are its syntax errors.
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<Finding>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            let span = table.span();
            return Ok(Self { text, root: Spanned::new(span, DeValue::Table(table.into_inner())) });
        }
        // What follows the first error in a file is mostly its echo.
        Err(errors.into_iter().take(1).map(|error| syntax(text, &error)).collect())
    }

    /// The whole file; without a shape while it is not known which one the file should have.
    pub(super) fn root<'a>(&'a self, shape: Option<&'a Shape>) -> Node<'a> {
        Node { text: self.text, value: &self.root, shape, is_root: true }
    }

    /// The file as its type.
    pub(super) fn into_typed<T: DeserializeOwned>(self, findings: &mut Vec<Finding>) -> Option<T> {
        let text = self.text;
        let not_typed = |error: toml::de::Error| {
            let kind = ConfigErrorKind::BadValue { reason: error.message().to_owned() };
            findings.push(Finding::at(error.span().unwrap_or(0..text.len().min(1)), kind));
        };
        T::deserialize(ValueDeserializer::from(self.root)).map_err(not_typed).ok()
    }
}

/// The first line that says something; the first of all where none does.
fn first_line(text: &str) -> Range<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let words = line.trim();
        if !words.is_empty() && !words.starts_with('#') {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    0..text.lines().next().map_or(0, str::len)
}

fn syntax(text: &str, error: &toml::de::Error) -> Finding {
    let mut span = error.span().unwrap_or(0..0);
    // An error at the end of a line points between two lines: show the last character before it.
    if span.is_empty() && span.start > 0 && matches!(text.as_bytes().get(span.start), None | Some(b'\n')) {
        let before = text[..span.start].chars().next_back().map_or(0, char::len_utf8);
        span = span.start - before..span.start;
    }
    Finding::at(span, ConfigErrorKind::Syntax { reason: error.message().to_owned() })
}

/// One value of a file, with what its place allows.
///
/// Reading is forgiving: a value of another type reads as absent, because the
/// shape's own check has reported it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    text: &'a str,
    value: &'a Spanned<DeValue<'a>>,
    shape: Option<&'a Shape>,
    is_root: bool,
}

impl<'a> Node<'a> {
    fn child(&self, value: &'a Spanned<DeValue<'a>>, shape: Option<&'a Shape>) -> Self {
        Self { text: self.text, value, shape, is_root: false }
    }

    /// The bytes it takes up in the file.
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Its first line: what to underline when something is missing inside it.
    pub(super) fn head(&self) -> Range<usize> {
        if self.is_root {
            return first_line(self.text);
        }
        let span = self.span();
        let length = self.text[span.clone()].find('\n').unwrap_or(span.len());
        span.start..span.start + length
    }

    /// Exactly as written, quotes included.
    pub(super) fn raw(&self) -> &'a str {
        &self.text[self.span()]
    }

    /// The value below a key of a table.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        debug_assert!(
            self.shape.is_none_or(|shape| shape.below(key).is_some()),
            "a rule asks for `{key}`, which no type has"
        );
        let value = self.value.get_ref().as_table()?.get(key)?;
        Some(self.child(value, self.shape.and_then(|shape| shape.below(key))))
    }

    /// Whether the table has the key, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Place of a key itself.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.value.get_ref().as_table()?.get_key_value(key).map(|(key, _)| key.span())
    }

    /// Text below a key.
    pub(super) fn text_of(&self, key: &str) -> Option<(&'a str, Self)> {
        let node = self.get(key)?;
        Some((node.text()?, node))
    }

    /// The items of the array below a key; nothing when there is none.
    pub(super) fn items_of(&self, key: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.get(key).and_then(|node| node.items()).into_iter().flatten()
    }

    /// The texts of the array below a key.
    pub(super) fn texts_of(&self, key: &str) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        self.items_of(key).filter_map(|node| Some((node.text()?, node)))
    }

    /// The entries of the table below a key; nothing when there is none.
    pub(super) fn entries_of(&self, key: &str) -> impl Iterator<Item = (&'a str, Range<usize>, Self)> + use<'a> {
        self.get(key).and_then(|node| node.entries()).into_iter().flatten()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    pub(super) fn items(&self) -> Option<impl Iterator<Item = Self> + use<'a>> {
        let node = *self;
        let shape = node.shape.and_then(Shape::item);
        Some(self.value.get_ref().as_array()?.iter().map(move |value| node.child(value, shape)))
    }

    /// Key, place of the key, value.
    pub(super) fn entries(&self) -> Option<impl Iterator<Item = (&'a str, Range<usize>, Self)> + use<'a>> {
        let node = *self;
        Some(self.value.get_ref().as_table()?.iter().map(move |(key, value)| {
            let name: &str = key.get_ref();
            (name, key.span(), node.child(value, node.shape.and_then(|shape| shape.below(name))))
        }))
    }

    /// A string, number, boolean or time.
    pub(super) fn is_scalar(&self) -> bool {
        !self.value.get_ref().is_array() && !self.value.get_ref().is_table()
    }

    /// The type in words.
    pub(super) fn type_name(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }
}
