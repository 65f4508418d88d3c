//! Licences as SPDX expressions (SPDX specification, annex D).
//!
//! Every source has its own words: Debian's copyright files, rpm's and apk's tags, the kernel's `MODULE_LICENSE`.
//! What has an identifier on the SPDX list gets it; what has none becomes `LicenseRef-` and the source's own word, so
//! that nothing is dropped and nothing is taken for something it is not.

mod debian;
mod names;

use std::collections::BTreeSet;

use cyclonedx_bom::external_models::spdx::SpdxExpression;

pub(super) use debian::of_copyright;
use names::identifier;

/// What a component has when nobody says anything about its licence.
pub(super) const UNKNOWN: &str = "NOASSERTION";

/// Joins the terms that all apply; `None` when there are none.
pub(super) fn all_of(terms: &BTreeSet<String>) -> Option<String> {
    let several = terms.len() > 1;
    let shown =
        terms.iter().map(|term| if several && term.contains(" OR ") { format!("({term})") } else { term.clone() });
    Some(shown.collect::<Vec<_>>().join(" AND ")).filter(|text| !text.is_empty())
}

/// The terms of an expression of which all apply.
pub(super) fn conjuncts(expression: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0usize;
    for word in expression.split(' ') {
        depth += word.matches('(').count();
        depth = depth.saturating_sub(word.matches(')').count());
        if depth == 0 && word == "OR" {
            // Not a conjunction.
            return vec![expression.to_owned()];
        }
        if depth == 0 && word == "AND" {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            let gap = if term.is_empty() { "" } else { " " };
            term.push_str(&format!("{gap}{word}"));
        }
    }
    terms.into_iter().map(unwrapped).collect()
}

/// Without parentheses around the whole.
fn unwrapped(term: String) -> String {
    let inner = term.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inner {
        Some(inner) if !inner.contains(['(', ')']) => inner.to_owned(),
        _ => term,
    }
}

/// Whether it is an expression over identifiers of the list and `LicenseRef-`.
pub(super) fn is_valid(expression: &str) -> bool {
    SpdxExpression::try_from(expression.to_owned()).is_ok()
}

/// The licence tag of an rpm or apk package.
///
/// Distributions write SPDX expressions today; older tags have other names and `and` or `or` between them.
pub(super) fn of_tag(tag: &str) -> String {
    let has_words = tag.split(' ').any(|word| ["and", "or", "with"].contains(&word));
    if is_valid(tag) && !has_words {
        return tag.to_owned();
    }
    let mapped = rebuild(tag);
    if is_valid(&mapped) { mapped } else { reference(tag) }
}

/// What a module's `MODULE_LICENSE` says, as the kernel's `Documentation/process/license-rules.rst` explains it.
pub(super) fn of_modules(licences: &[String]) -> Option<String> {
    let one = |text: &String| match text.as_str() {
        // It says nothing about later versions.
        "GPL" | "GPL v2" => "GPL-2.0-only".to_owned(),
        "GPL and additional rights" => "GPL-2.0-only AND LicenseRef-additional-rights".to_owned(),
        // Which BSD licence only the sources say.
        "Dual BSD/GPL" => "GPL-2.0-only OR LicenseRef-BSD".to_owned(),
        "Dual MIT/GPL" => "GPL-2.0-only OR MIT".to_owned(),
        "Dual MPL/GPL" => "GPL-2.0-only OR MPL-1.1".to_owned(),
        "CDDL" => "CDDL-1.0".to_owned(),
        other => of_tag(other),
    };
    all_of(&licences.iter().map(one).collect())
}

/// A licence that has no identifier, by its own word.
pub(super) fn reference(text: &str) -> String {
    let mut word = String::new();
    for character in text.chars().take(100) {
        let allowed = character.is_ascii_alphanumeric() || character == '.';
        match (allowed, word.ends_with('-')) {
            (true, _) => word.push(character),
            (false, false) => word.push('-'),
            (false, true) => {}
        }
    }
    let word = word.trim_matches('-');
    if word.is_empty() { UNKNOWN.to_owned() } else { format!("LicenseRef-{word}") }
}

/// Puts identifiers in the place of names, and upper case in the place of `and`, `or` and `with`.
fn rebuild(tag: &str) -> String {
    let spaced = tag.replace('(', " ( ").replace(')', " ) ").replace(',', " ");
    let mut out: Vec<String> = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    for word in spaced.split_whitespace() {
        let operator = match word.to_ascii_lowercase().as_str() {
            "and" => "AND",
            "or" => "OR",
            "(" => "(",
            ")" => ")",
            _ => {
                name.push(word);
                continue;
            }
        };
        flush(&mut name, &mut out);
        out.push(operator.to_owned());
    }
    flush(&mut name, &mut out);
    out.join(" ").replace("( ", "(").replace(" )", ")")
}

fn flush(name: &mut Vec<&str>, out: &mut Vec<String>) {
    if !name.is_empty() {
        out.push(identifier(&name.join(" ")));
        name.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_expressions() {
        for (tag, expression) in [
            ("MIT", "MIT"),
            ("MIT AND (GPL-2.0-or-later OR Artistic-2.0)", "MIT AND (GPL-2.0-or-later OR Artistic-2.0)"),
            ("BSD-3-Clause or GPL-2.0", "BSD-3-Clause OR GPL-2.0-only"),
            ("MPLv2.0 and BSD 2-Clause", "MPL-2.0 AND BSD-2-Clause"),
            ("GPLv2+ and (LGPLv2+ or MIT)", "GPL-2.0-or-later AND (LGPL-2.0-or-later OR MIT)"),
            ("GPLv2+ with exceptions", "LicenseRef-GPLv2-with-exceptions"),
            ("Public Domain", "LicenseRef-Public-Domain"),
            ("Redistributable, no modification permitted", "LicenseRef-Redistributable-no-modification-permitted"),
            ("(", "NOASSERTION"),
            ("and and", "LicenseRef-and-and"),
        ] {
            assert_eq!(of_tag(tag), expression, "{tag}");
            assert!(expression == UNKNOWN || is_valid(expression), "{expression}");
        }
    }

    #[test]
    fn conjunctions_are_taken_apart() {
        for (expression, terms) in [
            ("MIT", &["MIT"][..]),
            ("(GPL-2.0-only OR MIT) AND ISC AND (A AND (B OR C))", &["GPL-2.0-only OR MIT", "ISC", "(A AND (B OR C))"]),
            ("MIT OR ISC AND Zlib", &["MIT OR ISC AND Zlib"]),
            ("GPL-2.0-only WITH Linux-syscall-note AND MIT", &["GPL-2.0-only WITH Linux-syscall-note", "MIT"]),
        ] {
            assert_eq!(conjuncts(expression), terms, "{expression}");
        }
    }

    #[test]
    fn the_kernels_words() {
        let of = |words: &[&str]| of_modules(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["GPL"]).as_deref(), Some("GPL-2.0-only"));
        assert_eq!(of(&["GPL", "Dual MIT/GPL"]).as_deref(), Some("GPL-2.0-only AND (GPL-2.0-only OR MIT)"));
        assert_eq!(of(&["Proprietary"]).as_deref(), Some("LicenseRef-Proprietary"));
        assert_eq!(of(&[]), None);
    }
}
