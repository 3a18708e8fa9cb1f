//! Counts packets that do not pass by who sent what to whom, see [`sg_common::denied`]. It must never decide, nor fail: a packet
//! for whose name there is no entry is counted by a shorter name, and at last by its NIC. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use sg_common::{
    abi::{denied_host, denied_spare},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, Fold, Origin, Pace, has_room},
    event::EventKind,
    packed::{DeniedScope, EventArgs, FlowScope},
    packet::Family,
    verdict::Decision,
};

use crate::{
    context::Context,
    helpers,
    maps::{self, DENIED, DENIED_FREE, DENIED_NICS, DENIED_RING, DENIED_V4, DENIED_V6, settings},
    scratch::Scratch,
    subprograms,
};

/// Counts a packet that does not pass, and sends an event about it if somebody wants to see it.
#[inline(always)]
pub fn report(ctx: &impl Context, decision: u64, scope: u64) {
    let (Some(scratch), Some(decision)) = (maps::scratch(), Decision::from_word(decision)) else { return };
    let scope = DeniedScope::of(scope);
    let (origin, of) = match scope.nic() {
        Some(FlowScope { slot, direction }) => {
            (Origin::new(decision, direction, scratch.is_parsed != 0), u64::from(slot))
        }
        None => (Origin::of_host(decision), u64::from(ctx.device())),
    };
    let length = u64::from(ctx.len());
    let mut is_new = false;
    // From here, and not from one function to the next: their stacks would add up.
    if settings().denied_entries != 0 && sg_denied(scratch, origin.word(), of, length) == NO_ROOM {
        for fold in [Fold::Exact, Fold::Prefix, Fold::Others] {
            let result = sg_denied_new(scratch, fold as u64, length);
            is_new = result == NEW;
            if result != NO_ROOM {
                break;
            }
        }
    }
    if let Some(scope) = scope.nic() {
        let kind = if is_new { EventKind::DeniedFirst } else { EventKind::Denied };
        ctx.event(scratch, decision, EventArgs::new(kind, scope));
    }
}

/// Results of [`sg_denied_new`]: there is no room; an entry was there; a new one was made.
const NO_ROOM: u64 = 0;
const KNOWN: u64 = 1;
const NEW: u64 = 2;

const _: subprograms::Denied = sg_denied;

/// Counts a packet by its own name, if there is an entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_denied(scratch: *mut Scratch, origin: u64, of: u64, length: u64) -> u64 {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return NO_ROOM };
    let origin = Origin::of(origin);
    let Scratch { denied, packet, header, .. } = scratch;
    let latest = if origin.is_of_host() {
        denied.name_device(of as u32, origin);
        0
    } else {
        denied.name(of as u16, origin, packet);
        let port = if origin.is_parsed() { packet.source_port } else { 0 };
        DeniedEntry::latest_of(header.generation, port)
    };
    scratch.latest = latest;
    if let Some(entry) = find(denied) {
        add(entry, length, latest);
        return KNOWN;
    }
    NO_ROOM
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
        if let Some(entry) = find(key) {
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
    if all == 0 || !has_room(fold, free, nic.entries, all) {
        return spare(key, fold, length, *latest);
    }
    let (now, hertz) = (helpers::now(), settings().hertz);
    let due = match fold {
        Fold::Exact => Some(&mut nic.due[0]),
        Fold::Prefix => Some(&mut nic.due[1]),
        Fold::Others => None,
    };
    if let Some(due) = due {
        let Some(next) = (Pace { now, hertz }).spend(*due) else { return NO_ROOM };
        *due = next;
    }
    // If another CPU takes this one at the same moment, the packet is counted by a shorter name.
    if !helpers::exchange(&mut ring.head, head, head.wrapping_add(1)) {
        return spare(key, fold, length, *latest);
    }
    let Some(index) = DENIED_FREE.get((head % all) as u32) else { return NO_ROOM };
    let index = *index as u32;
    let Some(entry) = DENIED.get_ptr_mut(index) else { return NO_ROOM };
    // SAFETY: as above; the entry is this CPU's until it is marked as used.
    let entry = unsafe { &mut *entry };
    entry.key.remote_high = key.remote_high;
    entry.key.remote_low = key.remote_low;
    entry.key.local_high = key.local_high;
    entry.key.local_low = key.local_low;
    entry.key.l4 = key.l4;
    entry.key.origin = key.origin;
    (entry.packets, entry.bytes, entry.first, entry.last) = (1, length, now, now);
    entry.latest = *latest;
    // Atomic, so that whoever sees the mark sees the rest.
    helpers::draw(&raw mut entry.used);
    helpers::draw(&raw mut nic.entries);
    // If another CPU has just made one for the same name, this one counts a single packet, and the reader adds them up.
    let inserted = match key.l4.family() {
        Family::V4 => DENIED_V4.insert(DeniedKeyV4::of(key), index, NO_EXIST),
        Family::V6 => DENIED_V6.insert(on_stack(key), index, NO_EXIST),
    };
    let _ = inserted;
    NEW
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

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h).
const NO_EXIST: u64 = 1;

/// See [`maps::on_stack`].
#[inline(always)]
const fn on_stack(key: &DeniedKey) -> DeniedKey {
    *key
}

/// The entry of a name.
#[inline(always)]
fn find(key: &DeniedKey) -> Option<*mut DeniedEntry> {
    let index = match key.l4.family() {
        Family::V4 => DENIED_V4.get_ptr(DeniedKeyV4::of(key)),
        Family::V6 => DENIED_V6.get_ptr(on_stack(key)),
    };
    // SAFETY: valid until the program ends; one word, read at once.
    index.and_then(|index| DENIED.get_ptr_mut(unsafe { *index }))
}

/// Adds a packet. Other CPUs may add at the same time.
#[inline(always)]
fn add(entry: *mut DeniedEntry, length: u64, latest: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    unsafe {
        helpers::add(&raw mut (*entry).packets, 1);
        helpers::add(&raw mut (*entry).bytes, length);
        (*entry).last = helpers::now();
        (*entry).latest = latest;
    }
}
