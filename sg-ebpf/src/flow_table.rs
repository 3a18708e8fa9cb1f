//! The flow tables: lookup, insert and update. `sg_common` defines what an entry means.

#![expect(unsafe_code, reason = "a map gives pointers to values that other CPUs may change")]

use sg_common::{
    abi::reason_counter,
    flow::{Began, Direction, FlowEntry, FlowKey, FlowKeyV4, Found, PortsProtoNic, State, Width, flags},
    image,
    verdict::{Decision, Reason, Verdict},
};

use crate::{
    half_open,
    maps::{CLOSED_V4, CLOSED_V6, FLOWS_V4, FLOWS_V6, NIC_FLOWS, on_stack, settings},
    scratch::Scratch,
    view,
};

/// Result of a lookup of the flow that [`Scratch::key`] names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FlowLookup {
    /// There is no entry.
    Miss,
    /// The policy must judge the flow: its entry is from an older generation, or the flow begins anew. Holds the direction of the
    /// first packet, and whether the rules of both directions must accept, see
    /// [`image::refill_keys`](crate::image::refill_keys). The decision goes to [`revalidate`].
    Stale(Direction, bool),
    /// As [`Self::Stale`], for a closed TCP connection. If the policy accepts the packet, [`reopen`] the connection.
    Closed(Direction, bool),
    /// The packet is an ICMP error about a live flow.
    Related,
    /// There is an entry, but the policy must judge the packet: it requests a new connection, or is an error about a revoked
    /// flow.
    NeedsPolicy,
    /// The flow's decision; the packet has been recorded.
    Hit(Decision),
    /// There is an invalid entry.
    Corrupt,
}

impl FlowLookup {
    /// Decodes the result of [`fast_path::lookup_and_update`](crate::fast_path::lookup_and_update) or [`sg_lookup`].
    #[inline(always)]
    pub fn of(said: u64) -> Self {
        if let Some(decision) = Decision::from_word(said) {
            return Self::Hit(decision);
        }
        let (first, either) = (Direction::of(said & EGRESS), said & EITHER != 0);
        match said & !(EGRESS | EITHER) {
            MISS => Self::Miss,
            NEEDS_POLICY => Self::NeedsPolicy,
            RELATED => Self::Related,
            CORRUPT => Self::Corrupt,
            CLOSED_FLOW => Self::Closed(first, either),
            _ => Self::Stale(first, either),
        }
    }
}

/// Arguments of a lookup, besides those in [`Scratch`]: key, packet, and image header.
pub struct LookupArgs {
    /// Direction of the packet.
    pub direction: Direction,
    /// Whether the packet is an ICMP error about the flow.
    pub error: bool,
    /// Length of the frame in bytes.
    pub length: u32,
}

// Bits of the arguments of the functions below; some are bits of their results too.
const EGRESS: u64 = 1;
const EITHER: u64 = 2;
const ERROR: u64 = 4;
const JUDGED: u64 = 8;
const HAS_ENTRY: u64 = 16;
const REOPENS: u64 = 32;
const FIRST_EGRESS: u64 = 64;

// Results of `fast_path::lookup_and_update` and `sg_lookup` that are no decision: decisions have their highest bit set. Zero means
// that a full lookup is required.
pub const AGAIN: u64 = 0;
pub const MISS: u64 = 4;
pub const NEEDS_POLICY: u64 = 8;
const RELATED: u64 = 12;
const STALE: u64 = 16;
const CLOSED_FLOW: u64 = 20;
const CORRUPT: u64 = 24;

/// Looks the flow up, and records the packet if it belongs to it. With `judged`, the flow was revalidated for this packet and is
/// not stale.
#[inline(always)]
pub fn lookup_and_update(scratch: &mut Scratch, args: &LookupArgs, judged: bool) -> FlowLookup {
    let bits = if args.error { ERROR } else { 0 } | if judged { JUDGED } else { 0 } | args.direction as u64;
    FlowLookup::of(sg_lookup(scratch, bits, u64::from(args.length)))
}

/// Updates the flow with the decision of the current policy, taken for a first packet in direction `first`. An entry that has
/// replaced the flow since is left alone.
#[inline(always)]
pub fn revalidate(scratch: &mut Scratch, first: Direction, decision: Decision, error: bool) {
    sg_revalidate(scratch, decision.word(), if error { ERROR } else { 0 } | first as u64);
}

/// Inserts a flow with its first packet; for `either` see [`flags::EITHER_WAY`]. Returns false if there is no room.
#[inline(always)]
pub fn open(
    scratch: &mut Scratch,
    decision: Decision,
    args: &LookupArgs,
    has_entry: bool,
    either: bool,
) -> bool {
    let bits =
        if has_entry { HAS_ENTRY } else { 0 } | if either { EITHER } else { 0 } | args.direction as u64;
    sg_open(scratch, decision.word(), bits, u64::from(args.length)) != 0
}

/// Inserts a closed connection again, whose first packet went in direction `first`; see [`open`].
#[inline(always)]
pub fn reopen(scratch: &mut Scratch, decision: Decision, args: &LookupArgs, first: Direction, either: bool) {
    let first = if first == Direction::Egress { FIRST_EGRESS } else { 0 };
    let bits = REOPENS | first | if either { EITHER } else { 0 } | args.direction as u64;
    sg_open(scratch, decision.word(), bits, u64::from(args.length));
}

// Global functions, like the walks of [`crate::image`]: the verifier checks each once, and not again from every datapath state.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_lookup(scratch: *mut Scratch, args: u64, length: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return MISS };
    let now = view::now();
    if let Some(entry) = find_established(&scratch.key, now) {
        let said = sg_found(scratch, entry, args, length);
        return if said == MISS { sg_unknown(scratch, args) } else { said };
    }
    let Some(entry) = find_half_open(&scratch.key, now) else { return sg_unknown(scratch, args) };
    let said = sg_found(scratch, entry, args, length);
    if said == MISS {
        return sg_unknown(scratch, args);
    }
    if entry.state == State::Established as u8
        && Decision::from_word(said).is_some()
        && let Err(reason) = promote(&scratch.key, entry)
    {
        let direction = Direction::of(args & EGRESS);
        view::count(reason_counter(scratch.header.counters, direction, reason), length as u32);
    }
    said
}

// One function for entries of all tables: inlined, the verifier would check the code once for each table.

/// Judges the packet by the entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_found(scratch: *mut Scratch, entry: *mut FlowEntry, args: u64, length: u64) -> u64 {
    // SAFETY: as above. Other CPUs may write the same entry, see [`FlowEntry`].
    let (Some(scratch), Some(entry)) = (unsafe { (scratch.as_mut(), entry.as_mut()) }) else {
        return MISS;
    };
    let Scratch { packet, header, .. } = scratch;
    let found = entry.find(
        packet,
        Direction::of(args & EGRESS),
        (args & ERROR != 0, args & JUDGED != 0),
        (header.generation, header.flags & image::flags::REVALIDATE != 0),
        view::now(),
    );
    let decision = match found {
        Found::Passes(decision) => {
            sg_observe(scratch, entry, args, length);
            decision
        }
        Found::Decided(decision) => decision,
        Found::Stale(first, either) => return STALE | if either { EITHER } else { 0 } | first as u64,
        Found::Related => return RELATED,
        Found::NeedsPolicy => return NEEDS_POLICY,
        Found::Miss => return MISS,
    };
    if Decision::from_word(decision).is_some() { decision } else { CORRUPT }
}

/// Records the packet in the entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_observe(scratch: *mut Scratch, entry: *mut FlowEntry, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    if let (Some(scratch), Some(entry)) = unsafe { (scratch.as_mut(), entry.as_mut()) } {
        entry.observe(&scratch.packet, Direction::of(args & EGRESS), length, view::now());
    }
    0
}

/// Updates an entry with the policy's decision on a flow that begins in direction `first`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_judged(scratch: *mut Scratch, entry: *mut FlowEntry, decision: u64, args: u64) -> u64 {
    // SAFETY: as above.
    let (Some(Scratch { packet, header, .. }), Some(entry)) = (unsafe { (scratch.as_mut(), entry.as_mut()) })
    else {
        return 0;
    };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let first = Direction::of(args & EGRESS);
    if args & ERROR == 0 && entry.is_begun_anew_by(packet, first.reversed()) {
        entry.begin_anew(decision, header.generation, view::now());
    } else if entry.direction() == first && entry.generation != header.generation {
        entry.revalidate(decision, header.generation);
        if args & ERROR == 0 {
            entry.note_revoked(packet, view::now());
        }
    }
    0
}

/// Records in an entry that the rules accepted the packet, which requests a new connection.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_request(
    scratch: *mut Scratch,
    entry: *mut FlowEntry,
    decision: u64,
    args: u64,
    length: u64,
) -> u64 {
    // SAFETY: as above.
    let (Some(scratch), Some(entry)) = (unsafe { (scratch.as_mut(), entry.as_mut()) }) else { return 0 };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let said = (decision, scratch.header.generation);
    if entry.note_request(&scratch.packet, Direction::of(args & EGRESS), said, length, view::now()) {
        sg_observe(scratch, entry, args, length);
    }
    0
}

/// Result for a flow without an entry: searches the closed connections.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_unknown(scratch: *mut Scratch, args: u64) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { packet, key, header, .. }) = (unsafe { scratch.as_mut() }) else {
        return MISS;
    };
    if args & ERROR != 0 || !packet.is_mid_stream() {
        return MISS;
    }
    let closed = match key.width() {
        Width::Narrow => CLOSED_V4.get_ptr(FlowKeyV4::of(key)),
        Width::Wide => CLOSED_V6.get_ptr(on_stack(key)),
    };
    // SAFETY: valid until the program ends (RCU), and never written in place.
    let closed = closed.and_then(|entry| unsafe { &*entry }.began(&settings().timeouts, view::now()));
    match closed {
        None => MISS,
        Some(Began::Way(first, either)) => CLOSED_FLOW | if either { EITHER } else { 0 } | first as u64,
        Some(Began::Deleted) => {
            let reason = Reason::NotTakenOver;
            let number = reason_counter(header.counters, Direction::of(args & EGRESS), reason);
            Decision::new(Verdict::Drop, reason, number).word()
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_revalidate(scratch: *mut Scratch, decision: u64, args: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    find(&scratch.key, view::now()).map_or(0, |entry| sg_judged(scratch, entry, decision, args))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_open(scratch: *mut Scratch, decision: u64, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    if args & HAS_ENTRY != 0
        && let Some(known) = find(&scratch.key, view::now())
    {
        sg_request(scratch, known, decision, args, length);
        return 1;
    }
    // A function of its own, because an entry takes a sixth of the stack.
    if half_open::make_room(scratch) { sg_insert(scratch, decision, args, length) } else { 0 }
}

/// Inserts a flow for which room was made.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_insert(scratch: *mut Scratch, decision: u64, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let Scratch { packet, header, key, .. } = scratch;
    let direction = Direction::of(args & EGRESS);
    let mut entry = FlowEntry::open(packet, direction, decision, header.generation, length, view::now());
    if args & EITHER != 0 {
        entry.flags |= flags::EITHER_WAY;
    }
    if args & REOPENS != 0 {
        let first = if args & FIRST_EGRESS != 0 { Direction::Egress } else { Direction::Ingress };
        entry.reopen(packet, first);
    }
    u64::from(half_open::insert(key, &entry))
}

/// Finds the live entry of a flow.
#[inline(always)]
fn find(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    find_established(key, now).or_else(|| find_half_open(key, now))
}

/// As [`find`], in the tables of established flows.
#[inline(always)]
pub fn find_established(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    let entry = match key.width() {
        Width::Narrow => FLOWS_V4.get_ptr_mut(FlowKeyV4::of(key)),
        Width::Wide => FLOWS_V6.get_ptr_mut(on_stack(key)),
    };
    live(entry, key.l4, now)
}

/// As [`find`], in the tables of half-open flows.
#[inline(always)]
pub fn find_half_open(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    live(half_open::find(key), key.l4, now)
}

/// Returns the entry, unless it has expired.
#[inline(always)]
pub fn live(entry: Option<*mut FlowEntry>, l4: PortsProtoNic, now: u64) -> Option<&'static mut FlowEntry> {
    // SAFETY: the pointer is valid until the program ends (RCU). Other CPUs may write the same entry: its fields are words that
    // are written whole, and `FlowEntry::observe` says what a lost count means.
    let entry = unsafe { &mut *entry? };
    if entry.is_expired(l4, &settings().timeouts, now) { None } else { Some(entry) }
}

/// Moves a flow with a reply to the table of established flows.
///
/// # Errors
/// The table is full or the NIC has reached its quota; the flow stays half-open.
#[inline(always)]
fn promote(key: &FlowKey, entry: &FlowEntry) -> Result<(), Reason> {
    let Some(flows) = NIC_FLOWS.get_ptr_mut(u32::from(key.l4.nic())) else {
        return Err(Reason::FlowTableFull);
    };
    // SAFETY: valid until the program ends; a word that is read and written whole. If two CPUs count at once, one increment may
    // be lost until the next ageing pass.
    let flows = unsafe { &mut *flows };
    if *flows >= u64::from(settings().flows_per_nic) {
        return Err(Reason::FlowQuota);
    }
    // Inserted from where it is: a copy would take a sixth of the stack.
    let narrow = FlowKeyV4::of(key);
    let entered = match key.width() {
        Width::Narrow => FLOWS_V4.insert(narrow, entry, 0),
        Width::Wide => FLOWS_V6.insert(on_stack(key), entry, 0),
    };
    if entered.is_err() {
        return Err(Reason::FlowTableFull);
    }
    *flows += 1;
    // Another CPU may have removed it first.
    half_open::remove(key);
    Ok(())
}
