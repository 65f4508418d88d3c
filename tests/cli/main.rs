//! The program from the outside: arguments and files in, exit code, output and store out.
//!
//! Every test has a project of its own and a clean environment. What needs root (a store given away, a file
//! system of its own) says so and is left out for other users; CI runs as root.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "the tests run the program and write its input")]

mod base;
mod commands;
mod hosts;
mod kernel;
mod killed;
mod machine;
mod project;
mod sbom;
mod signing;
mod store;
mod upstream;
