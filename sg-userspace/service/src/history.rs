//! The history of changes of the policy: who made each and why, and what undoes it. What was in force after a change is found by
//! going back from the present, so that a change costs the history no more than it changes.
//!
//! ```text
//! operation ─► undo: the records as they were ─► entry N ─► the transaction of the change
//! state now ─► undo N, undo N-1, … ─► the policy after change N-2
//! ```
//!
//! The policy is made of VPCs, groups, rules, members, lists, instances, NICs and demands of documents. Access keys, kept responses and settings (quotas,
//! the next serial number) are not part of it: a change of those has no number, and going back leaves them alone. It must never
//! decide who may go back. `Tx` adds to it, the writer stores it.

use std::sync::{Arc, OnceLock};

use imbl::Vector;
use jiff::Timestamp;
use sg_api_types::ChangeSummary;
use sg_audit::{Changes, Entry, PolicyChange};
use sg_store::{Change, HistoryEdit, Key, Record, StoredHistory};

use super::{Refusal, State, dated::without_date};

/// How many changes are kept.
pub(super) const MOST: usize = 200;
/// The maximum number of bytes of all that undoes them. A change that takes more by itself, such as an import over a large
/// state, is kept, and cannot be undone.
const BYTES: usize = 32 << 20;

/// The history at one moment. Copies are cheap.
#[derive(Clone, Debug)]
pub struct History {
    /// By number, without a gap.
    entries: Vector<Arc<Kept>>,
    /// The number of the next change.
    next: u64,
    /// The first number that can be undone, with all that follow.
    from: u64,
    bytes: usize,
    most_bytes: usize,
}

/// A change that is kept.
#[derive(Debug)]
pub struct Kept {
    change: PolicyChange,
    /// A JSON list of [`Change`]; empty if it is too large to be kept.
    undo: Vec<u8>,
    summary: OnceLock<ChangeSummary>,
}

impl Kept {
    /// What it was.
    #[must_use]
    pub const fn change(&self) -> &PolicyChange {
        &self.change
    }

    /// What it opened and closed, if somebody has found out.
    #[must_use]
    pub fn summary(&self) -> Option<&ChangeSummary> {
        self.summary.get()
    }

    pub(super) fn summarise(&self, summary: ChangeSummary) {
        // Two may have found out at once: what they found is the same.
        let _ = self.summary.set(summary);
    }

    /// Makes the state after it the one before it.
    pub(super) fn undo(&self, state: &mut State) -> Result<(), ()> {
        let undo: Vec<Change> = serde_json::from_slice(&self.undo).map_err(|error| {
            tracing::error!("change {} in the history cannot be undone: {error}", self.change.number);
        })?;
        for change in undo {
            match change {
                Change::Put(record) => state.put(record),
                Change::Delete(key) => state.delete(&key),
            }
        }
        Ok(())
    }

    fn without_undo(&self) -> Self {
        let summary = self.summary.get().map_or_else(OnceLock::new, |&summary| OnceLock::from(summary));
        Self { change: self.change.clone(), undo: Vec::new(), summary }
    }

    /// `{…}` and a line break, then what undoes it.
    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(&self.change).unwrap_or_default();
        text.push(b'\n');
        text.extend_from_slice(&self.undo);
        text
    }

    fn read(number: u64, text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (change, undo) = (text.get(..end)?, text.get(end + 1..)?);
        let change: PolicyChange = serde_json::from_slice(change).ok()?;
        let summary = OnceLock::new();
        (change.number == number).then(|| Self { change, undo: undo.to_vec(), summary })
    }
}

impl Default for History {
    fn default() -> Self {
        Self { entries: Vector::new(), next: 1, from: 1, bytes: 0, most_bytes: BYTES }
    }
}

/// Whether records of this kind make up the policy.
pub(super) const fn is_policy(key: &Key) -> bool {
    match key {
        Key::Vpc(_)
        | Key::Group(_)
        | Key::Rule(_)
        | Key::Member(_)
        | Key::PrefixList(_)
        | Key::PortList(_)
        | Key::Instance(_)
        | Key::Nic(_)
        | Key::Demands(_) => true,
        Key::AccessKey(_) | Key::Token(_) | Key::Settings(()) => false,
    }
}

impl History {
    /// The history that was stored.
    #[must_use]
    pub fn stored(stored: StoredHistory) -> Self {
        let StoredHistory { entries, complete_from } = stored;
        let mut history = Self::default();
        let next = entries.last().map_or(1, |(number, _)| number.saturating_add(1)).max(complete_from);
        for (number, text) in entries {
            let Some(kept) = Kept::read(number, &text) else {
                tracing::warn!("change {number} in the history cannot be read: no earlier one can be undone");
                continue;
            };
            if history.entries.last().is_some_and(|last| last.change.number + 1 != number) {
                history.from = number;
            }
            history.bytes += kept.undo.len();
            history.entries.push_back(Arc::new(kept));
        }
        history.next = next;
        // What is missing at the end can be gone back over even less.
        let is_whole = history.entries.last().is_none_or(|last| last.change.number + 1 == next);
        let kept = history.entries.iter().rev().find(|kept| kept.undo.is_empty());
        let after_last = kept.map_or(0, |kept| kept.change.number + 1);
        let first = history.entries.front().map_or(next, |first| first.change.number);
        let known = if is_whole { 0 } else { next };
        history.from = history.from.max(complete_from).max(after_last).max(first).max(known);
        history
    }

    /// All changes, by number.
    #[must_use]
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Arc<Kept>> {
        self.entries.iter()
    }

    /// The change with this number.
    #[must_use]
    pub fn find(&self, number: u64) -> Option<&Arc<Kept>> {
        self.entries.iter().rev().find(|kept| kept.change.number == number)
    }

    /// The number of the last change; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The first change after which what was in force is known. It may be one before the first that is kept.
    #[must_use]
    pub const fn oldest_known(&self) -> u64 {
        self.from - 1
    }

    /// Adds a change of these records, from what they were, and returns its number. Without one of the policy, there is none.
    pub(super) fn add(
        &mut self,
        undo: &[Change],
        entry: &Entry,
        changes: &Changes,
        now: Timestamp,
    ) -> Option<u64> {
        if undo.is_empty() {
            return None;
        }
        let number = self.next;
        let change = PolicyChange::of(number, now, entry, changes);
        let undo = match serde_json::to_vec(undo) {
            Ok(undo) if undo.len() <= self.most_bytes => undo,
            _ => {
                self.from = number + 1;
                Vec::new()
            }
        };
        self.bytes += undo.len();
        self.entries.push_back(Arc::new(Kept { change, undo, summary: OnceLock::new() }));
        self.next += 1;
        while self.entries.len() > MOST
            && let Some(first) = self.entries.pop_front()
        {
            self.bytes -= first.undo.len();
        }
        self.from = self.from.max(self.entries.front().map_or(number, |first| first.change.number));
        // What comes before a change that cannot be undone need not be undone, either.
        let (from, most) = (self.from, self.most_bytes);
        for kept in &mut self.entries {
            let is_over = self.bytes > most || kept.change.number < from;
            if !is_over {
                break;
            }
            if !kept.undo.is_empty() {
                self.bytes -= kept.undo.len();
                *kept = Arc::new(kept.without_undo());
            }
            self.from = self.from.max(kept.change.number + 1);
        }
        Some(number)
    }

    /// What must be written so that a store that has `before` has this.
    pub(super) fn edit_since(&self, before: &Self) -> HistoryEdit {
        if self.next == before.next {
            return HistoryEdit::default();
        }
        let oldest = self.entries.front().map_or(self.next, |first| first.change.number);
        let mut known = before.entries.iter().filter(|kept| kept.change.number >= oldest);
        let new =
            self.entries.iter().filter(|kept| !known.next().is_some_and(|known| Arc::ptr_eq(known, kept)));
        HistoryEdit { put: new.map(|kept| (kept.change.number, kept.text())).collect(), oldest }
    }

    /// The state after the change with this number, with everything that is no policy as it is in `now`.
    ///
    /// # Errors
    /// If it is not known any more, or not yet.
    pub fn state_after(&self, number: u64, now: &State) -> Result<State, Refusal> {
        if !(self.oldest_known()..=self.newest()).contains(&number) {
            let (oldest, newest) = (self.oldest_known(), self.newest());
            return Err(Refusal::ChangeNotKept { number, oldest, newest });
        }
        let mut state = now.clone();
        for kept in self.entries.iter().rev().take_while(|kept| kept.change.number > number) {
            kept.undo(&mut state).map_err(|()| {
                let (oldest, newest) = (kept.change.number, self.newest());
                Refusal::ChangeNotKept { number, oldest, newest }
            })?;
        }
        Ok(state)
    }

    /// The same with another limit, for tests.
    #[cfg(test)]
    pub(super) const fn limited(mut self, bytes: usize) -> Self {
        self.most_bytes = bytes;
        self
    }
}

/// What leads from the policy of `from` to that of `to`: what differs.
pub(super) fn between(from: &State, to: &State) -> Vec<Change> {
    let of = |state: &State| -> Vec<Record> {
        state.records().filter(|record| is_policy(&record.key())).collect()
    };
    let gone = of(from).into_iter().map(|record| record.key()).filter(|key| to.get(key).is_none());
    let mut changes: Vec<Change> = gone.map(Change::Delete).collect();
    let new = of(to).into_iter().filter(|record| {
        from.get(&record.key()).is_none_or(|known| without_date(known) != without_date(record.clone()))
    });
    changes.extend(new.map(Change::Put));
    changes
}
