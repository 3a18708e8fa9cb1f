//! The tables of half-open flows, and eviction from them. [`sg_common::flow::Shares`] divides the room; this module draws tickets
//! and assigns places. Called by [`flow_table`](crate::flow_table) for inserts, lookups and removals. It must never evict a flow
//! of a NIC that has fewer half-open flows than its share.
//!
//! A place holds the key of a flow; if that flow is gone, the place is free. A new flow takes the next place of the common ring.
//! The flow that it displaces takes the next place of its own NIC's ring, and the flow displaced *there*, the oldest of that NIC,
//! is evicted. A flow that is [in use](FlowEntry::is_in_use) is skipped a few times. A displaced flow of another NIC, left there
//! when shares shrank, moves to its own NIC's ring if the next place there is free; otherwise the flows there are younger, and it
//! is evicted.
//!
//! No two CPUs draw the same ticket. They meet at one place only if one stalls while the others go round the whole ring; then a
//! key may be lost, and its flow stays until it expires.

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use core::ptr::read_volatile;

use sg_common::{
    abi::{self, reason_counter},
    flow::{FlowEntry, FlowKey, FlowKeyV4, Width, common_tickets, own_tickets},
    packed::RingStep,
    verdict::Reason,
};

use crate::{
    helpers,
    image::Image,
    maps::{HALF_OPEN_V4, HALF_OPEN_V6, PLACES_V4, PLACES_V6, SHARES, TICKETS, on_stack, settings},
    replaced,
    scratch::Scratch,
    subprograms,
};

/// Places tried for one new flow. More than two are needed only if flows in use are in the way.
const STEPS: u64 = 16;
/// Flows in use that are skipped in the common ring.
const SKIPS: u64 = 2;

/// The entry of a flow, or of one that has reused its memory since.
#[inline(always)]
pub fn find(key: &FlowKey) -> Option<*mut FlowEntry> {
    match key.width() {
        Width::Narrow => HALF_OPEN_V4.get_ptr_mut(FlowKeyV4::of(key)),
        Width::Wide => HALF_OPEN_V6.get_ptr_mut(on_stack(key)),
    }
}

/// Inserts a flow for which [`make_room`] succeeded.
#[inline(always)]
pub fn insert(key: &FlowKey, entry: &FlowEntry, flags: u64) -> Result<(), i32> {
    match key.width() {
        Width::Narrow => HALF_OPEN_V4.insert(FlowKeyV4::of(key), entry, flags),
        Width::Wide => HALF_OPEN_V6.insert(on_stack(key), entry, flags),
    }
}

/// Removes a flow, which frees its place. Returns false if it is not there.
#[inline(always)]
pub fn remove(key: &FlowKey) -> bool {
    match key.width() {
        Width::Narrow => HALF_OPEN_V4.remove(FlowKeyV4::of(key)).is_ok(),
        Width::Wide => HALF_OPEN_V6.remove(on_stack(key)).is_ok(),
    }
}

/// A key as the places of one key width store it.
trait Placed: Copy {
    fn place(place: u32) -> Option<*mut Self>;
    fn of(key: &FlowKey) -> Self;
    fn widened(&self) -> FlowKey;
    fn entry(&self) -> Option<*mut FlowEntry>;
}

impl Placed for FlowKeyV4 {
    #[inline(always)]
    fn place(place: u32) -> Option<*mut Self> {
        PLACES_V4.get_ptr_mut(place)
    }
    #[inline(always)]
    fn of(key: &FlowKey) -> Self {
        Self::of(key)
    }
    #[inline(always)]
    fn widened(&self) -> FlowKey {
        Self::widened(self)
    }
    #[inline(always)]
    fn entry(&self) -> Option<*mut FlowEntry> {
        HALF_OPEN_V4.get_ptr_mut(*self)
    }
}

impl Placed for FlowKey {
    #[inline(always)]
    fn place(place: u32) -> Option<*mut Self> {
        PLACES_V6.get_ptr_mut(place)
    }
    #[inline(always)]
    fn of(key: &FlowKey) -> Self {
        by_words(key)
    }
    #[inline(always)]
    fn widened(&self) -> FlowKey {
        by_words(self)
    }
    #[inline(always)]
    fn entry(&self) -> Option<*mut FlowEntry> {
        HALF_OPEN_V6.get_ptr_mut(on_stack(self))
    }
}

/// Copies word by word: for a copy of the whole the compiler emits a call that moves single bytes.
#[inline(always)]
fn by_words(key: &FlowKey) -> FlowKey {
    // SAFETY: a word of a reference.
    let word = |word: &u64| unsafe { read_volatile(word) };
    FlowKey {
        remote_high: word(&key.remote_high),
        remote_low: word(&key.remote_low),
        local_high: word(&key.local_high),
        local_low: word(&key.local_low),
        // SAFETY: as above.
        l4: unsafe { read_volatile(&raw const key.l4) },
        vlan: word(&key.vlan),
    }
}

/// Assigns a place to the flow that [`Scratch::key`] names, and evicts a flow if necessary. Returns false if there are no places.
#[inline(always)]
pub fn make_room(scratch: &mut Scratch) -> bool {
    sg_make_room(scratch) != 0
}

const _: subprograms::MakeRoom = sg_make_room;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_make_room(scratch: *mut Scratch) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    scratch.unplaced = scratch.key;
    let mut next = RingStep::COMMON;
    for step in 0..STEPS {
        next = RingStep::of(sg_take_place(scratch, next.word(), step));
        if next.is_last() {
            break;
        }
    }
    if next != RingStep::PLACED && next != RingStep::NO_PLACES {
        sg_evict(scratch);
    }
    u64::from(next != RingStep::NO_PLACES)
}

// Global functions: the verifier checks the possible contents of a place once, and not again at each step.

const _: subprograms::TakePlace = sg_take_place;

/// Assigns [`Scratch::unplaced`] its next place, in the common ring or its NIC's. A displaced flow that needs another place
/// replaces it there.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_take_place(scratch: *mut Scratch, to: u64, step: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return RingStep::NO_PLACES.word() };
    let to = RingStep::of(to);
    match scratch.unplaced.width() {
        Width::Narrow => take_place::<FlowKeyV4>(scratch, to, step),
        Width::Wide => take_place::<FlowKey>(scratch, to, step),
    }
    .word()
}

#[inline(always)]
fn take_place<K: Placed>(scratch: &mut Scratch, to: RingStep, step: u64) -> RingStep {
    // SAFETY: valid until the program ends. If the agent writes it meanwhile, one flow gets a place that it would not have got.
    let Some(shares) = SHARES.get_ptr(0).map(|shares| unsafe { *shares }) else {
        return RingStep::NO_PLACES;
    };
    let (width, nic) = (scratch.unplaced.width(), scratch.unplaced.l4.nic());
    let in_common = to == RingStep::COMMON;
    let (count, ring) = if in_common {
        (common_tickets(width), shares.in_common())
    } else {
        (own_tickets(width, nic), shares.own(nic))
    };
    if to == RingStep::OWN_IF_FREE
        && let Some(at) = TICKETS.get(count).and_then(|ticket| ring.place(*ticket)).and_then(K::place)
        // SAFETY: as above.
        && unsafe { &*at }.entry().is_some()
    {
        return RingStep::EVICTED;
    }
    // A displaced flow that finds no other place must not stay without one.
    let nowhere = if in_common { RingStep::NO_PLACES } else { RingStep::EVICTED };
    let Some(ticket) = TICKETS.get_ptr_mut(count).map(helpers::draw) else { return nowhere };
    let Some(at) = ring.place(ticket).and_then(K::place) else { return nowhere };
    // SAFETY: valid until the program ends. A key that another CPU writes meanwhile matches no flow.
    let before = unsafe { &*at }.widened();
    let found = K::of(&before).entry();
    // The flow about to be inserted may have left an older place.
    let found = if before == scratch.unplaced { None } else { found };
    if let Some(entry) = found
        && !(in_common && step >= SKIPS)
        // SAFETY: valid until the program ends (RCU). If another flow has reused its memory since, that one is examined instead.
        && unsafe { &*entry }.is_in_use(&before, &settings().timeouts, helpers::now())
    {
        return to;
    }
    // SAFETY: as above.
    unsafe { at.write(K::of(&scratch.unplaced)) };
    if found.is_none() {
        return RingStep::PLACED;
    }
    scratch.unplaced = by_words(&before);
    if in_common {
        RingStep::OWN
    } else if before.l4.nic() == nic {
        RingStep::EVICTED
    } else {
        RingStep::OWN_IF_FREE
    }
}

const _: subprograms::Evict = sg_evict;

/// Evicts [`Scratch::unplaced`], and counts that for the host and for the flow's NIC.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_evict(scratch: *mut Scratch) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { unplaced, .. }) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(entry) = find(unplaced) else { return 0 };
    // SAFETY: as above.
    let direction = unsafe { &*entry }.direction();
    if !replaced::remove(unplaced, entry) {
        return 0;
    }
    // Counts flows, which have no bytes.
    helpers::count(abi::flows::EVICTED, 0);
    if let Some(header) = Image::of(u32::from(unplaced.l4.nic())).and_then(Image::header) {
        helpers::count(reason_counter(header.counters, direction, Reason::HalfOpenEvicted), 0);
    }
    0
}
