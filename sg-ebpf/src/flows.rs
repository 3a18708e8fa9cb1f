//! The flow tables. What an entry means is the business of `sg_common`; here it is found and kept.

#![expect(unsafe_code, reason = "a map gives pointers to values that other CPUs may change")]

use sg_common::{
    abi::{self, reason_counter},
    flow::{Direction, FlowEntry, FlowKey, NarrowKey, State},
    image,
    packet::Family,
    verdict::{Decision, Reason},
};

use crate::{
    maps::{COUNTERS, FLOWS, FLOWS_16, HALF_OPEN, HALF_OPEN_16, NIC_FLOWS, settings},
    scratch::Scratch,
    view,
};

/// What is known of the flow that [`Scratch::key`] names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// It was judged by an older policy. What that is to be asked now, about a packet that goes in this direction, is in
    /// [`Scratch::original`]; [`rejudge`] tells the answer.
    Stale(Direction),
    /// The packet is an error about a flow that lives.
    Error,
    /// There is an entry, but the packet must meet the policy: it asks for a new connection, or is an error about a flow
    /// that was cut.
    Entry,
    /// What was decided about the flow; the packet is noted.
    Decided(Decision),
    /// There is an entry that makes no sense.
    Damaged,
}

impl Known {
    /// What [`look`] said.
    #[inline(always)]
    pub fn of(said: u64) -> Self {
        if let Some(decision) = Decision::from_word(said) {
            return Self::Decided(decision);
        }
        match said {
            NOTHING => Self::Nothing,
            ENTRY => Self::Entry,
            LIVE => Self::Error,
            DAMAGED => Self::Damaged,
            stale => Self::Stale(Direction::of(stale & EGRESS)),
        }
    }
}

/// What is asked about the flow, besides what stands in [`Scratch`]: its key, the packet, and the header of the image.
pub struct Asked {
    /// Which way the packet goes.
    pub direction: Direction,
    /// Whether the packet is an ICMP error about the flow.
    pub error: bool,
    /// Bytes of the frame.
    pub length: u32,
}

// Bits of what the functions below are asked.
const EGRESS: u64 = 1;
const ERROR: u64 = 2;
const HAS_ENTRY: u64 = 4;
const JUDGED: u64 = 8;

// What `look` says, unless it is a decision: those have their highest bit set.
const NOTHING: u64 = 0;
const ENTRY: u64 = 1;
const LIVE: u64 = 2;
const DAMAGED: u64 = 3;
const STALE: u64 = 4;

/// Looks for the flow, and notes the packet where it belongs to it. A flow that was `judged` for this packet is not stale,
/// whatever another processor, which may have another policy before it, says of it meanwhile.
#[inline(always)]
pub fn known(scratch: &mut Scratch, asked: &Asked, judged: bool) -> Known {
    let bits = if asked.error { ERROR } else { 0 } | if judged { JUDGED } else { 0 } | asked.direction as u64;
    Known::of(sg_known(scratch, bits, u64::from(asked.length)))
}

/// Tells the flow what the policy in force says of it, which was asked about a first packet that went in `first`. Whoever has
/// taken its place since is left alone.
#[inline(always)]
pub fn rejudge(scratch: &mut Scratch, first: Direction, decision: Decision) {
    sg_rejudge(scratch, decision.word(), first as u64);
}

/// Remembers the flow, whose first packet this is. False where there is no room.
#[inline(always)]
pub fn open(scratch: &mut Scratch, decision: Decision, asked: &Asked, has_entry: bool) -> bool {
    let bits = if has_entry { HAS_ENTRY } else { 0 } | asked.direction as u64;
    sg_open(scratch, decision.word(), bits, u64::from(asked.length)) != 0
}

// Global functions, as the walks of [`crate::policy`] are: the verifier follows what a flow can be once in each, and not again
// from every state that the datapath is in. An entry never leaves them, nor [`look`], which [`crate::frame`] has in its own.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_known(scratch: *mut Scratch, asked: u64, length: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return NOTHING };
    look(scratch, asked, length)
}

/// Looks for the flow that [`Scratch::key`] names, and notes the packet, `length` bytes long, where it belongs to it. Returns
/// a decision, or one of the numbers above.
#[inline(always)]
pub fn look(scratch: &mut Scratch, asked: u64, length: u64) -> u64 {
    let now = view::now();
    // `noted` is compiled twice: what is most frequent asks nothing twice.
    if let Some(entry) = answered(&scratch.key, now) {
        return noted(scratch, entry, false, asked, length, now);
    }
    half_open(&scratch.key, now).map_or(NOTHING, |entry| noted(scratch, entry, true, asked, length, now))
}

/// Notes a packet of the flow that was found, unless something has to be asked first.
#[inline(always)]
fn noted(
    scratch: &mut Scratch,
    entry: &mut FlowEntry,
    half_open: bool,
    asked: u64,
    length: u64,
    now: u64,
) -> u64 {
    let Scratch { packet, key, header, original, .. } = scratch;
    let direction = Direction::of(asked & EGRESS);
    if entry.is_stale(header.generation, header.flags & image::flags::REVALIDATE != 0) && asked & JUDGED == 0
    {
        let first = entry.direction();
        *original = key.original(first);
        return STALE | first as u64;
    }
    if asked & ERROR != 0 {
        return if entry.is_cut() { ENTRY } else { LIVE };
    }
    // A SYN asks for a new connection: whatever was there before, it meets the policy.
    if packet.is_syn() && !entry.is_opened_at_once(direction) {
        return ENTRY;
    }
    // Before the entry may move: where it stood, another processor may put another flow at once.
    let decision = entry.decision;
    entry.observe(packet, direction, length, now);
    if half_open
        && entry.state == State::Established as u8
        && let Err(reason) = settle(key, entry)
        && let Some(counter) = COUNTERS.get_ptr_mut(reason_counter(header.counters, direction, reason))
    {
        view::add(counter, length);
    }
    Decision::from_word(decision).map_or(DAMAGED, Decision::word)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_rejudge(scratch: *mut Scratch, decision: u64, first: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    let generation = scratch.header.generation;
    if let (Some(entry), Some(decision)) = (find(&scratch.key, view::now()), Decision::from_word(decision))
        && u64::from(entry.direction) == first
        && entry.generation != generation
    {
        entry.rejudge(decision, generation);
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_open(scratch: *mut Scratch, decision: u64, asked: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { packet, key, header, .. }) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let (direction, now) = (Direction::of(asked & EGRESS), view::now());
    let entry = FlowEntry::open(packet, direction, decision, header.generation, length, now);
    if asked & HAS_ENTRY != 0
        && let Some(known) = find(key, now)
    {
        if known.is_live_from(direction) {
            // The same SYN again.
            known.observe(packet, direction, length, now);
        } else {
            // What is left of an earlier connection of the same ends.
            *known = entry;
        }
        return 1;
    }
    u64::from(keep(key, &entry))
}

/// The live entry of a flow.
#[inline(always)]
fn find(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    answered(key, now).or_else(|| half_open(key, now))
}

/// The same, where it was answered as far as the tables know.
#[inline(always)]
fn answered(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    let entry = match key.talk.family() {
        Family::V4 => FLOWS_16.get_ptr_mut(NarrowKey::of(key)),
        Family::V6 => FLOWS.get_ptr_mut(on_stack(key)),
    };
    live(entry, key, now)
}

/// The same, where it was not.
#[inline(always)]
fn half_open(key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    let entry = match key.talk.family() {
        Family::V4 => HALF_OPEN_16.get_ptr_mut(NarrowKey::of(key)),
        Family::V6 => HALF_OPEN.get_ptr_mut(on_stack(key)),
    };
    live(entry, key, now)
}

/// The entry, unless it is none or was silent for too long.
#[inline(always)]
fn live(entry: Option<*mut FlowEntry>, key: &FlowKey, now: u64) -> Option<&'static mut FlowEntry> {
    // SAFETY: the pointer is valid until the program ends (RCU). Other CPUs may write the same entry: its fields are
    // words that are written whole, and `FlowEntry::observe` says what a lost count means.
    let entry = unsafe { &mut *entry? };
    if entry.is_expired(key, &settings().timeouts, now) { None } else { Some(entry) }
}

/// Where Linux 6.1 looks for the keys of maps: its verifier takes what a global function was given for no such place
/// (`map_key_value_types`, kernel/bpf/verifier.c).
#[inline(always)]
const fn on_stack(key: &FlowKey) -> FlowKey {
    *key
}

/// Keeps a new flow among those that are not answered yet. False where there is no room.
#[inline(always)]
fn keep(key: &FlowKey, entry: &FlowEntry) -> bool {
    let kept = match key.talk.family() {
        Family::V4 => HALF_OPEN_16.insert(NarrowKey::of(key), entry, 0).is_ok(),
        Family::V6 => HALF_OPEN.insert(on_stack(key), entry, 0).is_ok(),
    };
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
fn settle(key: &FlowKey, entry: &FlowEntry) -> Result<(), Reason> {
    let Some(flows) = NIC_FLOWS.get_ptr_mut(u32::from(key.talk.nic())) else {
        return Err(Reason::FlowTableFull);
    };
    // SAFETY: valid until the program ends; a word that is read and written whole. Of two CPUs that count at once one may be
    // lost until the next sweep.
    let flows = unsafe { &mut *flows };
    if *flows >= u64::from(settings().flows_per_nic) {
        return Err(Reason::FlowQuota);
    }
    // From where it stands: a copy would take a sixth of the stack.
    let narrow = NarrowKey::of(key);
    let entered = match key.talk.family() {
        Family::V4 => FLOWS_16.insert(narrow, entry, 0),
        Family::V6 => FLOWS.insert(on_stack(key), entry, 0),
    };
    if entered.is_err() {
        return Err(Reason::FlowTableFull);
    }
    *flows += 1;
    let moved = match key.talk.family() {
        Family::V4 => HALF_OPEN_16.remove(narrow),
        Family::V6 => HALF_OPEN.remove(on_stack(key)),
    };
    // Another CPU may have been faster.
    if moved.is_ok() {
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
