//! Lines of `sgd` beside its log: what it listens on, and why it ended. Whoever reads them may leave, as `head -1` does, and the
//! agent goes on. It must never decide what is said. Called by `main` and `serve`.

use std::io::{self, Write};

use tracing::Level;

use crate::journal;

/// A line on standard output, for programs that wait for it.
pub(crate) fn print(line: &str) {
    write(io::stdout(), line);
}

/// A line on standard error about why sgd ended.
pub(crate) fn warn(line: &str) {
    if journal::is_journal() {
        write(io::stderr(), journal::prefixed(Level::ERROR, line).trim_end());
    } else {
        write(io::stderr(), line);
    }
}

fn write(mut out: impl Write, line: &str) {
    // Standard output keeps nothing back: a program waits for the line.
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}
