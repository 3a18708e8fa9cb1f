//! The last reports on what reaches instances and NICs, in memory: a report is what was so when it was asked for, and a restart
//! forgets it. It must never know how a report comes about, nor grow without limit.

use std::collections::VecDeque;

use jiff::Timestamp;

/// How many are kept; the oldest is the first to go.
const MOST: usize = 500;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `dr-` and letters and digits; later ones sort behind earlier ones.
    pub id: String,
    /// The region of the resource.
    pub region: String,
    /// The instance or NIC.
    pub resource: String,
    /// `instance` or `eni`.
    pub resource_type: &'static str,
    /// When it was made.
    pub created: Timestamp,
    /// What does not reach it.
    pub issues: Vec<Issue>,
}

/// What does not reach a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// The port or message: `22 SSH`.
    pub what: String,
    /// What happens to it, from where, and what decided: JSON.
    pub why: String,
}

/// The last reports, the earliest first.
#[derive(Debug, Default)]
pub struct Reports {
    kept: VecDeque<Report>,
    made: u32,
}

impl Reports {
    /// Keeps a report, and returns its id.
    pub fn keep(&mut self, make: impl FnOnce(String) -> Report, now: Timestamp) -> String {
        self.made = self.made.wrapping_add(1);
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        // Of one length, so that they sort as they were made, also over a restart.
        let id = format!("dr-{milliseconds:012x}{:08x}", self.made);
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(make(id.clone()));
        id
    }

    /// All that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reports_go_first_and_ids_sort() {
        let (mut reports, now) = (Reports::default(), Timestamp::UNIX_EPOCH);
        let report = |id| Report {
            id,
            region: "r".to_owned(),
            resource: "i-1".to_owned(),
            resource_type: "instance",
            created: now,
            issues: Vec::new(),
        };
        let ids: Vec<String> = (0..MOST + 2).map(|_| reports.keep(report, now)).collect();
        assert!(ids.is_sorted() && ids[0] < ids[1]);
        let kept: Vec<&str> = reports.iter().map(|report| report.id.as_str()).collect();
        assert_eq!(kept, ids[2..]);
    }
}
