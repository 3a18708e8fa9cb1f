//! What was lost of the records that are shown: a line on standard error, at most one a second. It must never be mixed into the
//! records. `mod.rs` calls it.

use std::time::{Duration, Instant};

use sg_model::text::escaped;
use sg_observe::record::Record;

use crate::stderr::say;

/// Two lines have at least this between them.
const PAUSE: Duration = Duration::from_secs(1);

/// Losses that were not told yet.
pub(super) struct Losses {
    /// Whether they are requested like any record.
    pub(super) are_wanted: bool,
    count: u64,
    why: Vec<String>,
    told: Option<Instant>,
}

impl Losses {
    pub(super) const fn new(are_wanted: bool) -> Self {
        Self { are_wanted, count: 0, why: Vec::new(), told: None }
    }

    pub(super) fn add(&mut self, lost: &Record) {
        self.count = self.count.saturating_add(lost.count.unwrap_or(0));
        let why = lost.message.as_deref().unwrap_or("sgd does not say why");
        if !self.why.iter().any(|known| known == why) {
            self.why.push(why.to_owned());
        }
    }

    /// Tells of what was lost, unless it did so a moment ago.
    pub(super) fn tell(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            self.end();
        }
    }

    /// Tells of the rest.
    pub(super) fn end(&mut self) {
        if let Some(line) = self.line() {
            say(&line);
            self.told = Some(Instant::now());
        }
    }

    fn line(&mut self) -> Option<String> {
        if self.why.is_empty() {
            return None;
        }
        let why = std::mem::take(&mut self.why).join("; ");
        let count = std::mem::take(&mut self.count);
        let records = if count == 1 { "record" } else { "records" };
        Some(format!("sgctl: lost {count} {records}: {}", escaped(&why)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn losses_are_summed_to_one_line() {
        let now = Timestamp::now();
        let mut losses = Losses::new(false);
        assert_eq!(losses.line(), None);
        for (count, why) in [(1, "slow"), (2, "slow"), (4, "full\u{1b}[2J")] {
            losses.add(&Record::lost(now, now, count, why));
        }
        assert_eq!(losses.line().as_deref(), Some("sgctl: lost 7 records: slow; full\\u{1b}[2J"));
        assert_eq!(losses.line(), None, "once");
    }
}
