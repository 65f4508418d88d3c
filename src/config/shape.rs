//! What a file may hold, made once from its JSON schema, and the walk that holds a parsed file against it.
//!
//! serde stops at the first mistake; the walk goes on and reports all of them.
//! The keys come from the same types serde reads, by way of `schemars`, so
//! there is one place that says what a file may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::document::Node;
use super::error::{ConfigErrorKind, Finding};
use super::schema;
use crate::model::{
    AbsolutePath, ConnectionName, Digest, FileMode, GroupName, HostName, Hostname, ImageLocator, InterfacePattern,
    IpPrefix, Karg, KernelNumber, KernelPattern, KernelRelease, KmodSetName, MacAddress, ModuleName, PackageName,
    ProjectName, RepositoryName, Sha256Hex, TierName, UnitName, UserName,
};

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Record(BTreeMap<String, Field>),
    Map {
        key: Option<TextCheck>,
        value: Box<Shape>,
    },
    List(Box<Shape>),
    Choice {
        words: Vec<String>,
        tagged: BTreeMap<String, Shape>,
    },
    Text(Option<TextCheck>),
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    /// A table that another room reads.
    Opaque,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    shape: Shape,
    required: bool,
}

/// The rule of a checked type, in its own words when broken.
type TextCheck = fn(&str) -> Result<(), String>;

fn parses<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

fn is_locator(text: &str) -> Result<(), String> {
    ImageLocator::parse_upstream(text).map(drop).map_err(|error| error.to_string())
}

fn is_address(text: &str) -> Result<(), String> {
    text.parse::<IpAddr>()
        .map(drop)
        .map_err(|_| format!("`{text}` is not an address: use `192.0.2.1` or `2001:db8::1`"))
}

/// The checked types, by the name their schema has.
const TEXT_CHECKS: [(&str, TextCheck); 24] = [
    ("AbsolutePath", parses::<AbsolutePath>),
    ("ConnectionName", parses::<ConnectionName>),
    ("Digest", parses::<Digest>),
    ("FileMode", parses::<FileMode>),
    ("GroupName", parses::<GroupName>),
    ("HostName", parses::<HostName>),
    ("Hostname", parses::<Hostname>),
    ("ImageLocator", is_locator),
    ("InterfacePattern", parses::<InterfacePattern>),
    ("IpPrefix", parses::<IpPrefix>),
    ("Karg", parses::<Karg>),
    ("KernelNumber", parses::<KernelNumber>),
    ("KernelPattern", parses::<KernelPattern>),
    ("KernelRelease", parses::<KernelRelease>),
    ("KmodSetName", parses::<KmodSetName>),
    ("MacAddress", parses::<MacAddress>),
    ("ModuleName", parses::<ModuleName>),
    ("PackageName", parses::<PackageName>),
    ("ProjectName", parses::<ProjectName>),
    ("RepositoryName", parses::<RepositoryName>),
    ("Sha256Hex", parses::<Sha256Hex>),
    ("TierName", parses::<TierName>),
    ("UnitName", parses::<UnitName>),
    ("UserName", parses::<UserName>),
];

fn text_check(name: &str) -> Option<TextCheck> {
    TEXT_CHECKS.iter().find(|(known, _)| *known == name).map(|&(_, check)| check)
}

/// A schema that cannot be turned into a shape: a mistake in this program, found by its tests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema at `{at}` has no shape: {schema}")]
pub(super) struct ShapeError {
    at: String,
    schema: String,
}

impl Shape {
    /// The shape of the files read as `T`.
    pub(super) fn of<T: JsonSchema>() -> Result<Self, ShapeError> {
        let schema = schema::of::<T>().to_value();
        let empty = Value::Null;
        Compiler { definitions: schema.get("$defs").unwrap_or(&empty) }.shape(&schema, "")
    }
}

/// Turns a JSON schema as `schemars` writes it into a [`Shape`].
struct Compiler<'a> {
    definitions: &'a Value,
}

impl Compiler<'_> {
    fn shape(&self, schema: &Value, at: &str) -> Result<Shape, ShapeError> {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return match text_check(name) {
                Some(check) => Ok(Shape::Text(Some(check))),
                None => self.shape(&self.definitions[name], name),
            };
        }
        if let Some(options) = schema["oneOf"].as_array() {
            return self.choice(options, at);
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, at),
            Some("array") => Ok(Shape::List(Box::new(self.shape(&schema["items"], at)?))),
            Some("boolean") => Ok(Shape::Boolean),
            Some("integer") => Ok(Shape::Integer {
                min: schema["minimum"].as_i64().unwrap_or(i64::MIN),
                max: schema["maximum"].as_i64().unwrap_or(integer_max(&schema["format"])),
            }),
            Some("string") if schema["format"] == "ip" => Ok(Shape::Text(Some(is_address))),
            // A pattern of a type that is not in the table would be checked by nobody.
            Some("string") if schema.get("pattern").is_none() => Ok(Shape::Text(None)),
            _ => Err(ShapeError { at: at.to_owned(), schema: schema.to_string() }),
        }
    }

    fn object(&self, schema: &Value, at: &str) -> Result<Shape, ShapeError> {
        if let Some(properties) = schema["properties"].as_object() {
            let required: BTreeSet<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let field = |(key, schema): (&String, &Value)| {
                let shape = self.shape(schema, &format!("{at}.{key}"))?;
                Ok((key.clone(), Field { shape, required: required.contains(key.as_str()) }))
            };
            return properties.iter().map(field).collect::<Result<_, _>>().map(Shape::Record);
        }
        if let Some((pattern, value)) = schema["patternProperties"].as_object().and_then(|map| map.iter().next()) {
            let key =
                Some(key_check(pattern).ok_or_else(|| ShapeError { at: at.to_owned(), schema: pattern.clone() })?);
            return Ok(Shape::Map { key, value: Box::new(self.shape(value, at)?) });
        }
        if schema["additionalProperties"] == Value::Bool(true) {
            return Ok(Shape::Opaque);
        }
        Ok(Shape::Map { key: None, value: Box::new(self.shape(&schema["additionalProperties"], at)?) })
    }

    fn choice(&self, options: &[Value], at: &str) -> Result<Shape, ShapeError> {
        let (mut words, mut tagged) = (Vec::new(), BTreeMap::new());
        for option in options {
            match (option["const"].as_str(), option["enum"].as_array(), option["properties"].as_object()) {
                (Some(word), _, _) => words.push(word.to_owned()),
                (_, Some(several), _) => words.extend(several.iter().filter_map(Value::as_str).map(str::to_owned)),
                (_, _, Some(properties)) => {
                    for (tag, schema) in properties {
                        tagged.insert(tag.clone(), self.shape(schema, at)?);
                    }
                }
                _ => return Err(ShapeError { at: at.to_owned(), schema: option.to_string() }),
            }
        }
        Ok(Shape::Choice { words, tagged })
    }
}

fn integer_max(format: &Value) -> i64 {
    match format.as_str() {
        Some("uint8") => i64::from(u8::MAX),
        Some("uint16") => i64::from(u16::MAX),
        Some("uint32") => i64::from(u32::MAX),
        _ => i64::MAX,
    }
}

/// Map keys are known by their pattern only; types that share it share the rule.
fn key_check(pattern: &str) -> Option<TextCheck> {
    fn pattern_of<T: JsonSchema>() -> String {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        schema.get("pattern").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
    [
        (pattern_of::<ConnectionName>(), parses::<ConnectionName> as TextCheck),
        (pattern_of::<UserName>(), parses::<UserName>),
        (pattern_of::<ModuleName>(), parses::<ModuleName>),
    ]
    .into_iter()
    .find_map(|(known, check)| (known == pattern).then_some(check))
}

impl Shape {
    /// Reports everything about `node` that this shape does not allow.
    pub(super) fn check(&self, node: Node<'_>, findings: &mut Vec<Finding>) {
        match self {
            Self::Record(fields) => check_record(fields, node, findings),
            Self::Map { key, value } => check_map(*key, value, node, findings),
            Self::List(items) => match node.items() {
                Some(nodes) => nodes.for_each(|node| items.check(node, findings)),
                None => findings.push(wrong_type(node, "an array")),
            },
            Self::Choice { words, tagged } => check_choice(words, tagged, node, findings),
            Self::Text(check) => match (node.text(), check) {
                (None, _) => findings.push(wrong_type(node, "a string")),
                (Some(text), Some(check)) => findings.extend(check(text).err().map(|reason| bad_value(node, reason))),
                (Some(_), None) => {}
            },
            Self::Integer { min, max } => match node.integer() {
                None => findings.push(wrong_type(node, "an integer")),
                Some(value) if value < *min || value > *max => {
                    findings.push(bad_value(node, format!("{value} is not between {min} and {max}")));
                }
                Some(_) => {}
            },
            Self::Boolean if node.boolean().is_none() => findings.push(wrong_type(node, "`true` or `false`")),
            Self::Boolean => {}
            Self::Opaque if node.entries().is_none() => findings.push(wrong_type(node, "a table")),
            Self::Opaque => {}
        }
    }

    /// The keys of a record.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        let fields = match self {
            Self::Record(fields) => Some(fields),
            _ => None,
        };
        fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// The shape of a list's items.
    pub(super) fn item(&self) -> Option<&Self> {
        match self {
            Self::List(item) => Some(item),
            _ => None,
        }
    }

    /// The shape below a key, where it is known.
    pub(super) fn below(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Record(fields) => fields.get(key).map(|field| &field.shape),
            Self::Map { value, .. } => Some(value),
            Self::Choice { tagged, .. } => tagged.get(key),
            Self::List(_) | Self::Text(_) | Self::Integer { .. } | Self::Boolean | Self::Opaque => None,
        }
    }
}

fn bad_value(node: Node<'_>, reason: String) -> Finding {
    Finding::at(node.span(), ConfigErrorKind::BadValue { reason })
}

fn wrong_type(node: Node<'_>, expected: &str) -> Finding {
    let found = node.type_name();
    let finding =
        Finding::at(node.span(), ConfigErrorKind::WrongType { expected: expected.to_owned(), found: found.to_owned() });
    match expected {
        "a string" if node.is_scalar() => finding.help("write it in quotes"),
        "an array" if node.is_scalar() => finding.help("write it in brackets: `[…]`"),
        _ => finding.label(format!("this is {found}")),
    }
}

fn check_record(fields: &BTreeMap<String, Field>, node: Node<'_>, findings: &mut Vec<Finding>) {
    let Some(entries) = node.entries() else {
        findings.push(wrong_type(node, "a table"));
        return;
    };
    let mut meant = BTreeSet::new();
    for (key, span, value) in entries {
        let Some(field) = fields.get(key) else {
            let keys = fields.keys().map(String::as_str);
            meant.extend(nearest(key, keys.clone()));
            let help = nearest_or_all(key, keys, "keys here");
            findings.push(Finding::at(span, ConfigErrorKind::UnknownKey { key: key.to_owned() }).help(help));
            continue;
        };
        field.shape.check(value, findings);
    }
    // A required key that was mistyped is one mistake, not two.
    let missing = |(key, field): &(&String, &Field)| field.required && !node.has(key) && !meant.contains(key.as_str());
    for (key, _) in fields.iter().filter(missing) {
        findings.push(Finding::at(node.head(), ConfigErrorKind::MissingKey { key: key.clone() }));
    }
}

fn check_map(key_check: Option<TextCheck>, shape: &Shape, node: Node<'_>, findings: &mut Vec<Finding>) {
    let Some(entries) = node.entries() else {
        findings.push(wrong_type(node, "a table"));
        return;
    };
    for (key, span, value) in entries {
        if let Some(Err(reason)) = key_check.map(|check| check(key)) {
            // The rule stands after the first colon; the word before it is that of the first type with this pattern.
            let rule = reason.split_once(": ").map_or(reason.as_str(), |(_, rule)| rule);
            findings.push(Finding::at(
                span,
                ConfigErrorKind::BadValue { reason: format!("`{key}` is not a valid name: {rule}") },
            ));
        }
        shape.check(value, findings);
    }
}

fn check_choice(words: &[String], tagged: &BTreeMap<String, Shape>, node: Node<'_>, findings: &mut Vec<Finding>) {
    if let Some(word) = node.text() {
        if !words.iter().any(|known| known == word) {
            let reason = format!("`{word}` is none of {}", listed(words.iter().map(String::as_str)));
            findings.push(bad_value(node, reason).help(nearest_or_all(
                word,
                words.iter().map(String::as_str),
                "known",
            )));
        }
    } else if let Some((value, shape)) = single_entry(node).and_then(|(key, value)| Some((value, tagged.get(key)?))) {
        shape.check(value, findings);
    } else if tagged.is_empty() {
        findings.push(wrong_type(node, "a string"));
    } else {
        let expected = format!("a table with one of {}", listed(tagged.keys().map(String::as_str)));
        findings.push(wrong_type(node, &expected));
    }
}

fn single_entry(node: Node<'_>) -> Option<(&str, Node<'_>)> {
    let mut entries = node.entries()?;
    let (key, _, value) = entries.next()?;
    entries.next().is_none().then_some((key, value))
}

/// `` `a`, `b`, `c` ``.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The candidate a mistyped name most probably meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |candidate: &'a str| (strsim::jaro_winkler(&name.to_lowercase(), candidate), candidate);
    let best = candidates.into_iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

/// The near one, or all of them under a heading.
pub(super) fn nearest_or_all<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
    heading: &str,
) -> String {
    match nearest(name, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{heading}: {}", listed(candidates)),
    }
}
