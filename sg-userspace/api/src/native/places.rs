//! How many clients may observe at a time, over all listeners: those that follow, each of which costs the observer a look at every
//! record, and those that read the past, each of which holds a thread. Viewers leave some places to others: whoever is to stop
//! something must be able to see it. It must never know records. `observe` takes places; whoever starts listeners makes one of these
//! for all.

use std::sync::Arc;

use sg_records::KeyRole;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Failed;

/// Places of either kind.
const PLACES: usize = 8;
/// Of those, places that viewers may have.
const OF_VIEWERS: usize = 6;

/// The places of clients that observe.
#[derive(Debug, Default)]
pub struct Places {
    following: Kind,
    reading: Kind,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _one: OwnedSemaphorePermit,
    _of_viewers: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Kind {
    all: Arc<Semaphore>,
    of_viewers: Arc<Semaphore>,
}

impl Default for Kind {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(PLACES)), of_viewers: Arc::new(Semaphore::new(OF_VIEWERS)) }
    }
}

impl Kind {
    /// `does` is what they do.
    fn take(&self, role: KeyRole, does: &str) -> Result<Place, Failed> {
        let is_viewer = role == KeyRole::Viewer;
        let one = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_owned().ok();
        let of_viewers = is_viewer.then(|| one(&self.of_viewers));
        let place = match of_viewers {
            Some(None) => None,
            of_viewers => one(&self.all).map(|one| Place { _one: one, _of_viewers: of_viewers.flatten() }),
        };
        place.ok_or_else(|| {
            let kept =
                if is_viewer { format!(", or {OF_VIEWERS} with the role viewer") } else { String::new() };
            Failed::TooMany(format!(
                "{PLACES} clients {does} already{kept}, which is the maximum: end one of them"
            ))
        })
    }
}

impl Places {
    /// A place for a client that follows.
    pub(super) fn following(&self, role: KeyRole) -> Result<Place, Failed> {
        self.following.take(role, "follow")
    }

    /// A place for a client that reads what is remembered.
    pub(super) fn reading(&self, role: KeyRole) -> Result<Place, Failed> {
        self.reading.take(role, "read the past")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_leave_places_to_others() {
        let places = Places::default();
        let take = |role| places.following(role);
        let mut taken: Vec<Place> = (0..OF_VIEWERS).map(|_| take(KeyRole::Viewer).unwrap()).collect();
        let Err(Failed::TooMany(message)) = take(KeyRole::Viewer) else { panic!("too many") };
        assert!(message.contains("8 clients follow already, or 6 with the role viewer"), "{message}");
        taken.extend([KeyRole::Editor, KeyRole::Admin].map(|role| take(role).unwrap()));
        assert!(take(KeyRole::Admin).is_err() && take(KeyRole::Viewer).is_err());
        // The other kind has its own, and a viewer who is gone makes room.
        places.reading(KeyRole::Viewer).unwrap();
        taken.remove(0);
        assert!(take(KeyRole::Viewer).is_ok() && take(KeyRole::Admin).is_ok());
        // A refused viewer takes no place away.
        let others: Vec<_> = (0..PLACES).map(|_| places.reading(KeyRole::Admin).unwrap()).collect();
        (0..20).for_each(|_| assert!(places.reading(KeyRole::Viewer).is_err()));
        drop(others);
        assert!((0..OF_VIEWERS).map(|_| places.reading(KeyRole::Viewer)).all(|place| place.is_ok()));
    }
}
