//! The tables of half-open flows, and who makes room in them. How the room is divided is the business of
//! [`sg_common::flow::Shares`]; here tickets are drawn and places taken. Called by [`flow_table`](crate::flow_table) with what it enters,
//! looks up and takes out. It must never evict a flow of a NIC that has fewer of them than its share.
//!
//! A place holds the key of the flow that stands there, or one that is gone meanwhile: then it is free. A new flow takes the next
//! place in common. Who stood there takes the next place of its NIC's own share, and who stood *there* is evicted: the oldest of
//! that NIC. A flow that is [in use](FlowEntry::is_in_use) is passed over, some times. One of another NIC, which was left there when
//! shares became smaller, goes home where the next place there is free: else what stands there is younger.
//!
//! Two processors never draw the same ticket. They would meet at one place only where one of them waits while others come round
//! the whole line; then a key may be lost, and its flow stays until its time is over.

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use core::ptr::read_volatile;

use sg_common::{
    abi::{self, reason_counter},
    flow::{FlowEntry, FlowKey, FlowKeyV4, Width, common_tickets, own_tickets},
    verdict::Reason,
};

use crate::{
    maps::{HALF_OPEN, HALF_OPEN_16, PLACES, PLACES_16, SHARES, TICKETS, on_stack, settings},
    policy::Image,
    scratch::Scratch,
    view,
};

/// How many places are looked at for one flow that comes. More than two are where flows in use stand in the way.
const STEPS: u64 = 16;
/// How many flows in use are passed over in common.
const SKIPS: u64 = 2;

/// The entry of a flow, or of one that took its room since.
#[inline(always)]
pub fn find(key: &FlowKey) -> Option<*mut FlowEntry> {
    match key.width() {
        Width::Narrow => HALF_OPEN_16.get_ptr_mut(FlowKeyV4::of(key)),
        Width::Wide => HALF_OPEN.get_ptr_mut(on_stack(key)),
    }
}

/// Enters a flow, which [room was made for](make_room). False where there is none.
#[inline(always)]
pub fn enter(key: &FlowKey, entry: &FlowEntry) -> bool {
    match key.width() {
        Width::Narrow => HALF_OPEN_16.insert(FlowKeyV4::of(key), entry, 0).is_ok(),
        Width::Wide => HALF_OPEN.insert(on_stack(key), entry, 0).is_ok(),
    }
}

/// Takes a flow out; false where it is not there. Its place is free from then on.
#[inline(always)]
pub fn remove(key: &FlowKey) -> bool {
    match key.width() {
        Width::Narrow => HALF_OPEN_16.remove(FlowKeyV4::of(key)).is_ok(),
        Width::Wide => HALF_OPEN.remove(on_stack(key)).is_ok(),
    }
}

/// A key as it stands in the places of a width.
trait Placed: Copy {
    fn place(place: u32) -> Option<*mut Self>;
    fn of(key: &FlowKey) -> Self;
    fn widened(&self) -> FlowKey;
    fn entry(&self) -> Option<*mut FlowEntry>;
}

impl Placed for FlowKeyV4 {
    #[inline(always)]
    fn place(place: u32) -> Option<*mut Self> {
        PLACES_16.get_ptr_mut(place)
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
        HALF_OPEN_16.get_ptr_mut(*self)
    }
}

impl Placed for FlowKey {
    #[inline(always)]
    fn place(place: u32) -> Option<*mut Self> {
        PLACES.get_ptr_mut(place)
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
        HALF_OPEN.get_ptr_mut(on_stack(self))
    }
}

/// A copy, word by word: of all at once the compiler makes a call, which moves byte by byte.
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

/// Gives the flow that [`Scratch::key`] names a place, and evicts who is to make room for that. False where there are no places.
#[inline(always)]
pub fn make_room(scratch: &mut Scratch) -> bool {
    sg_make_room(scratch) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_make_room(scratch: *mut Scratch) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return 0 };
    scratch.comer = scratch.key;
    let mut next = IN_COMMON;
    for step in 0..STEPS {
        next = sg_take_place(scratch, next, step);
        if next >= SETTLED {
            break;
        }
    }
    if next != SETTLED && next != NO_PLACES {
        sg_evict(scratch);
    }
    u64::from(next != NO_PLACES)
}

// Where [`Scratch::comer`] is to stand, or what became of it.
const IN_COMMON: u64 = 0;
const OWN: u64 = 1;
/// In its NIC's own, where the next place is free.
const HOME: u64 = 2;
const SETTLED: u64 = 3;
const NO_PLACES: u64 = 4;
/// Nowhere: it is to be evicted.
const EVICTED: u64 = 5;

// Global functions: the verifier follows what can be in a place once, and not again at each step.

/// Gives [`Scratch::comer`] its next place, in common or its NIC's own. Who stood there is the comer then, where it is to stand
/// elsewhere.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_take_place(scratch: *mut Scratch, line: u64, step: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return NO_PLACES };
    match scratch.comer.width() {
        Width::Narrow => take_place::<FlowKeyV4>(scratch, line, step),
        Width::Wide => take_place::<FlowKey>(scratch, line, step),
    }
}

#[inline(always)]
fn take_place<K: Placed>(scratch: &mut Scratch, line: u64, step: u64) -> u64 {
    // SAFETY: valid until the program ends. The agent may write it meanwhile: then one flow stands where it would not have.
    let Some(shares) = SHARES.get_ptr(0).map(|shares| unsafe { *shares }) else { return NO_PLACES };
    let (width, nic) = (scratch.comer.width(), scratch.comer.l4.nic());
    let in_common = line == IN_COMMON;
    let (count, line_of) = if in_common {
        (common_tickets(width), shares.in_common())
    } else {
        (own_tickets(width, nic), shares.own(nic))
    };
    if line == HOME
        && let Some(at) = TICKETS.get(count).and_then(|ticket| line_of.place(*ticket)).and_then(K::place)
        // SAFETY: as above.
        && unsafe { &*at }.entry().is_some()
    {
        return EVICTED;
    }
    // Who had a place and finds no other must not stay without one.
    let nowhere = if in_common { NO_PLACES } else { EVICTED };
    let Some(ticket) = TICKETS.get_ptr_mut(count).map(view::draw) else { return nowhere };
    let Some(at) = line_of.place(ticket).and_then(K::place) else { return nowhere };
    // SAFETY: valid until the program ends. A key that another CPU writes meanwhile is one that no flow has.
    let before = unsafe { &*at }.widened();
    let found = K::of(&before).entry();
    // Of what is about to be entered there may be an older place.
    let found = if before == scratch.comer { None } else { found };
    if let Some(entry) = found
        && !(in_common && step >= SKIPS)
        // SAFETY: valid until the program ends (RCU). Where its room was given to another flow since, that is asked instead.
        && unsafe { &*entry }.is_in_use(&before, &settings().timeouts, view::now())
    {
        return line;
    }
    // SAFETY: as above.
    unsafe { at.write(K::of(&scratch.comer)) };
    if found.is_none() {
        return SETTLED;
    }
    scratch.comer = by_words(&before);
    if in_common {
        OWN
    } else if before.l4.nic() == nic {
        EVICTED
    } else {
        HOME
    }
}

/// Forgets [`Scratch::comer`], and counts that for the host and for the flow's NIC.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_evict(scratch: *mut Scratch) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { comer, .. }) = (unsafe { scratch.as_mut() }) else { return 0 };
    let Some(entry) = find(comer) else { return 0 };
    // SAFETY: as above.
    let direction = unsafe { &*entry }.direction();
    if !remove(comer) {
        return 0;
    }
    // Flows, which have no bytes.
    view::count(abi::flows::EVICTED, 0);
    if let Some(header) = Image::of(u32::from(comer.l4.nic())).and_then(Image::header) {
        view::count(reason_counter(header.counters, direction, Reason::HalfOpenEvicted), 0);
    }
    0
}
