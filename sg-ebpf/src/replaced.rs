//! Entries of flows that the program replaces or evicts: their last values go to the agent, which has not read them. It must
//! never change an entry, and removes one only together with sending it. Called by [`crate::flow_table`] and [`crate::half_open`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use sg_common::{
    abi::flows::{REPLACED, UNREAD},
    event::ReplacedFlow,
    flow::{FlowEntry, FlowKey},
};

use crate::{
    half_open, helpers,
    maps::{REPLACED_FLOWS, WATCH},
    subprograms,
};

/// Sends the values of an entry that is about to be replaced, if somebody reads them.
#[inline(always)]
pub fn report(key: &FlowKey, entry: *const FlowEntry) {
    send(key, entry, false);
}

/// Removes the entry of a half-open flow, and sends its last values. Returns whether it was there: if another CPU has just removed
/// it, that one sends them.
#[inline(always)]
pub fn remove(key: &FlowKey, entry: *const FlowEntry) -> bool {
    send(key, entry, true)
}

#[inline(always)]
fn send(key: &FlowKey, entry: *const FlowEntry, removes: bool) -> bool {
    let watch = WATCH.get(0);
    if watch.is_some_and(|watch| watch.wants_flows(helpers::now())) {
        return sg_replaced(key, entry, u64::from(removes)) != 0;
    }
    let goes = !removes || half_open::remove(key);
    if goes && watch.is_some_and(|watch| watch.flows_until != 0) {
        // An agent that wanted them has been gone for a while.
        helpers::count(UNREAD, 0);
    }
    goes
}

const _: subprograms::Replaced = sg_replaced;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_replaced(key: *const FlowKey, entry: *const FlowEntry, removes: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let (Some(key), Some(entry)) = (unsafe { (key.as_ref(), entry.as_ref()) }) else { return 0 };
    let place = REPLACED_FLOWS.reserve_untyped::<ReplacedFlow>(helpers::NO_FLAGS).map(|mut place| {
        let to = place.as_mut_ptr();
        // SAFETY: the ring has given as much memory, which begins with the key. Copied before it is removed: its memory is used
        // again at once.
        unsafe {
            helpers::copy(key, &raw mut (*to).key);
            helpers::copy(entry, &raw mut (*to).entry);
        }
        place
    });
    let flags = u64::from(BPF_RB_NO_WAKEUP);
    let goes = removes == 0 || half_open::remove(key);
    match place {
        Some(place) if goes => {
            place.submit(flags);
            helpers::count(REPLACED, 0);
        }
        Some(place) => place.discard(flags),
        None if goes => helpers::count(UNREAD, 0),
        None => {}
    }
    u64::from(goes)
}
