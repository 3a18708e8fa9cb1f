//! An entry whose outcome is not known yet. An API makes one for each change that is requested; whoever knows the outcome turns
//! it in, once.

use super::{Changes, Entry, Outcome, Trail};

/// An entry whose outcome is not known yet.
#[derive(Debug)]
pub struct Ticket {
    trail: Trail,
    entry: Entry,
}

impl Ticket {
    /// A ticket for `entry`.
    #[must_use]
    pub const fn new(trail: Trail, entry: Entry) -> Self {
        Self { trail, entry }
    }

    /// The change is stored and in force. Waits while the queue is full; `then` is called when the entry is on the disk, or cannot
    /// get there. Not for asynchronous code.
    pub fn done(mut self, changes: Changes, then: impl FnOnce() + Send + 'static) {
        self.entry.outcome = Outcome::Done;
        (self.entry.objects, self.entry.more_objects) = (changes.objects, changes.more);
        self.trail.write_and(self.entry, then);
    }

    /// The change is stored and not in force. As [`Self::done`].
    pub fn not_in_force(
        mut self,
        [code, message]: [String; 2],
        changes: Changes,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.entry.outcome = Outcome::NotInForce;
        (self.entry.objects, self.entry.more_objects) = (changes.objects, changes.more);
        (self.entry.code, self.entry.message) = (Some(code), Some(message));
        self.trail.write_and(self.entry, then);
    }

    /// The change was refused by whoever runs operations. As [`Self::done`].
    pub fn refused_and(mut self, [code, message]: [String; 2], then: impl FnOnce() + Send + 'static) {
        (self.entry.code, self.entry.message) = (Some(code), Some(message));
        self.trail.write_and(self.entry, then);
    }

    /// The change was refused before anybody ran it. Returns when the entry is written.
    pub async fn refused(mut self, code: impl Into<String>, message: impl Into<String>) {
        (self.entry.code, self.entry.message) = (Some(code.into()), Some(message.into()));
        self.trail.write(self.entry).await;
    }
}
