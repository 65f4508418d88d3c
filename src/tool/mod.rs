//! External programs, one file each: a binding builds a `Cmd`, a pure parser reads its output.
//!
//! Bindings may not see each other, and nothing here prints.
