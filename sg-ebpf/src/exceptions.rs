//! Traffic that passes without a rule: `sg_common::exceptions` as a global function, which the verifier checks once, not again
//! from every datapath state. Also keeps the state of these exchanges. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use sg_common::{
    dhcp::{self, Lease},
    discovery,
    exceptions::{self, Exception},
    exchange::{DHCP_SECONDS, Exchanges, SOLICITATION_SECONDS},
    options::{self, List, State},
    packet::{Family, Packet, protocol},
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    frame::FlowScope,
    maps::{self, EXCHANGES},
    view,
};

/// The NIC, direction and header position of the packet to check.
#[derive(Clone, Copy)]
pub struct ExceptionArgs {
    pub scope: FlowScope,
    /// Offset of the IP header.
    pub network: usize,
}

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
    let scope = args.scope.word() | (args.network as u64) << NETWORK;
    let mut found = ctx.exception(packet, scope);
    if found == TO_A_SERVER && is_server() {
        found = ctx.exception(packet, scope | TRUSTED);
    }
    match found {
        DHCP => Some(Reason::Dhcp),
        DISCOVERY => Some(Reason::NeighbourDiscovery),
        _ => None,
    }
}

const TRUSTED: u64 = 2;
const NETWORK: u32 = 8;

const MISS: u64 = 0;
const DHCP: u64 = 1;
const DISCOVERY: u64 = 2;
/// DHCP to a single server, which must be one of the NIC's.
const TO_A_SERVER: u64 = 3;
/// Parts of the message lie outside the linear part of the buffer.
const UNREAD: u64 = 4;

#[inline(always)]
fn exception(ctx: &impl Context, packet: *const Packet, scope: u64) -> u64 {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return MISS };
    if !exceptions::may_be(packet) {
        return MISS;
    }
    let FlowScope { slot, direction } = FlowScope::of(scope);
    let network = (scope as u32 >> NETWORK) as usize & 0xff;
    let view = View::of(ctx);
    let walk = |list: List, at: usize, end: usize| {
        State::from_word(ctx.walk(u64::from(list as u8), at as u64, end as u64))
    };
    let Some(found) = exceptions::find_with(&view, network, packet, direction, walk) else {
        return if view.linear() < packet.end { UNREAD } else { MISS };
    };
    let Some(exchanges) = EXCHANGES.get_ptr_mut(u32::from(slot)) else { return MISS };
    // SAFETY: valid until the program ends; integers, which other CPUs may write at the same time, see `exchange`.
    let exchanges: &mut Exchanges = unsafe { &mut *exchanges };
    match found {
        Exception::Discovery(message) => discovery(exchanges, packet, message),
        Exception::Dhcp(message) => dhcp(exchanges, packet, message, scope & TRUSTED != 0),
    }
}

/// Accepts an advertisement only if its receiver solicited one.
#[inline(always)]
fn discovery(exchanges: &mut Exchanges, packet: &Packet, message: discovery::Message) -> u64 {
    match message {
        discovery::Message::Link => DISCOVERY,
        discovery::Message::Solicitation => {
            exchanges.solicited(packet.source, packet.vlan, view::now());
            DISCOVERY
        }
        discovery::Message::Advertisement => {
            let timeout = seconds(SOLICITATION_SECONDS);
            let (to, vlan) = (packet.destination, packet.vlan);
            if exchanges.is_solicitor(to, vlan, timeout, view::now()) { DISCOVERY } else { MISS }
        }
    }
}

/// Accepts a DHCP reply only to a request of the NIC.
#[inline(always)]
fn dhcp(exchanges: &mut Exchanges, packet: &Packet, message: dhcp::Message, trusted: bool) -> u64 {
    match message.kind {
        dhcp::Kind::ToOne if !trusted => {
            let lease = Lease { client: packet.source.high as u32, server: packet.destination.high as u32 };
            if packet.family as u8 != Family::V4 as u8 || !exchanges.is_leased(lease, packet.vlan) {
                return TO_A_SERVER;
            }
            exchanges.open(message.name, view::now());
        }
        dhcp::Kind::ToAll | dhcp::Kind::ToOne => exchanges.open(message.name, view::now()),
        dhcp::Kind::Reply | dhcp::Kind::Assigns(_) => {
            if !exchanges.is_open(message.name, seconds(DHCP_SECONDS), view::now()) {
                return MISS;
            }
            if let dhcp::Kind::Assigns(lease) = message.kind {
                exchanges.lease(lease, packet.vlan);
            }
        }
    }
    DHCP
}

#[inline(always)]
fn seconds(seconds: u32) -> u64 {
    u64::from(seconds * maps::settings().hertz)
}

/// Defines the global functions for one context type, as in [`crate::view`].
macro_rules! exception {
    ($context:ident, $raw:ty, $exception:ident, $step:ident, $walk:ident, $ask:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $step(raw: *mut $raw, list: u64, end: u64, state: u64) -> u64 {
            let ctx = $context::new(raw);
            options::step(&View::of(&ctx), List::of(list), end as usize, State::from_word(state)).word()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $walk(raw: *mut $raw, list: u64, at: u64, end: u64) -> u64 {
            let step = |state: State| State::from_word($step(raw, list, end, state.word()));
            options::walk(at as usize, step).word()
        }

        /// Makes the message linear if necessary.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $ask(raw: *mut $raw, packet: *const Packet, scope: u64) -> u64 {
            // SAFETY: as in `exception`.
            let end = unsafe { packet.as_ref() }.map_or(0, |packet| packet.end as u32);
            let mut found = $exception(raw, packet, scope);
            if found == UNREAD && $context::new(raw).pull(end) {
                found = $exception(raw, packet, scope);
            }
            found
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $exception(raw: *mut $raw, packet: *const Packet, scope: u64) -> u64 {
            exception(&$context::new(raw), packet, scope)
        }
    };
}
exception!(TcContext, __sk_buff, sg_exception, sg_step, sg_options, sg_linear_exception);
exception!(XdpContext, xdp_md, sg_xdp_exception, sg_xdp_step, sg_xdp_options, sg_xdp_linear_exception);
