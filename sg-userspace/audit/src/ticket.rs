//! An entry whose outcome is not known yet. An API makes one for each change that is requested; whoever knows the outcome turns
//! it in, once. One that nobody turns in says so itself: no change is left out.

use super::{Changes, Entry, Outcome, Trail};

/// An entry whose outcome is not known yet.
#[derive(Debug)]
pub struct Ticket {
    trail: Trail,
    /// `None`: it was turned in.
    entry: Option<Entry>,
}

impl Ticket {
    /// A ticket for `entry`.
    #[must_use]
    pub const fn new(trail: Trail, entry: Entry) -> Self {
        Self { trail, entry: Some(entry) }
    }

    /// The entry as it is so far.
    #[must_use]
    pub const fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// The same for a change that has this number in the history.
    #[must_use]
    pub fn numbered(mut self, number: Option<u64>) -> Self {
        if let Some(entry) = &mut self.entry {
            entry.change = number;
        }
        self
    }

    /// The change is stored and in force. Waits while the queue is full; `then` is called when the entry is on the disk, or cannot
    /// get there. Not for asynchronous code.
    pub fn done(self, changes: Changes, then: impl FnOnce() + Send + 'static) {
        self.turn_in(Outcome::Done, None, changes, then);
    }

    /// The change is stored and not in force. As [`Self::done`].
    pub fn not_in_force(self, why: [String; 2], changes: Changes, then: impl FnOnce() + Send + 'static) {
        self.turn_in(Outcome::NotInForce, Some(why), changes, then);
    }

    /// These changes were made before it failed. As [`Self::done`].
    pub fn partly(self, why: [String; 2], changes: Changes, then: impl FnOnce() + Send + 'static) {
        self.turn_in(Outcome::Partly, Some(why), changes, then);
    }

    /// The change was refused by whoever runs operations. As [`Self::done`].
    pub fn refused_and(self, why: [String; 2], then: impl FnOnce() + Send + 'static) {
        self.turn_in(Outcome::Refused, Some(why), Changes::default(), then);
    }

    /// The change was refused before anybody ran it. Returns when the entry is written.
    pub async fn refused(mut self, code: &str, message: &str) {
        let Some(mut entry) = self.entry.take() else { return };
        (entry.code, entry.message) = (Some(code.to_owned()), Some(message.to_owned()));
        self.trail.write(entry).await;
    }

    /// `why` is a code and a message.
    fn turn_in(
        mut self,
        outcome: Outcome,
        why: Option<[String; 2]>,
        changes: Changes,
        then: impl FnOnce() + Send + 'static,
    ) {
        let Some(mut entry) = self.entry.take() else { return then() };
        entry.outcome = outcome;
        (entry.code, entry.message) = why.map(|[code, message]| (code, message)).unzip();
        (entry.objects, entry.more_objects) = (changes.objects, changes.more);
        self.trail.write_and(entry, then);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            // Whoever runs operations has ended, and what waited for it is dropped.
            entry.code = Some("ending".to_owned());
            entry.message = Some("sgd is stopping, and nothing was changed".to_owned());
            self.trail.write_soon(entry);
        }
    }
}
