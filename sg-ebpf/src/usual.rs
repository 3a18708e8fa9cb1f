//! The packet that most packets are: of a flow that is known, and changing nothing of it but counts and numbers. It is found, judged
//! and noted in one look. It must never decide what is anything else: [`crate::flow_table`] does. Called by [`crate::frame`].

use sg_common::{
    flow::{Direction, FlowEntry, FlowKeyV4},
    image::flags,
    packet::Packet,
    verdict::Decision,
};

use crate::{
    flow_table::{AGAIN, MISS, NEEDS_POLICY, find_established, find_half_open, live},
    frame::FlowScope,
    maps::FLOWS_16,
    scratch::Scratch,
    view,
};

/// There is no such flow among those that were answered; never what a function says.
const ABSENT: u64 = 2;

/// Looks for the flow that [`Scratch::key`] names, and notes a usual packet of it, `length` bytes long. Returns a decision that
/// accepts it, what [`FlowLookup::of`](crate::flow_table::FlowLookup::of) reads, or zero where [`known`](crate::flow_table::lookup_and_update) must look again.
#[inline(always)]
pub fn lookup_and_update(scratch: &mut Scratch, direction: Direction, length: u64) -> u64 {
    let now = view::now();
    match find_established(&scratch.key, now) {
        Some(entry) => usual(scratch, entry, (direction, length, now), FlowEntry::is_usual),
        None => lookup_half_open(scratch, direction, length, now),
    }
}

/// The same for what most packets are, which names the flow, too: those that were read [plainly](sg_common::packet::plain), and
/// not of ICMP. Where the packet is accepted nobody asks for [`Scratch::key`], and it is not written, nor is the rest of the packet.
#[inline(always)]
pub fn lookup_and_update_plain(scratch: &mut Scratch, scope: FlowScope, length: u64) -> u64 {
    let (now, direction) = (view::now(), scope.direction);
    let key = FlowKeyV4::named(scope.slot, direction, &scratch.packet);
    #[expect(clippy::needless_borrows_for_generic_args, reason = "it would be copied")]
    let entry = FLOWS_16.get_ptr_mut(&key);
    let said = match live(entry, key.l4, now) {
        Some(entry) => usual(scratch, entry, (direction, length, now), FlowEntry::is_usual),
        None => ABSENT,
    };
    if Decision::from_word(said).is_some() {
        return said;
    }
    scratch.key = key.widened();
    if said == ABSENT { lookup_half_open(scratch, direction, length, now) } else { said }
}

/// The same among flows that were not answered yet.
#[inline(always)]
fn lookup_half_open(scratch: &mut Scratch, direction: Direction, length: u64, now: u64) -> u64 {
    match find_half_open(&scratch.key, now) {
        Some(entry) => {
            let is_usual = |entry: &FlowEntry, packet: &Packet| entry.is_usual_question(packet, direction);
            usual(scratch, entry, (direction, length, now), is_usual)
        }
        // Of a connection that has ended `known` finds what is left.
        None if scratch.packet.is_mid_stream() => AGAIN,
        None => MISS,
    }
}

/// What an entry says of a packet that, if it `is_usual`, changes nothing but what is noted of it.
#[inline(always)]
fn usual(
    scratch: &Scratch,
    entry: &mut FlowEntry,
    (direction, length, now): (Direction, u64, u64),
    is_usual: impl Fn(&FlowEntry, &Packet) -> bool,
) -> u64 {
    let Scratch { packet, header, .. } = scratch;
    if entry.is_stale(header.generation, header.flags & flags::REVALIDATE != 0) {
        return AGAIN;
    }
    if !is_usual(entry, packet) {
        return if entry.only_leaves_to_policy(packet, direction) { NEEDS_POLICY } else { AGAIN };
    }
    // Another one is what a processor says that is cutting the flow: then more is asked for than was read.
    let accepts = |decision: &Decision| decision.accepts();
    let Some(decision) = Decision::from_word(entry.decision).filter(accepts) else { return AGAIN };
    entry.note(packet, direction, length, now);
    decision.word()
}
