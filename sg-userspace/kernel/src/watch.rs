//! What somebody wants to see now, and the rings of single events and of flows that the program replaced. It must never know what
//! an event is for. Called by `datapath`, and through it by the agent and its observer.

use std::{
    fmt,
    os::fd::AsFd as _,
    sync::{Arc, atomic::Ordering},
};

use aya::{
    Ebpf,
    maps::{Map, MapData, RingBuf},
};
use sg_common::event::{CAPTURE, Event, ReplacedFlow, Watch};

use super::{KernelError, object::open, sys, window::MappedArray};

/// Words of a [`Watch`].
const WORDS: usize = size_of::<Watch>() / size_of::<u64>();
/// Flows that the ring holds: a mebibyte, of which each takes eight bytes more than its size.
const MOST_REPLACED: usize = (1 << 20) / (size_of::<ReplacedFlow>() + 8);
/// The place of its first field, and of its last.
const UNTIL: usize = 0;
const FLOWS_UNTIL: usize = core::mem::offset_of!(Watch, flows_until) / 8;

/// Tells the program what somebody wants to see. Clones write the same words.
#[derive(Clone)]
pub struct Watcher(Arc<MappedArray>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl Watcher {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(Arc::new(MappedArray::take(ebpf, "WATCH", WORDS)?)))
    }

    /// Begins, changes or continues watching; [`Watch::flows_until`] stays. While the words are written, programs see a mixture,
    /// which shows an event too many or too few.
    pub fn watch(&self, watch: &Watch) {
        let (words, _) = sys::bytes_of(watch).as_chunks();
        for (at, (place, word)) in self.0.words().iter().zip(words).enumerate() {
            if at != UNTIL && at != FLOWS_UNTIL {
                place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            }
        }
        self.write(UNTIL, watch.until);
    }

    /// Wants the last values of flows that are replaced, until then.
    pub fn want_flows(&self, until: u64) {
        self.write(FLOWS_UNTIL, until);
    }

    fn write(&self, at: usize, value: u64) {
        if let Some(word) = self.0.words().get(at) {
            word.store(value, Ordering::Release);
        }
    }
}

/// An event with the first bytes of its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The event.
    pub event: Event,
    /// As many bytes as were captured.
    pub bytes: &'a [u8],
}

/// The ring of single events.
pub struct Events(RingBuf<MapData>);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Opens the ring a second time: the programs that are loaded later refer to `map` by its descriptor, so that must stay open.
    pub(super) fn of(map: &Map) -> Result<Self, KernelError> {
        let Map::RingBuf(map) = map else {
            return Err(KernelError::Missing { what: "ring", name: "EVENTS" });
        };
        let failed = KernelError::call("open the ring of events");
        let open = || {
            let map = MapData::from_fd(map.fd().as_fd().try_clone_to_owned()?)?;
            RingBuf::try_from(Map::from_map_data(map)?)
        };
        open().map(Self).map_err(failed)
    }

    /// Takes the events that are there, `most` at most; returns how many.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(Seen<'_>)) -> usize {
        let mut count = 0;
        while count < most {
            let Some(item) = self.0.next() else { break };
            count += 1;
            if let Some(seen) = seen(&item) {
                each(seen);
            }
        }
        count
    }
}

fn seen(bytes: &[u8]) -> Option<Seen<'_>> {
    let (event, rest) = bytes.split_at_checked(size_of::<Event>())?;
    let event: Event = sys::value_of(event)?;
    let captured = usize::from(event.captured).min(CAPTURE).min(rest.len());
    Some(Seen { event, bytes: rest.get(..captured)? })
}

/// The ring of flows that the program replaced.
pub(super) struct Replaced(RingBuf<MapData>);

impl Replaced {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        open(ebpf, "REPLACED_FLOWS").map(Self)
    }

    /// Takes those that are there, or as many as the ring holds if the program adds more meanwhile. Each leaves the ring behind
    /// its call of `each`.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&ReplacedFlow)) {
        for _ in 0..MOST_REPLACED {
            let Some(item) = self.0.next() else { break };
            if let Some(flow) = sys::value_of(&item) {
                each(&flow);
            }
        }
    }
}
