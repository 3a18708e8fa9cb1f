//! Judges a flow again, by the rules in force: of an older generation, or a closed one, or whether a connection that is first seen in
//! its middle is taken over. It must never look at a flow's entry. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{
    abi::Settings,
    candidate::Scope,
    flow::{self, First},
    packed::Takeover,
    verdict::{Decision, Verdict},
};

use crate::{
    candidate, helpers,
    image::Image,
    maps::{FILTERED_SINCE, settings},
    scratch::Scratch,
    subprograms,
};

/// Decision of the rules on the flow that [`Scratch::key`] names, beginning with the packet `first`; with `either`, and if they
/// accept it, also beginning in the other direction. `None` if the image is corrupt.
///
/// Uses the image now in force. If that is newer than the packet's, the flow is judged again at its next packet.
#[inline(always)]
pub fn refill_keys(scratch: &mut Scratch, slot: u16, first: First, either: bool) -> Option<Decision> {
    let slot = u64::from(slot);
    let mut result = sg_reclassify(scratch, slot, first.word() | ASKS_CANDIDATE);
    if either && Decision::from_word(result).is_some_and(Decision::accepts) {
        result = sg_reclassify(scratch, slot, first.reversed().word());
    }
    Decision::from_word(result)
}

/// Whether the connection that [`Scratch::key`] names is taken over, after `first` was accepted: the first packet that was
/// seen of it.
#[inline(always)]
pub fn takes_over(scratch: &mut Scratch, slot: u16, first: First) -> Takeover {
    Takeover::of(sg_takes_over(scratch, u64::from(slot), first.word()))
}

/// Beside a [`First`]: what is decided is also asked of a candidate.
const ASKS_CANDIDATE: u64 = 2;
const _: () = assert!(First::WORD & ASKS_CANDIDATE == 0);

const _: subprograms::Reclassify = sg_reclassify;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_reclassify(scratch: *mut Scratch, slot: u64, first: u64) -> u64 {
    // SAFETY: the callers pass a reference; the verifier checks its size.
    let (Some(scratch), Some(image)) = (unsafe { scratch.as_mut() }, Image::of(slot as u32)) else {
        return 0;
    };
    sg_original(scratch, first);
    let Scratch { key, original, header, .. } = scratch;
    let (direction, family) = (First::from_word(first).direction(), key.l4.family());
    let Some(decision) = image.classify(direction, family, original) else { return 0 };
    if candidate::is_set(header) && first & ASKS_CANDIDATE != 0 {
        candidate::compare(original, Scope { slot: slot as u16, direction, family }, decision);
    }
    decision.word()
}

const _: subprograms::Original = sg_original;

/// Fills the keys of a lookup for the flow, beginning with the packet `first`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_original(scratch: *mut Scratch, first: u64) -> u64 {
    // SAFETY: as above.
    if let Some(Scratch { key, original, .. }) = unsafe { scratch.as_mut() } {
        original.fill(&key.original(First::from_word(first)));
    }
    0
}

const _: subprograms::TakesOver = sg_takes_over;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_takes_over(scratch: *mut Scratch, slot: u64, first: u64) -> u64 {
    let other = First::from_word(first).reversed();
    let Some(decision) = Decision::from_word(sg_reclassify(scratch, slot, other.word())) else {
        return Takeover::Refused(Verdict::Drop).word();
    };
    if decision.accepts() {
        return Takeover::EitherWay.word();
    }
    let Settings { timeouts, hertz, .. } = settings();
    let takeover = Image::of(slot as u32).map_or(0, Image::takeover);
    let since = FILTERED_SINCE.get(slot as u32).copied().unwrap_or(0);
    if flow::takes_over(takeover, timeouts, *hertz, since, helpers::now()) {
        Takeover::OneWay.word()
    } else if decision.rejects() {
        Takeover::Refused(Verdict::Reject).word()
    } else {
        Takeover::Refused(Verdict::Drop).word()
    }
}
