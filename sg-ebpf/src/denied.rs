//! Counts packets that do not pass by who sent what to whom, see [`sg_common::denied`]. It must never decide, nor fail: a packet
//! for whose name there is no entry is counted by a shorter name, and at last by its NIC. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use sg_common::{
    abi::{denied_host, denied_spare},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, DeniedRing, Fold, Origin, Pace, Recent, has_room},
    event::EventKind,
    packed::{DeniedScope, EventArgs, FlowScope},
    packet::Family,
    verdict::Decision,
};

use crate::{
    context::Context,
    helpers,
    maps::{
        DENIED, DENIED_FREE, DENIED_HINTS, DENIED_NICS, DENIED_RING, DENIED_V4, DENIED_V6, WATCH, settings,
    },
    scratch::Scratch,
    subprograms,
};

/// Counts a packet that does not pass, and sends an event about it if somebody wants to see it.
#[inline(always)]
pub fn report(ctx: &impl Context, scratch: *mut Scratch, decision: u64, scope: u64) {
    // SAFETY: the caller passes a pointer from a map lookup, or none; the verifier checks its size.
    let (Some(scratch), Some(decision)) = (unsafe { scratch.as_mut() }, Decision::from_word(decision)) else {
        return;
    };
    let length = u64::from(ctx.len());
    let Some(scope) = DeniedScope::of(scope).nic() else {
        let origin = Origin::of_host(decision);
        scratch.denied.name_device(ctx.device(), origin);
        scratch.latest = 0;
        count(scratch, length);
        return;
    };
    let FlowScope { slot, direction } = scope;
    let is_parsed = scratch.is_parsed != 0;
    let origin = Origin::new(decision, direction, is_parsed);
    let port = if is_parsed { scratch.packet.source_port } else { 0 };
    scratch.denied.name(slot, origin, &scratch.packet);
    scratch.latest = DeniedEntry::latest_of(scratch.header.generation, port);
    let is_new = match hinted(&scratch.denied) {
        Some(entry) => {
            add(entry, length, scratch.latest);
            false
        }
        None => count(scratch, length),
    };
    if let Some(watch) = WATCH.get(0)
        && watch.is_on(helpers::now())
    {
        let kind = if is_new { EventKind::DeniedFirst } else { EventKind::Denied };
        ctx.event(scratch, decision, EventArgs::new(kind, scope));
    }
}

/// The entry of a name, if the last packet that was looked up with the same hash had that name. The tables of names cost three times
/// as much.
///
/// An entry that is free, or that loses its name, is not found here, as in the tables: see [`DeniedEntry::unnamed`].
#[inline(always)]
fn hinted(key: &DeniedKey) -> Option<*mut DeniedEntry> {
    let entry = entry_of(DENIED_HINTS.get_ptr(key.place(settings().denied_entries)))?;
    // SAFETY: valid until the program ends; words that others change, in the order that they rely on.
    unsafe {
        let word = |word: *const u64| word.read_volatile();
        let is_it = word(&raw const (*entry).used) != 0
            && word(&raw const (*entry).unnamed) == 0
            && word(&raw const (*entry).key.remote_high) == key.remote_high
            && word(&raw const (*entry).key.remote_low) == key.remote_low
            && word(&raw const (*entry).key.local_high) == key.local_high
            && word(&raw const (*entry).key.local_low) == key.local_low
            && word((&raw const (*entry).key.l4).cast()) == key.l4.word()
            && word((&raw const (*entry).key.origin).cast()) == key.origin.word();
        is_it.then_some(entry)
    }
}

/// Counts a packet by the name in [`Scratch::denied`]. Returns whether it is new.
#[inline(always)]
fn count(scratch: &mut Scratch, length: u64) -> bool {
    sg_denied_known(scratch, length) == NO_ROOM && count_new(scratch, length)
}

/// The same, of a name for which there is no entry.
#[inline(always)]
fn count_new(scratch: &mut Scratch, length: u64) -> bool {
    // From here, and not from one function to the next: their stacks would add up.
    for fold in [Fold::Exact, Fold::Prefix, Fold::Others] {
        let result = sg_denied_new(scratch, fold as u64, length);
        if result != NO_ROOM {
            return result == NEW;
        }
    }
    false
}

/// Results of [`sg_denied_new`]: there is no room; an entry was there; a new one was made.
const NO_ROOM: u64 = 0;
const KNOWN: u64 = 1;
const NEW: u64 = 2;

const _: subprograms::DeniedKnown = sg_denied_known;

/// Counts a packet by the name in [`Scratch::denied`], if there is an entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_denied_known(scratch: *mut Scratch, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { denied, latest, .. }) = (unsafe { scratch.as_mut() }) else { return NO_ROOM };
    let Some(index) = find(denied) else { return NO_ROOM };
    // SAFETY: valid until the program ends; one word, read at once.
    let index = unsafe { *index };
    let Some(entry) = DENIED.get_ptr_mut(index) else { return NO_ROOM };
    add(entry, length, *latest);
    if let Some(hint) = DENIED_HINTS.get_ptr_mut(denied.place(settings().denied_entries)) {
        // SAFETY: as above.
        unsafe { *hint = index };
    }
    KNOWN
}

const _: subprograms::DeniedNew = sg_denied_new;

/// Counts a packet by the name in [`Scratch::denied`], folded like this: adds to its entry, or makes one.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_denied_new(scratch: *mut Scratch, fold: u64, length: u64) -> u64 {
    // SAFETY: as above.
    let Some(Scratch { denied: key, latest, .. }) = (unsafe { scratch.as_mut() }) else { return NO_ROOM };
    let fold = Fold::of(fold);
    if fold != Fold::Exact {
        key.fold(fold);
        if let Some(entry) = entry_of(find(key)) {
            add(entry, length, *latest);
            return KNOWN;
        }
    }
    let (Some(nic), Some(ring)) =
        (DENIED_NICS.get_ptr_mut(u32::from(key.l4.nic())), DENIED_RING.get_ptr_mut(0))
    else {
        return NO_ROOM;
    };
    // SAFETY: pointers from a map lookup are valid until the program ends; words that are read and written whole.
    let (nic, ring) = unsafe { (&mut *nic, &mut *ring) };
    let (head, all) = (ring.head, u64::from(settings().denied_entries));
    let free = ring.tail.wrapping_sub(head);
    // Devices without a NIC have the budget of none: they are few.
    let is_of_host = key.origin.is_of_host();
    let own = if is_of_host { 0 } else { nic.entries };
    if all == 0 || !has_room(fold, free, own, all) {
        return spare(key, fold, length, *latest);
    }
    let (now, hertz) = (helpers::now(), settings().hertz);
    let due = match fold {
        _ if is_of_host => None,
        Fold::Exact => Some(&mut nic.due[0]),
        Fold::Prefix => Some(&mut nic.due[1]),
        Fold::Others => None,
    };
    if let Some(due) = due {
        let Some(next) = (Pace { now, hertz }).spend(*due) else { return NO_ROOM };
        *due = next;
    }
    // Other CPUs may take the same one at the same moment; after some, the packet is counted by a shorter name.
    let Some(head) = take_free(ring) else { return spare(key, fold, length, *latest) };
    let Some(index) = DENIED_FREE.get((head % all) as u32) else { return NO_ROOM };
    let index = *index as u32;
    let Some(entry) = DENIED.get_ptr_mut(index) else { return NO_ROOM };
    // SAFETY: as above; the entry is this CPU's until it is marked as used.
    let entry = unsafe { &mut *entry };
    helpers::copy(key, &raw mut entry.key);
    (entry.packets, entry.bytes, entry.first, entry.last) = (1, length, now, now);
    entry.recent = Recent::of(0);
    entry.latest = *latest;
    // Atomic, so that whoever sees the mark sees the rest.
    helpers::draw(&raw mut entry.used);
    if !is_of_host {
        helpers::draw(&raw mut nic.entries);
    }
    // If another CPU has just made one for the same name, this one counts a single packet, and the reader adds them up.
    let inserted = match key.l4.family() {
        Family::V4 => DENIED_V4.insert(DeniedKeyV4::of(key), index, helpers::NO_EXIST),
        Family::V6 => DENIED_V6.insert(on_stack(key), index, helpers::NO_EXIST),
    };
    let _ = inserted;
    NEW
}

/// Tries for a free entry.
const TRIES: u32 = 4;

/// Takes the next free entry out of the ring; `None` if there is none, or others were always faster.
#[inline(always)]
fn take_free(ring: &mut DeniedRing) -> Option<u64> {
    for _ in 0..TRIES {
        // SAFETY: a word that other CPUs change.
        let head = unsafe { core::ptr::read_volatile(&raw const ring.head) };
        if ring.tail.wrapping_sub(head).cast_signed() <= 0 {
            return None;
        }
        if helpers::exchange(&mut ring.head, head, head.wrapping_add(1)) {
            return Some(head);
        }
    }
    None
}

/// The end of a name that finds no entry: it is folded further, or at last counted without one.
#[inline(always)]
fn spare(key: &DeniedKey, fold: Fold, length: u64, latest: u64) -> u64 {
    if fold != Fold::Others {
        return NO_ROOM;
    }
    let named = settings().denied_entries;
    let index = if key.origin.is_of_host() {
        denied_host(named)
    } else {
        denied_spare(named, key.l4.nic(), key.origin.direction())
    };
    if let Some(entry) = DENIED.get_ptr_mut(index) {
        add(entry, length, latest);
    }
    KNOWN
}

/// See [`crate::maps::on_stack`].
#[inline(always)]
const fn on_stack(key: &DeniedKey) -> DeniedKey {
    *key
}

/// The index of a name's entry.
#[inline(always)]
fn find(key: &DeniedKey) -> Option<*const u32> {
    match key.l4.family() {
        Family::V4 => DENIED_V4.get_ptr(DeniedKeyV4::of(key)),
        Family::V6 => DENIED_V6.get_ptr(on_stack(key)),
    }
}

/// The entry that a name leads to.
#[inline(always)]
fn entry_of(index: Option<*const u32>) -> Option<*mut DeniedEntry> {
    // SAFETY: valid until the program ends; one word, read at once.
    index.and_then(|index| DENIED.get_ptr_mut(unsafe { *index }))
}

/// Adds a packet. Other CPUs may add at the same time.
#[inline(always)]
fn add(entry: *mut DeniedEntry, length: u64, latest: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    unsafe {
        let recent = (&raw mut (*entry).recent).cast::<u64>();
        if Recent::of(helpers::fetch_add(recent, Recent::one(length).word())).is_full() {
            let moved = Recent::of(helpers::take(recent));
            helpers::add(&raw mut (*entry).packets, moved.packets());
            helpers::add(&raw mut (*entry).bytes, moved.bytes());
        }
        (*entry).last = helpers::now();
        (*entry).latest = latest;
    }
}
