//! Lines on standard error. Whoever reads them may leave, as in `sgctl … 2>&1 | head -1`: that is no reason to fail, and
//! `eprintln!` would panic. It must never decide what is said, nor escape it: its callers do. Everything that warns calls it.

use std::io::{self, Write as _};

/// Writes a line, or nothing if nobody reads it any more.
pub(crate) fn say(line: &str) {
    // One write a line: those of several processes do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
