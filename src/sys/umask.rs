//! The file mode creation mask, which every program that is run inherits.

use rustix::fs::Mode;

/// Sets the mask to 022 for this process and all it starts.
///
/// What programs make for others must not depend on the user's own mask: a careful 077 would
/// shut everybody but root out of it.
pub fn set_common() {
    // The one before is of no use: what is made from here on is made for others.
    let _before = rustix::process::umask(Mode::from_raw_mode(0o022));
}
