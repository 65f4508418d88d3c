//! Metadata of RPM repositories, as createrepo_c writes it: `repomd.xml` and `primary.xml`.
//!
//! Read by imgbuild itself, because it holds what dnf does not print: the
//! checksum and the place of each package file. `primary.xml` of a large
//! distribution has hundreds of megabytes, so it is read as a stream and only
//! what the caller keeps is kept.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// A package on offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RpmPackage {
    /// Name.
    pub name: String,
    /// `[epoch:]version-release`; no epoch when it is 0.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the package file, in lower-case hexadecimal.
    pub sha256: String,
    /// Size of the package file in bytes.
    pub size: u64,
    /// Where the file is, below the repository's address.
    pub location: String,
    /// The address that `location` is below, when it is another one than the repository's.
    pub base: Option<String>,
    /// When it was built, in seconds since 1970, where the metadata tells.
    pub built: Option<i64>,
    /// What it provides, each as `name` or `name = version`.
    pub provides: Vec<String>,
}

/// Metadata that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum RepodataError {
    /// Not well-formed, or damaged on the way.
    #[error("the metadata is not readable XML near byte {offset}: {source}")]
    Xml { offset: u64, source: quick_xml::Error },
    /// The compression cannot be read.
    #[error("the metadata file `{name}` is compressed in an unknown way")]
    Compression { name: String },
    /// The data cannot be decompressed.
    #[error("the metadata file `{name}` cannot be decompressed")]
    Decompress { name: String, source: io::Error },
    /// The repository has no list of packages.
    #[error("repomd.xml names no primary metadata")]
    NoPrimary,
    /// A package without something that every package has.
    #[error("package `{package}` has no {what} in the metadata")]
    Missing { package: String, what: &'static str },
    /// Some other file: a login page of the network, for example.
    #[error("the file is no list of packages")]
    NotPrimary,
    /// Fewer or more packages than the file says it has.
    #[error("the metadata lists {found} packages and should list {expected}")]
    Count { expected: u64, found: u64 },
    /// A checksum that does not identify a file today.
    #[error("package `{package}` is identified by {algorithm}; only sha256 is accepted")]
    Checksum { package: String, algorithm: String },
    /// A number that is none.
    #[error("package `{package}`: {what} `{value}` is not a number")]
    Number { package: String, what: &'static str, value: String },
}

/// Finds the place of `primary.xml` in a `repomd.xml`: a path below the repository's address.
///
/// dnf keeps the file under its last component.
///
/// # Errors
/// When the file is damaged or names no such place.
pub fn parse_repomd(repomd: &[u8]) -> Result<String, RepodataError> {
    let mut xml = Xml::new(repomd);
    let mut in_primary = false;
    loop {
        match xml.next()? {
            Item::Start(name, attributes) if name == "data" => {
                in_primary = attributes.iter().any(|(key, value)| key == "type" && value == "primary");
            }
            Item::Start(name, attributes) if in_primary && name == "location" => {
                return attribute(&attributes, "href").map(str::to_owned).ok_or(RepodataError::NoPrimary);
            }
            Item::Eof => return Err(RepodataError::NoPrimary),
            _ => {}
        }
    }
}

/// Takes the compression off a metadata file, told by the end of its name.
///
/// # Errors
/// When the ending is unknown or the file does not begin as it should.
pub fn decompressed<'a>(name: &str, file: impl Read + 'a) -> Result<Box<dyn BufRead + 'a>, RepodataError> {
    let file = BufReader::new(file);
    let decompress = |source| RepodataError::Decompress { name: name.to_owned(), source };
    match name.rsplit('.').next() {
        Some("xml") => Ok(Box::new(file)),
        Some("gz") => Ok(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))),
        Some("xz") => Ok(Box::new(BufReader::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB)))),
        Some("zst") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(decompress)?;
            Ok(Box::new(BufReader::new(decoder)))
        }
        _ => Err(RepodataError::Compression { name: name.to_owned() }),
    }
}

/// What `xz -9` needs to decompress, and a little more.
const XZ_MEMORY_KIB: u32 = 96 << 10;

/// Reads the packages of a `primary.xml` for which `keep` holds, in the file's order.
///
/// # Errors
/// When the file is damaged, or a package lacks what every package has; the whole file is checked, also what is not kept.
pub fn parse_primary(
    primary: impl BufRead,
    mut keep: impl FnMut(&RpmPackage) -> bool,
) -> Result<Vec<RpmPackage>, RepodataError> {
    let mut xml = Xml::new(primary);
    let mut packages = Vec::new();
    let mut expected = None;
    let mut found = 0;
    loop {
        match xml.next()? {
            Item::Start(name, attributes) if name == "metadata" => {
                expected = attribute(&attributes, "packages").and_then(|count| count.parse().ok());
            }
            Item::Start(name, _) if name == "package" => {
                let package = read_package(&mut xml)?;
                found += 1;
                if keep(&package) {
                    packages.push(package);
                }
            }
            Item::Eof if expected == Some(found) => return Ok(packages),
            Item::Eof => {
                let expected = expected.ok_or(RepodataError::NotPrimary)?;
                return Err(RepodataError::Count { expected, found });
            }
            _ => {}
        }
    }
}

fn read_package(xml: &mut Xml<impl BufRead>) -> Result<RpmPackage, RepodataError> {
    let mut package = RpmPackage::default();
    let mut size = None;
    let mut in_provides = false;
    loop {
        match xml.next()? {
            Item::Start(name, attributes) => match name.as_str() {
                "name" => package.name = xml.text()?,
                "arch" => package.architecture = xml.text()?,
                "version" => package.version = evr(&attributes).unwrap_or_default(),
                "checksum" => package.sha256 = checksum(xml, &package.name, &attributes)?,
                "size" => size = attribute(&attributes, "package").map(str::to_owned),
                "location" => {
                    package.location = attribute(&attributes, "href").unwrap_or_default().to_owned();
                    package.base = attribute(&attributes, "base").map(str::to_owned);
                }
                "time" => package.built = attribute(&attributes, "build").and_then(|time| time.parse().ok()),
                "provides" => in_provides = true,
                "entry" if in_provides => package.provides.extend(capability(&attributes)),
                _ => {}
            },
            Item::End(name) if name == "provides" => in_provides = false,
            Item::End(name) if name == "package" => return complete(package, size),
            Item::Eof => return Err(RepodataError::Missing { package: package.name, what: "end" }),
            Item::End(_) => {}
        }
    }
}

fn checksum(
    xml: &mut Xml<impl BufRead>,
    package: &str,
    attributes: &[(String, String)],
) -> Result<String, RepodataError> {
    match attribute(attributes, "type") {
        Some("sha256") => xml.text(),
        other => {
            let algorithm = other.unwrap_or("nothing").to_owned();
            Err(RepodataError::Checksum { package: package.to_owned(), algorithm })
        }
    }
}

fn complete(mut package: RpmPackage, size: Option<String>) -> Result<RpmPackage, RepodataError> {
    let missing = [
        ("name", package.name.is_empty()),
        ("architecture", package.architecture.is_empty()),
        ("version", package.version.is_empty()),
        ("checksum", package.sha256.is_empty()),
        ("location", package.location.is_empty()),
        ("size", size.is_none()),
    ];
    if let Some((what, _)) = missing.iter().find(|(_, missing)| *missing) {
        return Err(RepodataError::Missing { package: package.name, what });
    }
    let value = size.unwrap_or_default();
    let number = value.parse();
    let package_name = package.name.clone();
    package.size = number.map_err(|_| RepodataError::Number { package: package_name, what: "size", value })?;
    Ok(package)
}

fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `[epoch:]version[-release]` of the three attributes.
fn evr(attributes: &[(String, String)]) -> Option<String> {
    let version = attribute(attributes, "ver")?;
    let epoch = attribute(attributes, "epoch").filter(|epoch| *epoch != "0").map(|epoch| format!("{epoch}:"));
    let release = attribute(attributes, "rel").map(|release| format!("-{release}"));
    Some(format!("{}{version}{}", epoch.unwrap_or_default(), release.unwrap_or_default()))
}

fn capability(attributes: &[(String, String)]) -> Option<String> {
    let name = attribute(attributes, "name")?;
    match (attribute(attributes, "flags"), evr(attributes)) {
        (Some("EQ"), Some(version)) => Some(format!("{name} = {version}")),
        _ => Some(name.to_owned()),
    }
}

/// The events of XML that metadata needs, with names without prefix and all text decoded.
enum Item {
    Start(String, Vec<(String, String)>),
    End(String),
    Eof,
}

struct Xml<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Xml<R> {
    fn new(source: R) -> Self {
        let mut reader = Reader::from_reader(source);
        // `<a/>` then needs no handling of its own.
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new() }
    }

    fn next(&mut self) -> Result<Item, RepodataError> {
        loop {
            self.buffer.clear();
            let offset = self.reader.buffer_position();
            let error = |source| RepodataError::Xml { offset, source };
            match self.reader.read_event_into(&mut self.buffer).map_err(error)? {
                Event::Start(start) => {
                    let name = start.local_name().as_ref().to_owned();
                    return Ok(Item::Start(name, attributes(&start).map_err(error)?));
                }
                Event::End(end) => return Ok(Item::End(end.local_name().as_ref().to_owned())),
                Event::Eof => return Ok(Item::Eof),
                _ => {}
            }
        }
    }

    /// The text up to the end of the element that was begun last.
    fn text(&mut self) -> Result<String, RepodataError> {
        let mut text = String::new();
        loop {
            self.buffer.clear();
            let offset = self.reader.buffer_position();
            let error = |source| RepodataError::Xml { offset, source };
            match self.reader.read_event_into(&mut self.buffer).map_err(error)? {
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(error)?;
                    let named = quick_xml::escape::resolve_predefined_entity(&reference.xml10_content());
                    text.extend(character);
                    text.push_str(named.unwrap_or_default());
                }
                Event::Start(_) | Event::End(_) | Event::Eof => return Ok(text.trim().to_owned()),
                _ => {}
            }
        }
    }
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, quick_xml::Error> {
    let pair = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        Ok((attribute.key.local_name().as_ref().to_owned(), value.into_owned()))
    };
    start.attributes().map(pair).collect()
}

#[cfg(test)]
mod tests;
