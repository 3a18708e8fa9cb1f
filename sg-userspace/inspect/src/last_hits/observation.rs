//! When each counter moved last, and since when it is observed. Pure: counts and times in, times out.
//!
//! A counter that somebody reset never looks like a hit: what it counted since the reset does. It must never read a counter or a
//! file. Called by `last_hits`.

use std::{collections::BTreeMap, time::Instant};

use jiff::{SignedDuration, Timestamp};
use sg_agent::{GroupNumbers, RuleNumber};
use sg_model::Direction as KernelDirection;
use sg_records::Direction;

/// How far the clock may be off its course between two passes before it counts as a step.
const STEP: SignedDuration = SignedDuration::from_mins(5);

/// What a counter counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A rule.
    Rule {
        /// Its group.
        group: String,
        /// Its direction.
        direction: Direction,
        /// Its id.
        rule: String,
    },
    /// Members of a group among each other.
    IntraGroup {
        /// The group.
        group: String,
    },
    /// The default of a NIC.
    Default {
        /// Its device.
        device: String,
        /// The direction.
        direction: Direction,
    },
}

impl Owner {
    /// A rule of `group`, or without one its members among each other.
    #[must_use]
    pub fn in_group(group: &GroupNumbers, rule: Option<(KernelDirection, &RuleNumber)>) -> Self {
        let group = group.name.clone();
        match rule {
            Some((direction, rule)) => {
                Self::Rule { group, direction: direction.into(), rule: rule.id.clone() }
            }
            None => Self::IntraGroup { group },
        }
    }
}

/// When a counter was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Since when it is observed.
    pub since: Timestamp,
    /// When a pass saw that it had moved; `None`: no pass has.
    pub last_hit: Option<Timestamp>,
}

impl Used {
    /// For how long it is known not to have moved.
    #[must_use]
    pub fn idle(&self, now: Timestamp) -> SignedDuration {
        // A hit of the time before the observation is none of its.
        let last = self.last_hit.map_or(self.since, |hit| hit.max(self.since));
        now.duration_since(last).max(SignedDuration::ZERO)
    }
}

/// What is known of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) packets: u64,
    pub(super) used: Used,
    /// The pass that saw it last.
    seen: u64,
}

/// What changed since an observation was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaved {
    /// Nothing.
    Nothing,
    /// Counts.
    Counts,
    /// Who is observed: until that is saved, nobody knows after a crash since when.
    Owners,
}

/// What is known of all counters.
#[derive(Debug)]
pub(super) struct Observation {
    entries: BTreeMap<Owner, Entry>,
    /// Whether a counter that appears was zero before: not so in the first pass over what nobody has observed.
    continues: bool,
    pass: u64,
    /// When this process began to observe, by its clock.
    began: Timestamp,
    /// The clocks at the last pass.
    last: (Timestamp, Instant),
    /// What changed since it was saved.
    pub(super) unsaved: Unsaved,
}

impl Observation {
    /// Begins without any knowledge.
    pub(super) fn new(now: Timestamp, clock: Instant) -> Self {
        Self {
            entries: BTreeMap::new(),
            continues: false,
            pass: 0,
            began: now,
            last: (now, clock),
            // That there is an observation is worth knowing, too.
            unsaved: Unsaved::Owners,
        }
    }

    /// Continues what an earlier process knew. `rebooted`: every counter has begun at zero since.
    pub(super) fn resume(
        known: impl IntoIterator<Item = (Owner, Entry)>,
        rebooted: bool,
        (now, clock): (Timestamp, Instant),
    ) -> Self {
        let entries = known
            .into_iter()
            .map(|(owner, entry)| (owner, if rebooted { Entry { packets: 0, ..entry } } else { entry }));
        let entries = entries.collect();
        Self { entries, continues: true, unsaved: Unsaved::Nothing, ..Self::new(now, clock) }
    }

    /// Takes the packets of counters. A `whole` pass has all of them; the others are forgotten. `kept` are owners whose counters
    /// say nothing at the moment.
    pub(super) fn pass(
        &mut self,
        counted: impl IntoIterator<Item = (Owner, u32, u64)>,
        kept: impl IntoIterator<Item = Owner>,
        whole: bool,
        (now, clock): (Timestamp, Instant),
    ) {
        self.follow_the_clock(now, clock);
        self.pass += 1;
        let (pass, continues) = (self.pass, self.continues);
        for (owner, number, packets) in counted {
            let fresh = || {
                // A counter is zero before it gets an owner.
                let last_hit = (continues && packets > 0).then_some(now);
                Entry { number, packets, used: Used { since: now, last_hit }, seen: pass }
            };
            let mut is_new = false;
            let entry = self.entries.entry(owner).or_insert_with(|| {
                is_new = true;
                fresh()
            });
            if is_new {
                self.unsaved = Unsaved::Owners;
                continue;
            }
            // Another number was zero when the owner got it.
            let before = if entry.number == number { entry.packets } else { 0 };
            // Fewer than before: it was reset, and has counted since unless it is zero.
            if packets != before && packets > 0 {
                entry.used.last_hit = Some(now);
            }
            if (entry.number, entry.packets) != (number, packets) {
                self.unsaved = self.unsaved.max(Unsaved::Counts);
            }
            (entry.number, entry.packets, entry.seen) = (number, packets, pass);
        }
        for owner in kept {
            if let Some(entry) = self.entries.get_mut(&owner) {
                entry.seen = pass;
            }
        }
        if whole {
            let many = self.entries.len();
            self.entries.retain(|_, entry| entry.seen == pass);
            if self.entries.len() != many {
                self.unsaved = Unsaved::Owners;
            }
            self.continues = true;
        }
    }

    /// Moves the times that this process wrote by as much as its clock was set: a host may start without knowing the time.
    fn follow_the_clock(&mut self, now: Timestamp, clock: Instant) {
        let (then, at) = self.last;
        let passed = SignedDuration::try_from(clock.saturating_duration_since(at)).unwrap_or_default();
        let step = now.duration_since(then).saturating_sub(passed);
        if step.abs() > STEP {
            let own = self.began..=then;
            let moved = |time: Timestamp| time.checked_add(step).unwrap_or(now).min(now);
            for Entry { used, .. } in self.entries.values_mut() {
                if own.contains(&used.since) {
                    used.since = moved(used.since);
                }
                used.last_hit = used.last_hit.map(|hit| if own.contains(&hit) { moved(hit) } else { hit });
            }
            self.began = moved(self.began);
            self.unsaved = Unsaved::Owners;
        }
        self.last = (now, clock);
    }

    pub(super) fn used(&self, owner: &Owner) -> Option<Used> {
        self.entries.get(owner).map(|entry| entry.used)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Owner, &Entry)> {
        self.entries.iter()
    }
}

impl Entry {
    /// As it was saved.
    pub(super) const fn saved(number: u32, packets: u64, used: Used) -> Self {
        Self { number, packets, used, seen: 0 }
    }
}

/// For tests of this folder: a moment, so many seconds after the first.
#[cfg(test)]
pub(super) fn moment(first: (Timestamp, Instant), seconds: u64) -> (Timestamp, Instant) {
    let passed = std::time::Duration::from_secs(seconds);
    (first.0 + passed, first.1 + passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> Owner {
        Owner::Rule { group: "web".to_owned(), direction: Direction::Ingress, rule: id.to_owned() }
    }

    fn first() -> (Timestamp, Instant) {
        ("2026-01-01T00:00:00Z".parse().unwrap(), Instant::now())
    }

    /// The seconds after the first moment at which the rule was hit last.
    fn hit(observation: &Observation, id: &str, first: (Timestamp, Instant)) -> Option<i64> {
        let used = observation.used(&rule(id)).unwrap();
        used.last_hit.map(|hit| hit.duration_since(first.0).as_secs())
    }

    #[test]
    fn what_was_counted_before_is_no_hit_and_what_moves_is() {
        let start = first();
        let mut seen = Observation::new(start.0, start.1);
        seen.pass([(rule("a"), 100, 7), (rule("b"), 101, 0)], [], true, start);
        assert_eq!((hit(&seen, "a", start), hit(&seen, "b", start)), (None, None));
        seen.pass([(rule("a"), 100, 7), (rule("b"), 101, 1)], [], true, moment(start, 60));
        assert_eq!((hit(&seen, "a", start), hit(&seen, "b", start)), (None, Some(60)));
        seen.pass([(rule("a"), 100, 8)], [], false, moment(start, 90));
        assert_eq!((hit(&seen, "a", start), hit(&seen, "b", start)), (Some(90), Some(60)), "a part");
        let now = moment(start, 160).0;
        assert_eq!(seen.used(&rule("b")).unwrap().idle(now), SignedDuration::from_secs(100));
    }

    #[test]
    fn a_number_with_a_new_owner_is_no_hit() {
        let start = first();
        let mut seen = Observation::new(start.0, start.1);
        seen.pass([(rule("a"), 100, 500)], [], true, start);
        // `b` gets the number of `a`, which was reset; nothing has come since.
        seen.pass([(rule("b"), 100, 0)], [], true, moment(start, 60));
        assert_eq!((seen.used(&rule("a")), hit(&seen, "b", start)), (None, None));
        // `b` gets another number; it had no packet under either.
        seen.pass([(rule("b"), 101, 0)], [], true, moment(start, 120));
        assert_eq!(hit(&seen, "b", start), None);
        // Its counter was reset, and then counted.
        seen.pass([(rule("b"), 101, 9)], [], true, moment(start, 180));
        seen.pass([(rule("b"), 101, 0)], [], true, moment(start, 240));
        assert_eq!(hit(&seen, "b", start), Some(180));
        seen.pass([(rule("b"), 101, 2)], [], true, moment(start, 300));
        assert_eq!(hit(&seen, "b", start), Some(300));
        // A rule that appears while others are observed was zero before.
        seen.pass([(rule("b"), 101, 2), (rule("c"), 102, 3)], [], true, moment(start, 360));
        assert_eq!(hit(&seen, "c", start), Some(360));
    }

    #[test]
    fn a_counter_that_could_not_be_reset_says_nothing() {
        let start = first();
        let mut seen = Observation::new(start.0, start.1);
        seen.pass([(rule("a"), 100, 5)], [], true, start);
        seen.pass([], [rule("a"), rule("b")], true, moment(start, 60));
        assert_eq!(hit(&seen, "a", start), None);
        assert_eq!(seen.used(&rule("b")), None);
    }

    #[test]
    fn a_restart_continues_and_a_reboot_begins_at_zero() {
        let start = first();
        let mut seen = Observation::new(start.0, start.1);
        seen.pass([(rule("a"), 100, 5), (rule("b"), 101, 5), (rule("c"), 102, 0)], [], true, start);
        let known: Vec<_> = seen.entries().map(|(owner, entry)| (owner.clone(), *entry)).collect();
        let counted = |a, b, c| [(rule("a"), 100, a), (rule("b"), 101, b), (rule("c"), 102, c)];

        let mut again = Observation::resume(known.clone(), false, moment(start, 600));
        again.pass(counted(5, 6, 0), [], true, moment(start, 600));
        let hits = ["a", "b", "c"].map(|id| hit(&again, id, start));
        assert_eq!(hits, [None, Some(600), None]);
        assert_eq!(again.used(&rule("a")).unwrap().since, start.0);

        let mut rebooted = Observation::resume(known, true, moment(start, 600));
        rebooted.pass(counted(0, 5, 0), [], true, moment(start, 600));
        let hits = ["a", "b", "c"].map(|id| hit(&rebooted, id, start));
        assert_eq!(hits, [None, Some(600), None], "as many as before the reboot are packets all the same");
    }

    #[test]
    fn a_clock_that_is_set_makes_no_window_longer() {
        let start = ("1970-01-01T00:01:00Z".parse::<Timestamp>().unwrap(), Instant::now());
        let old = Used { since: "2025-12-01T00:00:00Z".parse().unwrap(), last_hit: None };
        let mut seen = Observation::resume([(rule("old"), Entry::saved(99, 0, old))], false, start);
        seen.pass([(rule("old"), 99, 0), (rule("a"), 100, 0)], [], true, start);
        let set: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        seen.pass([(rule("old"), 99, 0), (rule("a"), 100, 0)], [], true, (set, moment(start, 60).1));
        let idle = |id: &str| seen.used(&rule(id)).unwrap().idle(set).as_secs();
        assert_eq!((idle("a"), idle("old")), (60, 31 * 86_400));
        let back: Timestamp = "2025-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(seen.used(&rule("old")).unwrap().idle(back), SignedDuration::ZERO, "the clock is behind");
    }
}
