//! Entries of flows that the program replaces or evicts: their last values go to the agent, which has not read them. It must
//! never change an entry. Called by [`crate::flow_table`] and [`crate::half_open`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, maps::ring_buf::RingBufEntry};
use sg_common::{
    abi::flows::{REPLACED, UNREAD},
    event::ReplacedFlow,
    flow::{FlowEntry, FlowKey},
};

use crate::{
    helpers,
    maps::{REPLACED_FLOWS, WATCH},
    subprograms,
};

/// Sends the values of an entry that is about to be replaced, if somebody reads them.
#[inline(always)]
pub fn report(key: &FlowKey, entry: *const FlowEntry) {
    if WATCH.get(0).is_some_and(|watch| watch.flows_until != 0) {
        sg_replaced(key, entry);
    }
}

const _: subprograms::Replaced = sg_replaced;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_replaced(key: *const FlowKey, entry: *const FlowEntry) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let (Some(key), Some(entry)) = (unsafe { (key.as_ref(), entry.as_ref()) }) else { return 0 };
    LastValues::of(key, entry).send();
    0
}

/// The last values of an entry, copied before it goes: its memory is used again at once.
pub enum LastValues {
    /// A place in the ring that has them.
    Copied(RingBufEntry<ReplacedFlow>),
    /// Nobody could read them: the ring is full, or an agent that wanted them has been gone for a while.
    Unread,
    /// Nobody wants them.
    Unwanted,
}

impl LastValues {
    #[inline(always)]
    pub fn of(key: &FlowKey, entry: &FlowEntry) -> Self {
        let Some(watch) = WATCH.get(0).filter(|watch| watch.flows_until != 0) else { return Self::Unwanted };
        if !watch.wants_flows(helpers::now()) {
            return Self::Unread;
        }
        let Some(mut place) = REPLACED_FLOWS.reserve_untyped::<ReplacedFlow>(helpers::NO_FLAGS) else {
            return Self::Unread;
        };
        let to = place.as_mut_ptr();
        // SAFETY: the ring has given as much memory, which begins with the key.
        unsafe {
            helpers::copy(key, &raw mut (*to).key);
            helpers::copy(entry, &raw mut (*to).entry);
        }
        Self::Copied(place)
    }

    /// The entry goes.
    #[inline(always)]
    pub fn send(self) {
        match self {
            Self::Copied(place) => {
                place.submit(u64::from(BPF_RB_NO_WAKEUP));
                helpers::count(REPLACED, 0);
            }
            Self::Unread => helpers::count(UNREAD, 0),
            Self::Unwanted => {}
        }
    }

    /// Another CPU has removed the entry, and sends them.
    #[inline(always)]
    pub fn discard(self) {
        if let Self::Copied(place) = self {
            place.discard(u64::from(BPF_RB_NO_WAKEUP));
        }
    }
}
