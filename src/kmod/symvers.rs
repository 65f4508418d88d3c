//! `Module.symvers`: every symbol a kernel and its modules export, with its checksum.
//!
//! Written by the kernel build; header packages carry it under that name, RPM kernels also as
//! `/usr/lib/modules/KVER/symvers.{gz,xz,zst}`. One line per symbol: checksum, name, module (`vmlinux` for the
//! kernel itself), kind of export and namespace, with tabs between.

use std::collections::BTreeMap;

use super::inspect::{Export, InspectError, decompress_up_to};

/// Largest list accepted, decompressed. The largest of a distribution has about 5 MB.
const MAX_TEXT: u64 = 64 << 20;
/// Longest line: a symbol's name has at most 511 bytes, a module's path at most 4095.
const MAX_LINE: usize = 8 << 10;
/// Most symbols in a list.
const MAX_SYMBOLS: usize = 1 << 20;

/// Name of the kernel itself in the list.
const KERNEL: &str = "vmlinux";

/// What is wrong with a list of symbols.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SymversError {
    /// The file is damaged or too large.
    #[error(transparent)]
    Compression(#[from] InspectError),
    /// A line is not one of such a list.
    #[error("line {line} is not `checksum, symbol, module, export`: `{text}`")]
    Line { line: usize, text: String },
    /// No such list is that long.
    #[error("more than {limit} symbols")]
    TooMany { limit: usize },
    /// A list without symbols would prove nothing.
    #[error("the list of symbols is empty")]
    Empty,
}

/// The symbols of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symvers {
    symbols: BTreeMap<String, Exported>,
}

/// One symbol and who exports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The module it is in, by its path in the kernel's build; `None` for the kernel itself.
    pub module: Option<String>,
    /// The symbol.
    pub export: Export,
}

impl Symvers {
    /// Parses a list, compressed or not.
    ///
    /// # Errors
    /// When it cannot be decompressed, is larger than any kernel's, empty, or something else.
    pub fn parse(file: &[u8]) -> Result<Self, SymversError> {
        let (_, text) = decompress_up_to(file, MAX_TEXT)?;
        let mut symbols = BTreeMap::new();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            if symbols.len() == MAX_SYMBOLS {
                return Err(SymversError::TooMany { limit: MAX_SYMBOLS });
            }
            let exported = parse_line(line).ok_or_else(|| not_a_line(index + 1, line))?;
            // The first one counts, as for the kernel's own build.
            symbols.entry(exported.export.name.clone()).or_insert(exported);
        }
        if symbols.is_empty() { Err(SymversError::Empty) } else { Ok(Self { symbols }) }
    }

    /// The symbol of this name.
    pub fn get(&self, name: &str) -> Option<&Exported> {
        self.symbols.get(name)
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none: never so for a parsed list.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }
}

fn not_a_line(line: usize, text: &[u8]) -> SymversError {
    let shown = String::from_utf8_lossy(text.get(..80).unwrap_or(text)).into_owned();
    SymversError::Line { line, text: shown }
}

fn parse_line(line: &[u8]) -> Option<Exported> {
    let line = std::str::from_utf8(line).ok().filter(|line| line.len() <= MAX_LINE)?;
    let mut fields = line.split('\t');
    let crc = u32::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let module = fields.next().filter(|module| !module.is_empty())?;
    let gpl_only = match fields.next()?.trim_end() {
        "EXPORT_SYMBOL" => false,
        "EXPORT_SYMBOL_GPL" => true,
        _ => return None,
    };
    let namespace = fields.next().map(str::trim_end).filter(|namespace| !namespace.is_empty()).map(str::to_owned);
    let module = (module != KERNEL).then(|| module.to_owned());
    Some(Exported { module, export: Export { name, gpl_only, namespace, crc: Some(crc) } })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LIST: &str = "0xf7370f56\tsystem_state\tvmlinux\tEXPORT_SYMBOL\t\n\
                        0x00000000\tcrypto_register\tcrypto/crypto\tEXPORT_SYMBOL_GPL\tCRYPTO\n\
                        0xbea5ff1e\told_style\tvmlinux\tEXPORT_SYMBOL\n";

    fn exported(module: Option<&str>, name: &str, gpl_only: bool, namespace: Option<&str>, crc: u32) -> Exported {
        let export = Export { name: name.into(), gpl_only, namespace: namespace.map(Into::into), crc: Some(crc) };
        Exported { module: module.map(Into::into), export }
    }

    #[test]
    fn every_field_is_read_however_the_list_is_compressed() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(LIST.as_bytes()).unwrap();
        for file in [LIST.as_bytes().to_vec(), gzip.finish().unwrap(), zstd::encode_all(LIST.as_bytes(), 1).unwrap()] {
            let symvers = Symvers::parse(&file).unwrap();
            assert_eq!(symvers.len(), 3);
            assert_eq!(symvers.get("system_state"), Some(&exported(None, "system_state", false, None, 0xf737_0f56)));
            let crypto = exported(Some("crypto/crypto"), "crypto_register", true, Some("CRYPTO"), 0);
            assert_eq!(symvers.get("crypto_register"), Some(&crypto));
            assert_eq!(symvers.get("old_style"), Some(&exported(None, "old_style", false, None, 0xbea5_ff1e)));
            assert_eq!(symvers.get("no_such"), None);
        }
    }

    #[test]
    fn other_files_are_refused() {
        let long = format!("0x1\t{}\tvmlinux\tEXPORT_SYMBOL\t\n", "a".repeat(MAX_LINE));
        for (text, expected) in [
            ("", "the list of symbols is empty"),
            ("\n\n", "the list of symbols is empty"),
            ("ffffffff81000000 T _text\n", "line 1 is not"),
            ("0x1\ta\tvmlinux\tEXPORT_SYMBOL\n0x2\tb\tvmlinux\tEXPORT_UNUSED\n", "line 2 is not"),
            ("0x100000000\ta\tvmlinux\tEXPORT_SYMBOL\n", "line 1 is not"),
            ("0x1\t\tvmlinux\tEXPORT_SYMBOL\n", "line 1 is not"),
            (&long, "line 1 is not"),
            ("\x1f\u{8b}", "line 1 is not"),
        ] {
            let error = Symvers::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error} instead of {expected}");
            assert!(error.len() < 200, "{error}");
        }
    }
}
