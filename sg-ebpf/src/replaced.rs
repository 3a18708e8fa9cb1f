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
    let Some(mut place) = REPLACED_FLOWS.reserve_untyped::<ReplacedFlow>(helpers::NO_FLAGS) else {
        helpers::count(UNREAD, 0);
        return 0;
    };
    let to = place.as_mut_ptr();
    // SAFETY: the ring has given as much memory, which begins with the key.
    unsafe {
        helpers::copy(key, &raw mut (*to).key);
        helpers::copy(entry, &raw mut (*to).entry);
    }
    place.submit(flags);
    helpers::count(REPLACED, 0);
    1
}
