//! Two lists of revocation generations as one.
//!
//! shim refuses programs by these generations. A unified image has two programs in it, the stub and the kernel, and
//! each brings its own list; both hold for the whole.

/// The lines of the stub's list, then those of the kernel's that are not a repetition of its first line.
pub(super) fn merged(stub: &[u8], kernel: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = lines(stub).collect();
    for line in self::lines(kernel).filter(|line| !line.starts_with(b"sbat,")) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.into_iter().flat_map(|line| [line, b"\n"].concat()).collect()
}

/// Up to the first zero, which fills up a section.
fn lines(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = list.iter().position(|byte| *byte == 0).unwrap_or(list.len());
    list[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn generations_of_both_are_kept_once() {
        let stub = b"sbat,1,SBAT Version\nsystemd-stub,1,systemd\n\0\0";
        let kernel = b"sbat,1,SBAT Version\nlinux,1,Linux\nsystemd-stub,1,systemd";
        assert_eq!(merged(stub, kernel), b"sbat,1,SBAT Version\nsystemd-stub,1,systemd\nlinux,1,Linux\n");
        assert_eq!(merged(stub, b""), b"sbat,1,SBAT Version\nsystemd-stub,1,systemd\n");
    }
}
