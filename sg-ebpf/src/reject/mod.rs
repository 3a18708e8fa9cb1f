//! Turns a rejected packet into its reject, a TCP reset or ICMP error, and sends that back the way the packet came.
//! `sg_common::reject` decides its content, receiver and rate. This file prepares it with the kernel's checksum helpers; [`tc`] and
//! [`xdp`] send it. Called by the programs after the verdict, so other packets pay only for one look at their mark.
//!
//! At tc the reject is redirected to the other side of the same device, and so meets this filter again: see
//! [`tc::is_own_reject`]. XDP sends it through the device at once.

#![expect(unsafe_code, reason = "the kernel's calls that change a packet take pointers")]

use core::{hint::black_box, ptr::null_mut};

use aya_ebpf::helpers::generated::{bpf_csum_diff, bpf_get_prandom_u32, bpf_ktime_get_ns};
use sg_common::{
    abi::reason_counter,
    flow::Direction,
    image::{Dimension, flags},
    packet::Payload,
    reject::{
        Delivery, Link, MAX, MAX_SUMMED, MIN, RateLimit, RejectPacket, Source, Trust, gets_reject, local,
        remote,
    },
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    frame, helpers,
    image::Image,
    maps::{self, REJECT_BUDGET, REJECT_PEERS, settings},
    pipeline::{self, Hook, Nic},
    scratch::{PART, Scratch},
    subprograms,
};

pub mod tc;
pub mod xdp;

/// Length of an Ethernet header with the maximum number of VLAN tags that are parsed.
const MAX_ETHERNET: u64 = 22;
/// Minimum length of a copy.
const WORD: u64 = 4;
// Global functions: the verifier checks each once, whatever the datapath state at the call.

const _: subprograms::GetsReject = sg_gets_reject;

/// Whether the packet and its frame allow a reject to the sender. Returns zero if not.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_gets_reject(slot: u64, direction: u64, delivery: u64) -> u64 {
    let Some(Scratch { packet, link, .. }) = maps::scratch() else { return 0 };
    if !gets_reject(packet) || !link.is_between_two() {
        return 0;
    }
    sg_of_nic(slot, direction, delivery)
}

const _: subprograms::GetsReject = sg_of_nic;

/// Whether the image confirms the packet as one of the NIC. Returns zero if not. Looks the image up again: kept over the call,
/// its size class would be checked through everything that follows.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_of_nic(slot: u64, direction: u64, delivery: u64) -> u64 {
    let (direction, delivery) = (Direction::of(direction), Delivery::of(delivery));
    let Some(Scratch { packet, link, keys, .. }) = maps::scratch() else { return 0 };
    // The reject comes from the local address or goes to it: that must be the NIC's. What it says about the remote address must
    // be true too.
    let (local, remote, family) = (local(packet, direction), remote(packet, direction), packet.family);
    keys.set(Dimension::Ethernet, link.local(direction));
    keys.set(Dimension::LocalHigh, local.high);
    keys.set(Dimension::LocalLow, local.low);
    let Some(image) = Image::of(slot as u32) else { return 0 };
    if !delivery.is_own(*link, direction, image.mac()) || !image.is_allowed_source(family, keys) {
        return 0;
    }
    keys.set(Dimension::LocalHigh, remote.high);
    keys.set(Dimension::LocalLow, remote.low);
    u64::from(!image.suppresses_reject(family, keys))
}

/// Writes the reject for the packet at `offset`. Returns zero if there is none.
#[inline(always)]
fn written(frame: &impl Source, offset: u64) -> u64 {
    let Some(Scratch { packet, reject, .. }) = maps::scratch() else { return 0 };
    u64::from(reject.to(frame, offset as usize, packet))
}

/// Whether the checksums of the packet at `offset` are correct. Returns zero if one is wrong.
#[inline(always)]
fn sound(frame: &impl Source, offset: u64, trust: Trust) -> u64 {
    let Some(Scratch { packet, reject, .. }) = maps::scratch() else { return 0 };
    u64::from(reject.is_sound(frame, offset as usize, packet, trust))
}

/// A reject, ready to send.
struct Prepared {
    reject: &'static RejectPacket,
    nic: Nic,
    /// Its offset in the frame: behind the Ethernet header, if there is one.
    offset: u32,
    /// Its length in bytes.
    length: u32,
}

/// Prepares the reject, if one may be sent. Every check that can prevent it comes before the costly work, and budgets are charged
/// only for rejects sent.
#[inline(always)]
fn prepare(
    ctx: &impl Context,
    hook: Hook,
    delivery: impl FnOnce(&Nic) -> Delivery,
    sound: impl FnOnce(u64) -> u64,
    write: impl FnOnce(u64) -> u64,
) -> Option<Prepared> {
    let nic = pipeline::nic_of(ctx, hook).ok()?;
    maps::scratch()?.link = if nic.has(flags::LAYER_3) { Link::TUNNEL } else { Link::read(&View::of(ctx))? };
    if sg_gets_reject(u64::from(nic.slot), nic.direction as u64, delivery(&nic) as u64) == 0 {
        return None;
    }
    let Payload::Ip(_, offset) = frame::payload(ctx) else { return None };

    let [first, second] = settings().peer_secret;
    // SAFETY: helpers without arguments.
    let (now, dice) = unsafe { (bpf_ktime_get_ns(), bpf_get_prandom_u32() as u32) };
    let limit = RateLimit { now, interval: u64::from(settings().reject_interval) };
    let secret = u64::from(first) << 32 | u64::from(second);
    let of_nic = REJECT_BUDGET.get_ptr_mut(u32::from(nic.slot))?;
    let remote = remote(&maps::scratch()?.packet, nic.direction);
    let of_peer = REJECT_PEERS.get_ptr_mut(limit.peer(secret, nic.slot, remote))?;
    // SAFETY: valid until the program ends; words; a lost update allows one more reject.
    let (of_nic, of_peer) = unsafe { (&mut *of_nic, &mut *of_peer) };
    if !limit.allows(*of_nic, *of_peer, dice) {
        if limit.interval != 0 {
            count(&nic, Reason::RejectRateLimited, ctx.len());
        }
        return None;
    }
    if sound(offset as u64) == 0 || write(offset as u64) == 0 {
        return None;
    }
    limit.spend(of_nic, of_peer, dice);
    // Loaded only now, because the call wrote it, which the verifier does not see.
    let reject = &maps::scratch()?.reject;
    let offset = bounded(u64::from(reject.offset), 0, MAX_ETHERNET)?;
    let length = bounded(u64::from(reject.length), MIN as u64, MAX as u64)?;
    Some(Prepared { reject, nic, offset, length })
}

/// Bounds the number as the verifier requires: it wants both bounds of a length, and before Linux 6.8 learns nothing from a
/// comparison with zero (`reg_set_min_max`, kernel/bpf/verifier.c), which the compiler makes of one with a minimum of one. So
/// compare the excess over the minimum.
#[inline(always)]
fn bounded(number: u64, least: u64, most: u64) -> Option<u32> {
    let beyond = black_box(number.wrapping_sub(least));
    if beyond > most - least { None } else { Some(black_box(beyond + least) as u32) }
}

#[inline(always)]
fn count(nic: &Nic, reason: Reason, length: u32) {
    helpers::count(reason_counter(nic.header.counters, nic.direction, reason), length);
}

/// Sums the bytes that `load` reads from `offset` on, in parts; the last part is padded with zeros to a whole word. Returns zero
/// on failure.
#[inline(always)]
fn summed(load: impl Fn(u64, u32, *mut u32) -> bool, offset: u64, length: u64, seed: u64) -> u64 {
    const PARTS: usize = MAX_SUMMED / PART;
    let Some(Scratch { part: room, .. }) = maps::scratch() else { return 0 };
    let (mut at, mut left, mut sum) = (offset, length, seed as u32);
    for _ in 0..PARTS {
        if left < PART as u64 {
            break;
        }
        if !load(at, PART as u32, room.as_mut_ptr()) {
            return 0;
        }
        sum = added(room.as_mut_ptr(), PART as u32, sum);
        at += PART as u64;
        left -= PART as u64;
    }
    if left == 0 {
        return u64::from(sum);
    }
    let Some(last) = bounded(left, 1, PART as u64 - 1) else { return 0 };
    let Some(beyond) = room.get_mut(last as usize / 4) else { return 0 };
    *beyond = 0;
    if !load(at, last, room.as_mut_ptr()) {
        return 0;
    }
    let Some(words) = bounded(u64::from((last + 3) & !3), WORD, PART as u64) else { return 0 };
    u64::from(added(room.as_mut_ptr(), words, sum))
}

/// Adds `length` bytes, whole words, to a sum.
#[inline(always)]
fn added(words: *mut u32, length: u32, sum: u32) -> u32 {
    // SAFETY: the callers give the length of the buffer, the verifier checks it, and the kernel only reads. It fails for more
    // than [`PART`] bytes.
    let sum = unsafe { bpf_csum_diff(null_mut(), 0, words, length, sum) };
    sum.cast_unsigned() as u32
}

/// Implements [`Source`] for both. Their sums are global functions, called for the headers of a packet and for its segment.
macro_rules! source {
    ($frame:ident, $raw:ty, $sum:ident) => {
        impl Source for $frame {
            #[inline(always)]
            fn copy(&self, offset: usize, length: usize, into: &mut [u32]) -> bool {
                let room = into.len() * 4;
                let Some(length) = bounded(length as u64, WORD, MAX_QUOTE as u64) else { return false };
                if room < length as usize {
                    return false;
                }
                self.load(offset as u64, length, into.as_mut_ptr())
            }

            #[inline(always)]
            fn sum(&self, offset: usize, length: usize, seed: u32) -> u32 {
                $sum(self.0, offset as u64, length as u64, u64::from(seed)) as u32
            }

            #[inline(always)]
            fn sum_of(words: &Words, seed: u32) -> u32 {
                added(words.as_ptr().cast_mut(), size_of::<Words>() as u32, seed)
            }
        }

        const _: subprograms::Sum<$raw> = $sum;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $sum(raw: *mut $raw, offset: u64, length: u64, seed: u64) -> u64 {
            summed(|at, part, room| $frame(raw).load(at, part, room), offset, length, seed)
        }
    };
}
use source;
