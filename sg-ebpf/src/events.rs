//! Single events, for somebody who watches. Nothing is written otherwise, and a full ring loses events and counts them. It must
//! never decide. Called by [`crate::pipeline`]; [`crate::hook`] makes a global function of [`send`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give some")]

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_ktime_get_ns};
use sg_common::{
    abi::flows::EVENTS_LOST,
    event::{CAPTURE, Event, EventKind},
    image::flags,
    packed::{EventArgs, FlowScope},
};

use crate::{
    context::Context,
    helpers,
    maps::{EVENTS, WATCH},
    scratch::Scratch,
};

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
        event.key = *key;
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
    event.is_layer_3 = u8::from(header.flags & flags::LAYER_3 != 0);
    // SAFETY: a helper without arguments.
    event.at = unsafe { bpf_ktime_get_ns() };
    event.captured = 0;
    let wakeup = u64::from(BPF_RB_NO_WAKEUP);
    if watch.capture == 0 {
        match EVENTS.reserve_untyped::<Event>(helpers::NO_FLAGS) {
            Some(mut place) => {
                helpers::copy(event, place.as_mut_ptr());
                place.submit(wakeup);
            }
            None => helpers::count(EVENTS_LOST, 0),
        }
        return;
    }
    match EVENTS.reserve_untyped::<Captured>(helpers::NO_FLAGS) {
        Some(mut place) => {
            let to = place.as_mut_ptr();
            let wanted = u32::from(watch.capture);
            let length = if ctx.len() < wanted { ctx.len() } else { wanted };
            // SAFETY: the ring has given as much memory.
            let bytes = unsafe { &raw mut (*to).bytes };
            event.captured = if ctx.capture(bytes.cast(), length) { length as u8 } else { 0 };
            // SAFETY: as above.
            helpers::copy(event, unsafe { &raw mut (*to).event });
            place.submit(wakeup);
        }
        None => helpers::count(EVENTS_LOST, 0),
    }
}
