//! The flow tables, and the table of datagrams that come in fragments. What an entry means is the business of
//! `sg_common`; here it is found and kept.

#![expect(unsafe_code, reason = "a map gives pointers to values that other CPUs may change")]

use sg_common::{
    abi::{self, Settings},
    flow::{Direction, FlowEntry, FlowKey, State},
    fragment::{FragmentEntry, FragmentKey},
    packet::Packet,
    verdict::Reason,
};

use crate::{
    maps::{COUNTERS, FLOWS, FRAGMENTS, HALF_OPEN, NIC_FLOWS, SETTINGS},
    view,
};

/// A flow that was found.
pub struct Found {
    /// To be changed in place: an update of the map would cost three times as much.
    pub entry: &'static mut FlowEntry,
    /// It was not answered, as far as the tables know.
    half_open: bool,
}

/// The live entry of a flow.
#[inline(always)]
pub fn find(key: &FlowKey, settings: &Settings, now: u64) -> Option<Found> {
    // SAFETY: the pointers are valid until the program ends (RCU). Other CPUs may write the same entry: its
    // fields are words that are written whole, and `FlowEntry::observe` says what a lost count means.
    let known = FLOWS.get_ptr_mut(key).map(|entry| unsafe { &mut *entry });
    if let Some(entry) = known
        && !entry.is_expired(key, &settings.timeouts, now)
    {
        return Some(Found { entry, half_open: false });
    }
    // SAFETY: likewise.
    let asked = HALF_OPEN.get_ptr_mut(key).map(|entry| unsafe { &mut *entry });
    match asked {
        Some(entry) if !entry.is_expired(key, &settings.timeouts, now) => {
            Some(Found { entry, half_open: true })
        }
        _ => None,
    }
}

/// Keeps a new flow among those that are not answered yet. False where there is no room.
#[inline(always)]
pub fn keep(key: &FlowKey, entry: &FlowEntry) -> bool {
    let kept = HALF_OPEN.insert(key, entry, 0).is_ok();
    if kept {
        count(abi::flows::KEPT);
    }
    kept
}

/// Moves a flow that was answered to the others.
///
/// # Errors
/// There is no room, or its NIC has its share: then the flow stays where it is.
#[inline(always)]
pub fn settle(key: &FlowKey, found: &Found) -> Result<(), Reason> {
    if !found.half_open || found.entry.state != State::Established as u8 {
        return Ok(());
    }
    let (Some(settings), Some(flows)) = (settings(), NIC_FLOWS.get_ptr_mut(u32::from(key.nic))) else {
        return Err(Reason::FlowTableFull);
    };
    // SAFETY: valid until the program ends; a word that is read and written whole. Of two CPUs that count at once one may be
    // lost until the next sweep.
    let flows = unsafe { &mut *flows };
    if *flows >= u64::from(settings.flows_per_nic) {
        return Err(Reason::FlowQuota);
    }
    // From where it stands: a copy would take a sixth of the stack.
    let entry: &FlowEntry = found.entry;
    if FLOWS.insert(key, entry, 0).is_err() {
        return Err(Reason::FlowTableFull);
    }
    *flows += 1;
    // Another CPU may have been faster.
    if HALF_OPEN.remove(key).is_ok() {
        count(abi::flows::SETTLED);
    }
    Ok(())
}

/// Counts a flow for the host.
#[inline(always)]
fn count(number: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(number) {
        view::add(counter, 0);
    }
}

/// Notes a packet of a flow.
#[inline(always)]
pub fn observe(entry: &mut FlowEntry, packet: &Packet, direction: Direction, length: u32) {
    sg_observe(entry, packet, u64::from(direction as u8), u64::from(length));
}

/// A global function, as the walks of [`crate::policy`] are: the verifier follows a connection's states once, and not again
/// from every state that the datapath is in.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_observe(entry: *mut FlowEntry, packet: *const Packet, direction: u64, length: u64) -> u64 {
    let direction = Direction::of(direction);
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    if let (Some(entry), Some(packet)) = unsafe { (entry.as_mut(), packet.as_ref()) } {
        entry.observe(packet, direction, length as u32, view::now());
    }
    0
}

/// What the agent set.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// The datagram that a fragment belongs to.
#[inline(always)]
pub fn datagram(key: &FragmentKey) -> Option<&'static mut FragmentEntry> {
    let entry = FRAGMENTS.get_ptr_mut(key)?;
    // SAFETY: as in `find`; fragments that two CPUs take at the same time do not both follow.
    Some(unsafe { &mut *entry })
}

/// Remembers the first fragment of a datagram. False where there is no room: then the others are dropped.
#[inline(always)]
pub fn remember(key: &FragmentKey, entry: &FragmentEntry) -> bool {
    FRAGMENTS.insert(key, entry, 0).is_ok()
}
