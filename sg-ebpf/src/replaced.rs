//! Entries of flows that the program replaces or evicts: their last values go to the agent, which has not read them. It must
//! never change an entry. Called by [`crate::flow_table`] and [`crate::half_open`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
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

/// Of a reservation: with any flag the kernel refuses it (`bpf_ringbuf_reserve`, kernel/bpf/ringbuf.c).
const NO_FLAGS: u64 = 0;

/// Sends the values of an entry that is about to go, if somebody reads them.
#[inline(always)]
pub fn report(key: &FlowKey, entry: *const FlowEntry) {
    let Some(watch) = WATCH.get(0) else { return };
    if watch.wants_flows(helpers::now()) {
        sg_replaced(key, entry);
    } else if watch.flows_until != 0 {
        // An agent that wanted them has been gone for a while.
        helpers::count(UNREAD, 0);
    }
}

const _: subprograms::Replaced = sg_replaced;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_replaced(key: *const FlowKey, entry: *const FlowEntry) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let (Some(key), Some(entry)) = (unsafe { (key.as_ref(), entry.as_ref()) }) else { return 0 };
    let flags = u64::from(BPF_RB_NO_WAKEUP);
    let Some(mut place) = REPLACED_FLOWS.reserve_untyped::<ReplacedFlow>(NO_FLAGS) else {
        helpers::count(UNREAD, 0);
        return 0;
    };
    let to = place.as_mut_ptr();
    // SAFETY: the ring has given as much memory, which begins with the key.
    unsafe {
        copy(key, &raw mut (*to).key);
        copy(entry, &raw mut (*to).entry);
    }
    place.submit(flags);
    helpers::count(REPLACED, 0);
    1
}

/// Copies word by word: for a copy of the whole the compiler emits a call that moves single bytes.
#[inline(always)]
fn copy<T>(from: &T, to: *mut T) {
    let (from, to) = (core::ptr::from_ref(from).cast::<u64>(), to.cast::<u64>());
    for word in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: both have as many words.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}
