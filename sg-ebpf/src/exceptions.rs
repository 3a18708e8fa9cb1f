//! Traffic that passes without a rule: `sg_common::exceptions` as a global function, which the verifier checks once, not again
//! from every datapath state. Also keeps the state of these exchanges. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{
    dhcp::{self, Lease},
    discovery,
    exceptions::{self, Exception},
    exchange::{DHCP_SECONDS, Exchanges, SOLICITATION_SECONDS},
    options::List,
    packed::{ExceptionArgs, ExceptionResult, FlowScope},
    packet::{Family, Packet, protocol},
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    helpers,
    maps::{self, EXCHANGES},
};

/// Why `packet` passes without a rule, or `None` if it needs one. `is_server` tells whether the local address is one of the NIC's
/// own and the remote address a DHCP server of it; called only if that decides.
#[inline(always)]
pub fn passes(
    ctx: &impl Context,
    args: ExceptionArgs,
    packet: &Packet,
    is_server: impl FnOnce() -> bool,
) -> Option<Reason> {
    // Spares most packets the call.
    if packet.protocol == protocol::TCP {
        return None;
    }
    let mut found = ctx.exception(packet, args);
    if found == ExceptionResult::TO_A_SERVER && is_server() {
        found = ctx.exception(packet, args.trusted());
    }
    match found {
        ExceptionResult::DHCP => Some(Reason::Dhcp),
        ExceptionResult::DISCOVERY => Some(Reason::NeighbourDiscovery),
        _ => None,
    }
}

/// Whether the packet is an exception.
#[inline(always)]
pub fn find(ctx: &impl Context, packet: *const Packet, args: ExceptionArgs) -> ExceptionResult {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return ExceptionResult::MISS };
    if !exceptions::may_be(packet) {
        return ExceptionResult::MISS;
    }
    let FlowScope { slot, direction } = args.scope();
    let view = View::of(ctx);
    let walk = |list: List, at: usize, end: usize| ctx.walk(list, at, end);
    let Some(found) = exceptions::find_with(&view, args.network(), packet, direction, walk) else {
        return if view.linear() < packet.end { ExceptionResult::UNREAD } else { ExceptionResult::MISS };
    };
    let Some(exchanges) = EXCHANGES.get_ptr_mut(u32::from(slot)) else { return ExceptionResult::MISS };
    // SAFETY: valid until the program ends; integers, which other CPUs may write at the same time, see `exchange`.
    let exchanges: &mut Exchanges = unsafe { &mut *exchanges };
    match found {
        Exception::Discovery(message) => discovery(exchanges, packet, message),
        Exception::Dhcp(message) => dhcp(exchanges, packet, message, args.is_trusted()),
    }
}

/// The result of `find`, after making the message linear if necessary.
#[inline(always)]
pub fn find_linear(
    ctx: &impl Context,
    packet: *const Packet,
    find: impl Fn() -> ExceptionResult,
) -> ExceptionResult {
    // SAFETY: as in `find`.
    let end = unsafe { packet.as_ref() }.map_or(0, |packet| packet.end as u32);
    let mut found = find();
    if found == ExceptionResult::UNREAD && ctx.pull(end) {
        found = find();
    }
    found
}

/// Accepts an advertisement only if its receiver solicited one.
#[inline(always)]
fn discovery(exchanges: &mut Exchanges, packet: &Packet, message: discovery::Message) -> ExceptionResult {
    match message {
        discovery::Message::Link => ExceptionResult::DISCOVERY,
        discovery::Message::Solicitation => {
            exchanges.solicited(packet.source, packet.vlan, helpers::now());
            ExceptionResult::DISCOVERY
        }
        discovery::Message::Advertisement => {
            let timeout = seconds(SOLICITATION_SECONDS);
            let (to, vlan) = (packet.destination, packet.vlan);
            if exchanges.is_solicitor(to, vlan, timeout, helpers::now()) {
                ExceptionResult::DISCOVERY
            } else {
                ExceptionResult::MISS
            }
        }
    }
}

/// Accepts a DHCP reply only to a request of the NIC.
#[inline(always)]
fn dhcp(
    exchanges: &mut Exchanges,
    packet: &Packet,
    message: dhcp::Message,
    trusted: bool,
) -> ExceptionResult {
    match message.kind {
        dhcp::Kind::ToOne if !trusted => {
            let lease = Lease { client: packet.source.high as u32, server: packet.destination.high as u32 };
            if packet.family as u8 != Family::V4 as u8 || !exchanges.is_leased(lease, packet.vlan) {
                return ExceptionResult::TO_A_SERVER;
            }
            exchanges.open(message.name, helpers::now());
        }
        dhcp::Kind::ToAll | dhcp::Kind::ToOne => exchanges.open(message.name, helpers::now()),
        dhcp::Kind::Reply | dhcp::Kind::Assigns(_) => {
            if !exchanges.is_open(message.name, seconds(DHCP_SECONDS), helpers::now()) {
                return ExceptionResult::MISS;
            }
            if let dhcp::Kind::Assigns(lease) = message.kind {
                exchanges.lease(lease, packet.vlan);
            }
        }
    }
    ExceptionResult::DHCP
}

#[inline(always)]
fn seconds(seconds: u32) -> u64 {
    u64::from(seconds * maps::settings().hertz)
}
