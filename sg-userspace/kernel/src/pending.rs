//! The change that is to be confirmed, as the word that programs go by: beginning, confirming, cancelling, extending. Each is one
//! compare-and-swap, so of a confirmation and a deadline that meet, one happens. Times are jiffies. It must never touch an image.
//! Called by the agent, through `datapath`.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use aya::Ebpf;
use sg_common::pending::{LAST_ID, Pending};

use super::{KernelError, window::MappedArray};

/// What becomes of the change that was pending last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Nothing is pending: it was confirmed, or there was none.
    None,
    /// It is in force until then, unless it is confirmed.
    Pending {
        /// Its id.
        id: u32,
        /// How long it is until its deadline, in jiffies.
        left: u64,
    },
    /// It was cancelled, or its deadline has passed: what was in force before it is.
    Over {
        /// Its id.
        id: u32,
    },
}

impl Confirmation {
    /// What `word` says, where nothing judges packets by a deadline that has passed and is not in the word yet.
    fn of(word: Pending, now: u64) -> Self {
        match (word.id(), word.left(now)) {
            (0, _) => Self::None,
            (id, left) if left > 0 && !word.is_over() => Self::Pending { id, left: left.unsigned_abs() },
            (id, _) => Self::Over { id },
        }
    }
}

/// The change that is to be confirmed. Clones are the same one. What is done to it happens for all NICs at the same moment.
#[derive(Clone)]
pub struct PendingChange(Arc<MappedArray>);

impl fmt::Debug for PendingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingChange").finish_non_exhaustive()
    }
}

impl PendingChange {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(Arc::new(MappedArray::take(ebpf, "PENDING", 1)?)))
    }

    /// What becomes of the change. A deadline that has passed is in the word afterwards.
    #[must_use]
    pub fn state(&self, now: u64) -> Confirmation {
        self.change(now, |_| None)
    }

    /// Begins a change: what is published with its id from now on is in force until `deadline`. Returns the id, which is after
    /// `last_id`; `None` if another change is pending.
    #[must_use]
    pub fn begin(&self, now: u64, last_id: u32, deadline: u64) -> Option<u32> {
        let mut id = None;
        self.change(now, |word| {
            let is_free = word == Pending::NONE || word.is_over();
            id = is_free.then(|| after(last_id.max(word.id())));
            id.map(|id| Pending::until(id, deadline))
        });
        id
    }

    /// Confirms the change `id`, if it is pending. Returns what becomes of it: nothing is pending, or it was over already.
    #[must_use]
    pub fn confirm(&self, now: u64, id: u32) -> Confirmation {
        self.change(now, |word| (word.id() == id).then_some(Pending::NONE))
    }

    /// Takes the change `id` back, if it is pending. Returns what becomes of it.
    #[must_use]
    pub fn cancel(&self, now: u64, id: u32) -> Confirmation {
        self.change(now, |word| (word.id() == id).then_some(word.over()))
    }

    /// Lets the change `id` be in force until `deadline`, if it is pending. Returns what becomes of it.
    #[must_use]
    pub fn extend(&self, now: u64, id: u32, deadline: u64) -> Confirmation {
        self.change(now, |word| (word.id() == id).then(|| Pending::until(id, deadline)))
    }

    /// Replaces the word by what `next` makes of it; `None` leaves it. A pending change whose deadline has passed becomes one that is
    /// over first, and what is over `next` changes only if it begins another. Returns what the word says afterwards.
    fn change(&self, now: u64, mut next: impl FnMut(Pending) -> Option<Pending>) -> Confirmation {
        let Some(place) = self.0.words().first() else { return Confirmation::None };
        let mut found = Pending::from_word(place.load(Ordering::Acquire));
        loop {
            let has_passed = found != Pending::NONE && !found.is_over() && found.left(now) <= 0;
            let wanted = if has_passed { Some(found.over()) } else { next(found) };
            // What is over stays so until another change begins.
            let wanted =
                wanted.filter(|wanted| !found.is_over() || wanted.id() != found.id() && wanted.id() != 0);
            let Some(wanted) = wanted else { return Confirmation::of(found, now) };
            let (before, after) = (found.word(), wanted.word());
            match place.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if has_passed => found = wanted,
                Ok(_) => return Confirmation::of(wanted, now),
                Err(other) => found = Pending::from_word(other),
            }
        }
    }
}

/// The id after another one: never zero.
fn after(id: u32) -> u32 {
    if id >= LAST_ID { 1 } else { id + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_anew_after_the_last() {
        assert_eq!((after(0), after(1), after(LAST_ID - 1), after(LAST_ID)), (1, 2, LAST_ID, 1));
    }

    #[test]
    fn a_word_is_read_as_what_it_means_now() {
        let word = Pending::until(3, 100);
        assert_eq!(Confirmation::of(Pending::NONE, 7), Confirmation::None);
        assert_eq!(Confirmation::of(word, 99), Confirmation::Pending { id: 3, left: 1 });
        assert_eq!(Confirmation::of(word, 100), Confirmation::Over { id: 3 });
        assert_eq!(Confirmation::of(word.over(), 99), Confirmation::Over { id: 3 });
    }
}
