//! Single events, for somebody who watches. Nothing is written otherwise, and a full ring loses events and counts them. It must
//! never decide. Called by [`crate::pipeline`]; [`crate::hook`] makes a global function of [`send`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_ktime_get_ns};
use sg_common::{
    abi::flows::EVENTS_LOST,
    event::{CAPTURE, Event, EventKind},
    packed::{EventArgs, FlowScope},
};

use crate::{
    context::Context,
    helpers,
    maps::{EVENTS, WATCH},
    scratch::Scratch,
};

/// Of a reservation: with any flag the kernel refuses it (`bpf_ringbuf_reserve`, kernel/bpf/ringbuf.c).
const NO_FLAGS: u64 = 0;

/// An event and the first bytes of its packet.
#[repr(C)]
struct Captured {
    event: Event,
    bytes: [u8; CAPTURE],
}

/// Sends an event about the packet in `scratch`, if somebody wants to see it.
#[inline(always)]
pub fn send(ctx: &impl Context, scratch: *mut Scratch, decision: u64, args: u64) {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let (Some(scratch), Some(watch)) = (unsafe { scratch.as_mut() }, WATCH.get(0)) else { return };
    if !watch.is_on(helpers::now()) {
        return;
    }
    let args = EventArgs::of(args);
    let FlowScope { slot, direction } = args.scope();
    let Scratch { event, packet, header, is_parsed, key, .. } = scratch;
    if args.kind() == EventKind::Revoked {
        // The flow, and not the packet that found it.
        event.key.remote_high = key.remote_high;
        event.key.remote_low = key.remote_low;
        event.key.local_high = key.local_high;
        event.key.local_low = key.local_low;
        event.key.l4 = key.l4;
        event.key.vlan = key.vlan;
        event.tcp_flags = 0;
        event.is_parsed = 1;
    } else if *is_parsed == 0 {
        event.name_unparsed(slot);
    } else {
        event.name(slot, direction, packet);
    }
    event.decision = decision;
    event.direction = direction as u8;
    let kind = args.kind();
    if !watch.admits(kind, event) {
        return;
    }
    event.kind = kind as u8;
    event.generation = header.generation;
    event.length = ctx.len();
    // SAFETY: a helper without arguments.
    event.at = unsafe { bpf_ktime_get_ns() };
    event.captured = 0;
    let flags = u64::from(BPF_RB_NO_WAKEUP);
    if watch.capture == 0 {
        match EVENTS.reserve_untyped::<Event>(NO_FLAGS) {
            Some(mut place) => {
                copy(event, place.as_mut_ptr());
                place.submit(flags);
            }
            None => helpers::count(EVENTS_LOST, 0),
        }
        return;
    }
    match EVENTS.reserve_untyped::<Captured>(NO_FLAGS) {
        Some(mut place) => {
            let to = place.as_mut_ptr();
            let wanted = u32::from(watch.capture);
            let length = if ctx.len() < wanted { ctx.len() } else { wanted };
            // SAFETY: the ring has given as much memory.
            let bytes = unsafe { &raw mut (*to).bytes };
            event.captured = if ctx.capture(bytes.cast(), length) { length as u8 } else { 0 };
            // SAFETY: as above.
            copy(event, unsafe { &raw mut (*to).event });
            place.submit(flags);
        }
        None => helpers::count(EVENTS_LOST, 0),
    }
}

/// Copies word by word: for a copy of the whole the compiler emits a call that moves single bytes.
#[inline(always)]
fn copy(event: &Event, to: *mut Event) {
    const WORDS: usize = size_of::<Event>() / size_of::<u64>();
    let (from, to) = (core::ptr::from_ref(event).cast::<u64>(), to.cast::<u64>());
    for word in 0..WORDS {
        // SAFETY: both have as many words.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}
