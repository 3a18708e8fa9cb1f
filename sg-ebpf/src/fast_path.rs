//! The fast path: a packet of a known flow that changes nothing but counters and sequence numbers. One lookup finds the flow,
//! judges the packet and records it. It must never decide any other packet: [`crate::flow_table`] does. Called by
//! [`crate::frame`].

use sg_common::{
    flow::{Direction, FlowEntry, FlowKeyV4},
    image::flags,
    packed::{FlowScope, LookupResult},
    packet::Packet,
    verdict::Decision,
};

use crate::{
    flow_table::{find_established, find_half_open, live},
    helpers,
    maps::FLOWS_V4,
    scratch::Scratch,
};

/// No established flow was found; never returned.
const ABSENT: LookupResult = LookupResult::of(2);

/// Looks up the flow that [`Scratch::key`] names, and records a packet of `length` bytes that takes the fast path. Returns a
/// decision that accepts it, another result, or [`LookupResult::AGAIN`] if
/// [`lookup_and_update`](crate::flow_table::lookup_and_update) must do a full lookup.
#[inline(always)]
pub fn lookup_and_update(scratch: &mut Scratch, direction: Direction, length: u64) -> LookupResult {
    let now = helpers::now();
    match find_established(&scratch.key, now) {
        Some(entry) => usual(scratch, entry, (direction, length, now), FlowEntry::is_usual),
        None => lookup_half_open(scratch, direction, length, now),
    }
}

/// As [`lookup_and_update`], for the most common packets: those that were [parsed plainly](sg_common::packet::plain), and are no
/// ICMP. Also builds the flow key. If the packet is accepted, nobody reads [`Scratch::key`] or the rest of the packet, so neither
/// is written.
#[inline(always)]
pub fn lookup_and_update_plain(scratch: &mut Scratch, scope: FlowScope, length: u64) -> LookupResult {
    let (now, direction) = (helpers::now(), scope.direction);
    let key = FlowKeyV4::named(scope.slot, direction, &scratch.packet);
    #[expect(clippy::needless_borrows_for_generic_args, reason = "it would be copied")]
    let entry = FLOWS_V4.get_ptr_mut(&key);
    let result = match live(entry, key.l4, now) {
        Some(entry) => usual(scratch, entry, (direction, length, now), FlowEntry::is_usual),
        None => ABSENT,
    };
    if result.decision().is_some() {
        return result;
    }
    scratch.key = key.widened();
    if result == ABSENT { lookup_half_open(scratch, direction, length, now) } else { result }
}

/// As [`lookup_and_update`], among half-open flows.
#[inline(always)]
fn lookup_half_open(scratch: &mut Scratch, direction: Direction, length: u64, now: u64) -> LookupResult {
    match find_half_open(&scratch.key, now) {
        Some(entry) => {
            let is_usual = |entry: &FlowEntry, packet: &Packet| entry.is_usual_question(packet, direction);
            usual(scratch, entry, (direction, length, now), is_usual)
        }
        // The full lookup finds what is left of a closed connection.
        None if scratch.packet.is_mid_stream() => LookupResult::AGAIN,
        None => LookupResult::MISS,
    }
}

/// Judges the packet by an entry; if it `is_usual`, it changes nothing but what is recorded of it.
#[inline(always)]
fn usual(
    scratch: &Scratch,
    entry: &mut FlowEntry,
    (direction, length, now): (Direction, u64, u64),
    is_usual: impl Fn(&FlowEntry, &Packet) -> bool,
) -> LookupResult {
    let Scratch { packet, header, .. } = scratch;
    if entry.is_stale(header.generation, header.flags & flags::REVALIDATE != 0) {
        return LookupResult::AGAIN;
    }
    if !is_usual(entry, packet) {
        return if entry.only_leaves_to_policy(packet, direction) {
            LookupResult::NEEDS_POLICY
        } else {
            LookupResult::AGAIN
        };
    }
    // Any other decision is of a CPU that is revoking the flow: the full lookup handles it.
    let accepts = |decision: &Decision| decision.accepts();
    let Some(decision) = Decision::from_word(entry.decision).filter(accepts) else {
        return LookupResult::AGAIN;
    };
    entry.note(packet, direction, length, now);
    LookupResult::hit(decision)
}
