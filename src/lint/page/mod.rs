//! The manual's page for each code, one table row each, so that nothing about a code stands in two places.

mod boot;
mod bootc;
mod machine;

use super::code::Code;
use crate::model::Page;

/// The page of a code: the tables follow each other in the order of the codes.
pub(super) const fn of(code: Code) -> &'static Page {
    let index = code as usize;
    let boot = bootc::PAGES.len();
    let machine = boot + boot::PAGES.len();
    if index < boot {
        &bootc::PAGES[index]
    } else if index < machine {
        &boot::PAGES[index - boot]
    } else {
        &machine::PAGES[index - machine]
    }
}
