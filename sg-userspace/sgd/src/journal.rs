//! The journal of systemd, where standard error leads to it: each line then begins with its priority (`<4>`, sd-daemon(3)), so
//! that `journalctl -p warning` finds it. The journal takes the prefix off, and has times of its own. It must never decide what
//! is logged. Called by `logging` and `lines`.

use std::{
    env,
    fmt::Write as _,
    io::{self, Write},
    os::fd::AsFd,
    sync::LazyLock,
};

use nix::sys::stat::fstat;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Whether standard error leads to the journal: `JOURNAL_STREAM` names the device and inode of the stream that the journal made,
/// and children that write elsewhere inherit the variable, too.
static IS_JOURNAL: LazyLock<bool> =
    LazyLock::new(|| env::var("JOURNAL_STREAM").is_ok_and(|stream| leads_to(io::stderr(), &stream)));

pub(crate) fn is_journal() -> bool {
    *IS_JOURNAL
}

/// Whether a descriptor is the stream `DEVICE:INODE`.
fn leads_to(descriptor: impl AsFd, stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    fstat(descriptor).is_ok_and(|found| (found.st_dev, found.st_ino) == (device, inode))
}

/// The priority of a level, as syslog(3) numbers them.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The text with the priority before each of its lines.
pub(crate) fn prefixed(level: Level, text: &str) -> String {
    let priority = priority(level);
    let mut lines = String::with_capacity(text.len() + 8);
    for line in text.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "<{priority}>{line}");
    }
    lines
}

/// Writers that put the priority of an event before each of its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prioritized<M>(pub(crate) M);

/// The writer of one event.
#[derive(Debug)]
pub(crate) struct Event<W> {
    level: Level,
    out: W,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Prioritized<M> {
    type Writer = Event<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Event { level: Level::INFO, out: self.0.make_writer() }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Event { level: *event.level(), out: self.0.make_writer_for(event) }
    }
}

impl<W: Write> Write for Event<W> {
    /// An event comes as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let lines = prefixed(self.level, &String::from_utf8_lossy(event));
        self.out.write_all(lines.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_stream_is_told_from_any_other() {
        let file = tempfile::tempfile().unwrap();
        let found = fstat(&file).unwrap();
        let stream = format!("{}:{}", found.st_dev, found.st_ino);
        assert!(leads_to(&file, &stream));
        assert!(!leads_to(File::open("/dev/null").unwrap(), &stream));
        for wrong in ["", ":", "1", "a:b", "1:2:3"] {
            assert!(!leads_to(&file, wrong), "{wrong}");
        }
    }

    #[test]
    fn every_line_has_its_priority() {
        assert_eq!(prefixed(Level::WARN, "a\nb\n"), "<4>a\n<4>b\n");
        assert_eq!(prefixed(Level::ERROR, "a"), "<3>a\n");
    }
}
