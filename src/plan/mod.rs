//! Definition, lock and facts to a plan: pure, printable.
