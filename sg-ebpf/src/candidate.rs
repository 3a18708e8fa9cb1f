//! Asks a candidate policy what it would decide, and counts that beside what was decided: see [`sg_common::candidate`]. A verdict
//! never depends on it, so it returns nothing. Called by [`crate::pipeline`] and [`crate::image`], where rules have decided: about a new
//! flow, and about a live one of an older generation.

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use sg_common::{
    candidate::{Asked, DifferingEntry, DifferingKey, Scope},
    image::{Dimension, Header, Keys, flags},
    verdict::Decision,
};

use crate::{
    helpers,
    image::Image,
    maps::{CANDIDATE_ASKED, CANDIDATE_DIFFERS},
    subprograms,
};

/// Whether what the rules decide is also asked of a candidate. It reads the flags once more, of a line that was written a moment ago: of
/// those in a register the verifier would remember this bit, and follow the rest of the packet's way once for each of its values.
#[inline(always)]
pub fn is_set(header: &Header) -> bool {
    // SAFETY: a reference.
    unsafe { (&raw const header.flags).read_volatile() & flags::CANDIDATE != 0 }
}

/// Asks the candidate of the NIC, if it has one, about a packet with these keys, on which `decision` was made.
#[inline(always)]
pub fn compare(keys: *const Keys, scope: Scope, decision: Decision) {
    sg_compare(keys, scope.word(), decision.word());
}

const _: subprograms::Compare = sg_compare;

/// A global function, so that the verifier follows a packet through the candidate's image once, and not from each place that asks.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_compare(keys: *const Keys, scope: u64, decision: u64) -> u64 {
    let asked = Scope::of(scope);
    // SAFETY: the callers pass a reference; the verifier checks its size.
    let (Some(keys), Some(image)) = (unsafe { keys.as_ref() }, Image::candidate(u32::from(asked.slot)))
    else {
        return 0;
    };
    let then = image.classify(asked.direction, asked.family, keys);
    then.map_or(0, |then| sg_compared(keys, scope, decision, then.word()))
}

const _: subprograms::Compared = sg_compared;

/// A function of its own: its names would otherwise be on the stack beside the walk.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_compared(keys: *const Keys, scope: u64, now: u64, then: u64) -> u64 {
    // SAFETY: as above.
    let (Some(keys), Some(now), Some(then)) =
        (unsafe { keys.as_ref() }, Decision::from_word(now), Decision::from_word(then))
    else {
        return 0;
    };
    let scope = Scope::of(scope);
    let asked = Asked::new(scope, now, then);
    count(asked);
    if asked.differs() {
        name(DifferingKey::of(scope, keys, asked), keys.get(Dimension::SourcePort), now, then);
    }
    0
}

/// Counts the two decisions. Without room for the name, by the one without a counter, which the agent has made.
#[inline(always)]
fn count(asked: Asked) {
    let word = asked.word();
    if add_own(word) || CANDIDATE_ASKED.insert(word, 1, helpers::NO_EXIST).is_ok() {
        return;
    }
    // Another CPU has just made the entry, or there is no room.
    if !add_own(word) {
        add_own(asked.without_counter().word());
    }
}

/// Adds a packet to this CPU's own count. Returns whether there is an entry.
#[inline(always)]
fn add_own(word: u64) -> bool {
    let Some(count) = CANDIDATE_ASKED.get_ptr_mut(word) else { return false };
    // SAFETY: a pointer from a map lookup is valid until the program ends, and nobody else writes there.
    unsafe { *count += 1 };
    true
}

/// Counts a packet that the two judge differently by its name, if there is room.
#[inline(always)]
fn name(key: DifferingKey, source_port: u64, now: Decision, then: Decision) {
    let at = helpers::now();
    if let Some(entry) = CANDIDATE_DIFFERS.get_ptr_mut(key) {
        add(entry, source_port, now, then, at);
        return;
    }
    let entry =
        DifferingEntry { packets: 1, first: at, last: at, now: now.word(), then: then.word(), source_port };
    if CANDIDATE_DIFFERS.insert(key, entry, helpers::NO_EXIST).is_err()
        && let Some(entry) = CANDIDATE_DIFFERS.get_ptr_mut(key)
    {
        // Another CPU has just made it.
        add(entry, source_port, now, then, at);
    }
}

/// Adds a packet. Other CPUs may add at the same time.
#[inline(always)]
fn add(entry: *mut DifferingEntry, source_port: u64, now: Decision, then: Decision, at: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends; words that are read and written whole.
    unsafe {
        helpers::add(&raw mut (*entry).packets, 1);
        let before = (&raw const (*entry).source_port).read_volatile();
        if before & (DifferingEntry::SEVERAL - 1) != source_port {
            (&raw mut (*entry).source_port).write_volatile(DifferingEntry::SEVERAL | source_port);
        }
        (*entry).last = at;
        (*entry).now = now.word();
        (*entry).then = then.word();
    }
}
