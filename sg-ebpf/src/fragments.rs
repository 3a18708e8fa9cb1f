//! The table of fragmented datagrams: lookup and insert. `sg_common::fragment` defines what an entry means. It must never look at
//! rules. Called by [`crate::frame`] and [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give them")]

use aya_ebpf::bindings::BPF_NOEXIST;
use sg_common::{
    fragment::{FragmentEntry, FragmentKey},
    packed::{FlowScope, FollowResult},
    verdict::{Decision, Reason},
};

use crate::{
    helpers,
    maps::{FRAGMENTS, settings},
    scratch::Scratch,
    subprograms,
};

/// Whether the packet, a first fragment, may begin its datagram.
#[inline(always)]
pub fn may_begin(scratch: &mut Scratch, scope: FlowScope) -> bool {
    sg_begin(scratch, scope.word()) != 0
}

/// Records that the packet, a first fragment, was accepted. Returns false if another CPU has recorded a first fragment of the
/// same datagram meanwhile. If the table is full, the later fragments are dropped, having nothing to follow.
#[inline(always)]
pub fn open(scratch: &mut Scratch, scope: FlowScope, decision: Decision) -> bool {
    sg_begun(scratch, scope.word(), decision.word()) != 0
}

/// Decision on a later fragment: that of the first fragment of its datagram.
///
/// # Errors
/// The reason why it follows no first fragment.
#[inline(always)]
pub fn follow(scratch: &mut Scratch, scope: FlowScope) -> Result<Decision, Reason> {
    FollowResult::of(sg_follow(scratch, scope.word())).result()
}

/// On the stack, as Linux 6.1 requires, as in [`crate::flow_table`].
#[inline(always)]
fn key(scratch: &Scratch, scope: u64) -> FragmentKey {
    let FlowScope { slot, direction } = FlowScope::of(scope);
    FragmentKey::of(slot, direction, &scratch.packet)
}

// Global functions: the verifier checks each once.

const _: subprograms::Begin = sg_begin;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_begin(scratch: *mut Scratch, scope: u64) -> u64 {
    // SAFETY: the callers pass references; the verifier checks the size of what they point to.
    let Some(scratch) = (unsafe { scratch.as_ref() }) else { return 0 };
    let timeout = settings().fragment_timeout;
    u64::from(datagram(&key(scratch, scope)).is_none_or(|entry| entry.is_over(timeout, helpers::now())))
}

const _: subprograms::Begun = sg_begun;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_begun(scratch: *mut Scratch, scope: u64, decision: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_ref() }) else { return 0 };
    let Some(decision) = Decision::from_word(decision) else { return 0 };
    let key = key(scratch, scope);
    let entry = FragmentEntry::open(&scratch.packet, decision, scratch.header.generation, helpers::now());
    // If two CPUs insert, one is first.
    if FRAGMENTS.insert(key, entry, u64::from(BPF_NOEXIST)).is_ok() {
        return 1;
    }
    match datagram(&key) {
        Some(before) => u64::from(before.begin_anew(&entry, settings().fragment_timeout, helpers::exchange)),
        None => 1,
    }
}

const _: subprograms::Follow = sg_follow;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_follow(scratch: *mut Scratch, scope: u64) -> u64 {
    // SAFETY: as above.
    let Some(scratch) = (unsafe { scratch.as_ref() }) else { return 0 };
    let Some(entry) = datagram(&key(scratch, scope)) else { return Reason::Fragment as u64 };
    let (generation, timeout) = (scratch.header.generation, settings().fragment_timeout);
    let followed = entry.follow(&scratch.packet, generation, timeout, helpers::now(), helpers::exchange);
    FollowResult::from_result(followed).word()
}

#[inline(always)]
fn datagram(key: &FragmentKey) -> Option<&'static mut FragmentEntry> {
    let entry = FRAGMENTS.get_ptr_mut(key)?;
    // SAFETY: the pointer is valid until the program ends (RCU). The fields are words that are read and written whole.
    Some(unsafe { &mut *entry })
}
