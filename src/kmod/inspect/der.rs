//! A reader for DER: tag, length, content, over borrowed bytes.
//!
//! After X.690. Only what signatures of modules use: tags of one byte, lengths of at most four.

/// Tag of a sequence.
pub(super) const SEQUENCE: u8 = 0x30;
/// Tag of a set.
pub(super) const SET: u8 = 0x31;
/// Tag of an integer.
pub(super) const INTEGER: u8 = 0x02;
/// Tag of a bit string.
pub(super) const BIT_STRING: u8 = 0x03;
/// Tag of a byte string.
pub(super) const OCTET_STRING: u8 = 0x04;
/// Tag of an object identifier.
pub(super) const OID: u8 = 0x06;

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

/// Values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next value; `None` at the end and when the bytes are no DER.
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let [tag, first, after @ ..] = self.rest else { return None };
        let (length, header) = if *first < 0x80 {
            (usize::from(*first), 2)
        } else {
            let count = usize::from(first & 0x7f);
            let digits = after.get(..count).filter(|_| (1..=4).contains(&count))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), 2 + count)
        };
        let whole = self.rest.get(..header.checked_add(length)?)?;
        self.rest = &self.rest[whole.len()..];
        Some(Value { tag: *tag, content: &whole[header..], whole })
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// The next value when it has this tag; otherwise nothing is taken.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        if self.rest.first() == Some(&tag) { self.next() } else { None }
    }

    /// What stands inside the next value, which must have this tag.
    pub(super) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(|value| Self::new(value.content))
    }
}
