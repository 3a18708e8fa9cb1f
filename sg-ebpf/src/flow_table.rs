//! The flow tables: lookup, insert and update. `sg_common` defines what an entry means.

#![expect(unsafe_code, reason = "a map gives pointers to values that other CPUs may change")]

use sg_common::{
    abi::reason_counter,
    flow::{Began, First, FlowEntry, FlowKey, FlowKeyV4, Found, PortsProtoNic, State, Width, flags},
    image,
    packed::{FlowLookup, InsertArgs, LookupArgs, LookupResult, RevalidateArgs},
    packet::protocol,
    verdict::{Decision, Reason, Verdict},
};

use crate::{
    half_open, helpers,
    maps::{CLOSED_V4, CLOSED_V6, FLOWS_V4, FLOWS_V6, NIC_FLOWS, on_stack, settings},
    replaced,
    scratch::Scratch,
    subprograms,
};

/// Looks up the flow that [`Scratch::key`] names, and records the packet, `length` bytes long, if it belongs to it.
#[inline(always)]
pub fn lookup_and_update(scratch: &mut Scratch, args: LookupArgs, length: u32) -> FlowLookup {
    LookupResult::of(sg_lookup(scratch, args.word(), u64::from(length))).decode()
}

/// Updates the flow with the decision of the current policy, taken for the first packet `first`. An entry that has
/// replaced the flow since is left alone. Returns whether that revoked the flow.
#[inline(always)]
pub fn revalidate(scratch: &mut Scratch, first: First, decision: Decision, error: bool) -> bool {
    sg_revalidate(scratch, decision.word(), RevalidateArgs::new(first, error).word()) != 0
}

/// Inserts a flow with a packet of `length` bytes. Returns false if there is no room.
#[inline(always)]
pub fn insert(scratch: &mut Scratch, decision: Decision, args: InsertArgs, length: u32) -> bool {
    sg_open(scratch, decision.word(), args.word(), u64::from(length)) != 0
}

/// Result of most of these functions if there is nothing to work on.
const MISS: u64 = LookupResult::MISS.word();

// Global functions, like the walks of [`crate::image`]: the verifier checks each once, and not again from every datapath state.

const _: subprograms::Lookup = sg_lookup;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_lookup(scratch: *mut Scratch, args: u64, length: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return MISS };
    let now = helpers::now();
    if let Some(entry) = find_established(&scratch.key, now) {
        let result = sg_found(scratch, entry, args, length);
        return if result == MISS { sg_unknown(scratch, args) } else { result };
    }
    let Some(entry) = find_half_open(&scratch.key, now) else { return sg_unknown(scratch, args) };
    let result = sg_found(scratch, entry, args, length);
    if result == MISS {
        return sg_unknown(scratch, args);
    }
    if entry.state() == State::Established as u8
        && Decision::from_word(result).is_some()
        && let Err(reason) = promote(&scratch.key, entry)
    {
        let direction = LookupArgs::of(args).direction();
        helpers::count(reason_counter(scratch.header.counters, direction, reason), length as u32);
    }
    result
}

// One function for entries of all tables: inlined, the verifier would check the code once for each table.

const _: subprograms::Found = sg_found;

/// Judges the packet by the entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_found(scratch: *mut Scratch, entry: *mut FlowEntry, args: u64, length: u64) -> u64 {
    // SAFETY: as above. Other CPUs may write the same entry, see [`FlowEntry`].
    let (Some(scratch), Some(entry)) = (unsafe { (scratch.as_mut(), entry.as_mut()) }) else {
        return MISS;
    };
    let Scratch { packet, header, .. } = scratch;
    let lookup = LookupArgs::of(args);
    let found = entry.find(
        packet,
        lookup.direction(),
        (lookup.is_error(), lookup.is_judged()),
        (header.generation, header.flags & image::flags::REVALIDATE != 0),
        helpers::now(),
    );
    let decision = match found {
        Found::Passes(decision) => {
            sg_observe(scratch, entry, args, length);
            decision
        }
        Found::Decided(decision) => decision,
        Found::Stale(first, either) => return LookupResult::stale(first, either).word(),
        Found::Related => return LookupResult::RELATED.word(),
        Found::NeedsPolicy => return LookupResult::NEEDS_POLICY.word(),
        Found::Miss => return MISS,
    };
    if Decision::from_word(decision).is_some() { decision } else { LookupResult::CORRUPT.word() }
}

const _: subprograms::Observe = sg_observe;

/// Records the packet in the entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_observe(scratch: *mut Scratch, entry: *mut FlowEntry, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    if let (Some(scratch), Some(entry)) = unsafe { (scratch.as_mut(), entry.as_mut()) } {
        entry.observe(&scratch.packet, LookupArgs::of(args).direction(), length, helpers::now());
    }
    0
}

const _: subprograms::Judged = sg_judged;

/// Updates an entry with the policy's decision on a flow that began with the first packet of `args`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_judged(scratch: *mut Scratch, entry: *mut FlowEntry, decision: u64, args: u64) -> u64 {
    // SAFETY: as above.
    let (Some(Scratch { packet, header, key, .. }), Some(entry)) =
        (unsafe { (scratch.as_mut(), entry.as_mut()) })
    else {
        return 0;
    };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let args = RevalidateArgs::of(args);
    let first = args.first();
    if !args.is_error() && entry.begun_anew_by(packet, first.direction().reversed()).is_some() {
        // A decision that does not accept changes nothing but the pending SYN.
        if decision.accepts() {
            replaced::report(key, entry);
        }
        entry.begin_anew(first, decision, header.generation, helpers::now());
    } else if entry.first == first && entry.generation != header.generation {
        let was_revoked = entry.is_revoked();
        entry.revalidate(decision, header.generation);
        if !args.is_error() {
            entry.note_revoked(packet, helpers::now());
        }
        return u64::from(!was_revoked && entry.is_revoked());
    }
    0
}

const _: subprograms::Request = sg_request;

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
    let judged = (decision, scratch.header.generation);
    let direction = LookupArgs::of(args).direction();
    if scratch.packet.protocol != protocol::TCP && entry.is_revoked() {
        // It is another flow from now on.
        replaced::report(&scratch.key, entry);
    }
    if entry.note_request(&scratch.packet, direction, judged, length, helpers::now()) {
        sg_observe(scratch, entry, args, length);
    }
    0
}

const _: subprograms::Unknown = sg_unknown;

/// Result for a flow without an entry: searches the closed connections.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_unknown(scratch: *mut Scratch, args: u64) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { packet, key, header, .. }) = (unsafe { scratch.as_mut() }) else {
        return MISS;
    };
    let args = LookupArgs::of(args);
    if args.is_error() || !packet.is_mid_stream() {
        return MISS;
    }
    let closed = match key.width() {
        Width::Narrow => CLOSED_V4.get_ptr(FlowKeyV4::of(key)),
        Width::Wide => CLOSED_V6.get_ptr(on_stack(key)),
    };
    // SAFETY: valid until the program ends (RCU), and never written in place.
    let closed = closed.and_then(|entry| unsafe { &*entry }.began(&settings().timeouts, helpers::now()));
    match closed {
        None => MISS,
        Some(Began::With(first, either)) => LookupResult::closed(first, either).word(),
        Some(Began::Deleted) => {
            let reason = Reason::NotTakenOver;
            let number = reason_counter(header.counters, args.direction(), reason);
            Decision::new(Verdict::Drop, reason, number).word()
        }
    }
}

const _: subprograms::Revalidate = sg_revalidate;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_revalidate(scratch: *mut Scratch, decision: u64, args: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    find(&scratch.key, helpers::now()).map_or(0, |entry| sg_judged(scratch, entry, decision, args))
}

const _: subprograms::Open = sg_open;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_open(scratch: *mut Scratch, decision: u64, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    if InsertArgs::of(args).has_entry()
        && let Some(known) = find(&scratch.key, helpers::now())
    {
        // Of these arguments it reads the direction, which is where that of a lookup is.
        sg_request(scratch, known, decision, args, length);
        return 1;
    }
    // A function of its own, because an entry takes a sixth of the stack.
    if !half_open::make_room(scratch) {
        return 0;
    }
    let inserted = sg_insert(scratch, decision, args, length);
    if inserted != EXISTS {
        return inserted;
    }
    if sg_displaced(scratch, args, length) != 0 {
        return 1;
    }
    sg_insert(scratch, decision, InsertArgs::of(args).replacing().word(), length)
}

const _: subprograms::Insert = sg_insert;

const _: subprograms::Displaced = sg_displaced;

/// What becomes of the entry that is in the way of a new flow. One that another CPU has just made of the same flow records the packet,
/// and stays: then this returns 1. One that has expired is reported, and replaced, and so is a SYN without a reply that is of
/// another connection than the packet: recorded there, the packet would pass for the reply.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_displaced(scratch: *mut Scratch, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(before) = half_open::find(&scratch.key) else { return 0 };
    let direction = InsertArgs::of(args).direction();
    if let Some(entry) = live(Some(before), scratch.key.l4, helpers::now())
        && !entry.awaits_reply(&scratch.packet, direction)
    {
        // Of these arguments it reads the direction, which is where that of a lookup is.
        sg_observe(scratch, entry, args, length);
        return 1;
    }
    replaced::report(&scratch.key, before);
    0
}

/// Result of [`sg_insert`] if there is an entry, which it is not to replace.
const EXISTS: u64 = 2;

/// Inserts a flow for which room was made.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_insert(scratch: *mut Scratch, decision: u64, args: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let Scratch { packet, header, key, .. } = scratch;
    let args = InsertArgs::of(args);
    let direction = args.direction();
    let mut entry = FlowEntry::open(packet, direction, decision, header.generation, length, helpers::now());
    if args.is_either() {
        entry.status |= flags::EITHER_WAY;
    }
    if let Some(first) = args.reopened() {
        entry.reopen(packet, first);
    }
    match half_open::insert(key, &entry, if args.is_replacing() { 0 } else { helpers::NO_EXIST }) {
        Ok(()) => 1,
        Err(EEXIST) => EXISTS,
        Err(_) => 0,
    }
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

/// The error of an insert with [`helpers::NO_EXIST`] where there is an entry.
const EEXIST: i32 = -17;

/// The entry of an established flow.
#[inline(always)]
fn established(key: &FlowKey) -> Option<*mut FlowEntry> {
    match key.width() {
        Width::Narrow => FLOWS_V4.get_ptr_mut(FlowKeyV4::of(key)),
        Width::Wide => FLOWS_V6.get_ptr_mut(on_stack(key)),
    }
}

/// Inserts an established flow, from where its entry is: a copy would take a sixth of the stack.
#[inline(always)]
fn enter_established(key: &FlowKey, entry: &FlowEntry, flags: u64) -> Result<(), i32> {
    match key.width() {
        Width::Narrow => FLOWS_V4.insert(FlowKeyV4::of(key), entry, flags),
        Width::Wide => FLOWS_V6.insert(on_stack(key), entry, flags),
    }
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
    let mut entered = enter_established(key, entry, helpers::NO_EXIST);
    if entered == Err(EEXIST) {
        if let Some(before) = established(key) {
            // SAFETY: valid until the program ends (RCU), see [`live`].
            if !unsafe { &*before }.is_expired(key.l4, &settings().timeouts, helpers::now()) {
                // Another CPU has just moved it.
                half_open::remove(key);
                return Ok(());
            }
            replaced::report(key, before);
        }
        entered = enter_established(key, entry, 0);
    }
    if entered.is_err() {
        return Err(Reason::FlowTableFull);
    }
    *flows += 1;
    // Another CPU may have removed it first.
    half_open::remove(key);
    Ok(())
}
