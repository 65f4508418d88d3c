//! The pages of all codes that checks report, whichever room they come from.

use std::fmt::Write as _;

use super::check::SealCode;
use crate::model::FindingCode as _;
pub use crate::model::{Page, Severity};
use crate::{kmod, lint};

/// How far a mistyped code may be from the one that is offered instead.
const NEAR: usize = 2;
/// How many are offered at most.
const OFFERED: usize = 4;

/// All pages, by code.
pub fn pages() -> Vec<Page> {
    let modules = kmod::Code::ALL.iter().map(|code| code.page());
    let seals = SealCode::ALL.iter().map(|code| code.page());
    let mut pages: Vec<Page> = modules.chain(lint::Code::ALL.iter().map(|code| code.page())).chain(seals).collect();
    pages.sort_by_key(|page| page.code);
    pages
}

/// The page of a code, in upper or lower case.
///
/// # Errors
/// When there is none: the codes that look like it.
pub fn find(text: &str) -> Result<Page, Vec<&'static str>> {
    let pages = pages();
    if let Some(page) = pages.iter().find(|page| page.code.eq_ignore_ascii_case(text)) {
        return Ok(*page);
    }
    let wanted = text.to_ascii_uppercase();
    let mut near: Vec<(usize, &'static str)> =
        pages.iter().map(|page| (strsim::levenshtein(&wanted, page.code), page.code)).collect();
    near.retain(|(distance, _)| *distance <= NEAR);
    near.sort_unstable();
    Err(near.into_iter().take(OFFERED).map(|(_, code)| code).collect())
}

/// The manual of all codes, as `docs/codes.md` has it.
pub fn markdown() -> String {
    let mut text =
        "# Codes\n\nWhat `imgbuild check`, `imgbuild kmods verify` and builds report. `imgbuild explain CODE` \
                    prints the same page.\nA failure fails the image; a warning and a note do not.\n"
            .to_owned();
    for page in pages() {
        let Page { code, title, severity, paragraph, fix } = page;
        write!(text, "\n## {code}: {title}\n\n{paragraph}\n\n- severity: {severity}\n- fix: {fix}\n")
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_any_case_and_a_mistyped_one_has_neighbours() {
        assert_eq!(find("kmod009").unwrap().code, "KMOD009");
        assert_eq!(find("LEFT06").unwrap_err().first(), Some(&"LEFT006"));
        assert!(find("KMD008").unwrap_err().contains(&"KMOD008"));
        assert_eq!(find("nonsense"), Err(vec![]));
    }
}
