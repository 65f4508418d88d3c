//! Percent-encoding, as apt writes and reads it in URIs and file names.

/// Decodes `%XX`; anything else stays. `None` when the result is not text.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if let Some(code) = code {
            bytes.push(code);
            &after[2..]
        } else {
            bytes.push(b'%');
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// Encodes everything in a path that RFC 3986 does not leave alone everywhere; `/` stays.
pub(super) fn encode_path(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut text, byte| {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_apt_writes() {
        for (text, decoded) in [
            ("1%3a2.75-10+deb13u1", Some("1:2.75-10+deb13u1")),
            ("a%2bb%7e", Some("a+b~")),
            ("100%", Some("100%")),
            ("%zz%4", Some("%zz%4")),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn encoding_round_trips() {
        let path = "pool/main/x/x_1:2+b1~é %.deb";
        let encoded = encode_path(path);
        assert_eq!(encoded, "pool/main/x/x_1%3a2%2bb1%7e%c3%a9%20%25.deb");
        assert_eq!(decode(&encoded).as_deref(), Some(path));
    }
}
