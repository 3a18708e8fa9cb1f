//! The flow table. What an entry means is `sg_common::flow`'s business; here it is found and kept.

#![expect(unsafe_code, reason = "a map gives pointers to values that other CPUs may change")]

use sg_common::flow::{FlowEntry, FlowKey, Timeouts};

use crate::maps::{FLOWS, SETTINGS};

/// The entry of a flow, to be changed in place: an update of the map would cost three times as much.
#[inline(always)]
pub fn find(key: &FlowKey) -> Option<&'static mut FlowEntry> {
    let entry = FLOWS.get_ptr_mut(key)?;
    // SAFETY: the pointer is valid until the program ends (RCU). Other CPUs may write the same entry: its
    // fields are words that are written whole, and `FlowEntry::observe` says what a lost count means.
    Some(unsafe { &mut *entry })
}

/// Keeps a new flow. False where the table is full.
#[inline(always)]
pub fn keep(key: &FlowKey, entry: &FlowEntry) -> bool {
    FLOWS.insert(key, entry, 0).is_ok()
}

/// The timeouts in jiffies.
#[inline(always)]
pub fn timeouts() -> Option<&'static Timeouts> {
    SETTINGS.get(0).map(|settings| &settings.timeouts)
}
