//! How many clients may do at a time what is dear, over all listeners: follow what is observed, which costs the observer a look at
//! every record; read the past, which holds a thread; compare, which holds a processor for seconds. Viewers leave some places to
//! others: whoever is to stop something must be able to see it. It must never know records. `observe` and `routes` take places; whoever
//! starts listeners makes one of these for all.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use sg_records::KeyRole;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Failed;

/// Places of those that observe, of either kind.
const PLACES: usize = 8;
/// Of those, places that viewers may have.
const OF_VIEWERS: usize = 6;
/// Places of those that compare, and of those, of viewers. A viewer has one at a time: another viewer must get the next.
const COMPARING: [usize; 2] = [3, 2];

/// The places of clients.
#[derive(Debug)]
pub struct Places {
    following: Kind,
    reading: Kind,
    comparing: Kind,
    /// Viewers that compare.
    viewers: Arc<Callers>,
}

/// Callers that have a place, by name.
type Callers = Mutex<BTreeSet<String>>;

impl Default for Places {
    fn default() -> Self {
        let observing = || Kind::of([PLACES, OF_VIEWERS]);
        let (comparing, viewers) = (Kind::of(COMPARING), Arc::default());
        Self { following: observing(), reading: observing(), comparing, viewers }
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _one: OwnedSemaphorePermit,
    _of_viewers: Option<OwnedSemaphorePermit>,
    _of_caller: Option<OfCaller>,
}

/// The only place of a caller, until it is dropped.
#[derive(Debug)]
struct OfCaller {
    name: String,
    all: Arc<Callers>,
}

impl OfCaller {
    /// `None`: the caller has one already.
    fn take(name: &str, all: &Arc<Callers>) -> Option<Self> {
        let mut names = all.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned()).then(|| Self { name: name.to_owned(), all: Arc::clone(all) })
    }
}

impl Drop for OfCaller {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[derive(Debug)]
struct Kind {
    all: Arc<Semaphore>,
    of_viewers: Arc<Semaphore>,
    /// How many places there are, and of those, of viewers.
    most: [usize; 2],
}

impl Kind {
    fn of(most: [usize; 2]) -> Self {
        let [all, of_viewers] = most.map(|places| Arc::new(Semaphore::new(places)));
        Self { all, of_viewers, most }
    }

    /// `does` is what they do, `then` what helps.
    fn take(&self, role: KeyRole, does: &str, then: &str) -> Result<Place, Failed> {
        let [places, for_viewers] = self.most;
        let is_viewer = role == KeyRole::Viewer;
        let one = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_owned().ok();
        let of_viewers = is_viewer.then(|| one(&self.of_viewers));
        let place = match of_viewers {
            Some(None) => None,
            of_viewers => one(&self.all).map(|one| Place {
                _one: one,
                _of_viewers: of_viewers.flatten(),
                _of_caller: None,
            }),
        };
        place.ok_or_else(|| {
            let kept =
                if is_viewer { format!(", or {for_viewers} with the role viewer") } else { String::new() };
            Failed::TooMany(format!("{places} clients {does} already{kept}, which is the maximum: {then}"))
        })
    }
}

impl Places {
    /// A place for a client that follows.
    pub(super) fn following(&self, role: KeyRole) -> Result<Place, Failed> {
        self.following.take(role, "follow", "end one of them")
    }

    /// A place for a client that reads what is remembered.
    pub(super) fn reading(&self, role: KeyRole) -> Result<Place, Failed> {
        self.reading.take(role, "read the past", "end one of them")
    }

    /// A place for a client that compares, by the name of its caller.
    pub(super) fn comparing(&self, role: KeyRole, caller: &str) -> Result<Place, Failed> {
        let own = (role == KeyRole::Viewer).then(|| OfCaller::take(caller, &self.viewers));
        let Some(own) = own.map_or(Some(None), |own| own.map(Some)) else {
            return Err(Failed::TooMany(format!(
                "{caller} compares already, and a viewer has one place: ask again in a few seconds"
            )));
        };
        let place = self.comparing.take(role, "compare", "ask again in a few seconds")?;
        Ok(Place { _of_caller: own, ..place })
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

    #[test]
    fn a_viewer_compares_once_at_a_time_and_not_all_do() {
        let places = Places::default();
        let viewer = |name| places.comparing(KeyRole::Viewer, name);
        let taken: Vec<Place> = ["key ak-1", "key ak-2"].map(|name| viewer(name).unwrap()).into();
        let Err(Failed::TooMany(message)) = viewer("key ak-1") else { panic!("twice") };
        assert!(message.contains("key ak-1 compares already"), "{message}");
        let Err(Failed::TooMany(message)) = viewer("key ak-3") else { panic!("too many") };
        assert!(message.contains("3 clients compare already, or 2 with the role viewer"), "{message}");
        // Who was refused has no place.
        places.comparing(KeyRole::Admin, "uid 0").unwrap();
        drop(taken);
        drop(viewer("key ak-1").unwrap());
        viewer("key ak-3").unwrap();
        // Others may compare several times.
        let taken: Vec<Place> =
            (0..COMPARING[0]).map(|_| places.comparing(KeyRole::Admin, "uid 0").unwrap()).collect();
        assert!(places.comparing(KeyRole::Admin, "uid 0").is_err());
        drop(taken);
    }
}
