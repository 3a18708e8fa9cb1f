//! The datapath: how a packet is decided. Read [`decide`] from top to bottom.
//!
//! Everything fails closed: a packet that cannot be parsed, judged or looked up is dropped, with a reason that is counted. This
//! page must never know XDP from TCX or clsact, nor IPv4 from IPv6, nor what a rule is.

use aya_log_ebpf::debug;
use sg_common::{
    abi::{host_counter, reason_counter},
    candidate::Scope,
    event::EventKind,
    flow::{self, Direction, First, packet_fields},
    guest::may_solicit,
    image::{Header, Keys, flags},
    packed::{
        DeniedScope, EventArgs, ExceptionArgs, FlowLookup, FlowScope, FrameWord, InsertArgs, LookupArgs,
        Takeover,
    },
    packet::{Family, Icmp, Part, Payload},
    verdict::{Decision, Reason, Verdict},
};

use crate::{
    again::{refill_keys, takes_over},
    anti_spoofing, candidate,
    context::Context,
    ethertypes, exceptions, flow_table, fragments, frame, helpers,
    image::{Image, fill_keys},
    maps,
    scratch::Scratch,
    view,
};

/// Side of the device on which the program is attached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Packets that the device receives.
    Received,
    /// Packets that the device sends.
    Sent,
}

/// A NIC under its current policy, from the point of view of one packet.
#[derive(Clone, Copy)]
pub struct Nic {
    /// Index of the NIC in the maps.
    pub slot: u16,
    image: Image,
    /// Header of the image.
    pub header: Header,
    /// Direction of the packet.
    pub direction: Direction,
}

impl Nic {
    /// Whether the image has `flag`, one of [`flags`].
    #[inline(always)]
    pub fn has(&self, flag: u32) -> bool {
        self.header.flags & flag != 0
    }

    /// The scope of the packet's flow.
    #[inline(always)]
    fn scope(&self) -> FlowScope {
        FlowScope { slot: self.slot, direction: self.direction }
    }

    /// Whether anti-spoofing applies to the packet.
    #[inline(always)]
    fn is_guarded(&self) -> bool {
        frame::guarded(self.header.flags, self.direction)
    }

    /// Decision of the rules on a packet that starts a flow in `direction`.
    #[inline(always)]
    fn classify(&self, direction: Direction, family: Family, keys: &Keys) -> Decision {
        match self.image.classify(direction, family, keys) {
            Some(decision) => decision,
            None => self.decision(Verdict::Drop, Reason::ImageFault),
        }
    }

    /// A decision that no rule made.
    #[inline(always)]
    fn decision(&self, verdict: Verdict, reason: Reason) -> Decision {
        Decision::new(verdict, reason, reason_counter(self.header.counters, self.direction, reason))
    }
}

/// Decides a packet and counts it.
#[inline(always)]
pub fn judge(ctx: &impl Context, hook: Hook) -> Decision {
    let (found, scratch) = (nic_of(ctx, hook), maps::scratch());
    // Null without a scratch: its user checks.
    let mut reported = core::ptr::null_mut();
    let (decision, scope) = match (found, scratch) {
        (Ok(nic), Some(scratch)) => {
            let decision = decide(ctx, &nic, scratch);
            reported = scratch;
            (decision, DeniedScope::of_nic(nic.scope()))
        }
        (Err(decision), scratch) => {
            reported = scratch.map_or(reported, core::ptr::from_mut);
            (decision, DeniedScope::HOST)
        }
        (Ok(_), None) => (host_drop(Reason::ImageFault), DeniedScope::HOST),
    };
    helpers::count(decision.number(), ctx.len());
    if !decision.accepts() && maps::settings().denied_entries != 0 {
        // By now nothing changes that.
        ctx.denied(reported, decision, scope);
    }
    decision
}

/// Drops a packet that belongs to no NIC, counted for the host. Every `reason` is one of
/// [`HOST_REASONS`](sg_common::abi::HOST_REASONS).
#[inline(always)]
fn host_drop(reason: Reason) -> Decision {
    Decision::new(Verdict::Drop, reason, host_counter(reason))
}

/// The NIC and policy of the packet, or the decision if there is none.
#[inline(always)]
pub fn nic_of(ctx: &impl Context, hook: Hook) -> Result<Nic, Decision> {
    let slot = maps::slot_of(ctx.device()).ok_or(host_drop(Reason::NoNic))?;
    let image = Image::of(slot).ok_or(host_drop(Reason::NoImage))?;
    let Some(header) = image.header() else { return Err(without_policy(image, hook)) };
    Ok(Nic { slot: slot as u16, image, header, direction: direction_of(&header, hook) })
}

/// A packet that a host's device receives is inbound; one that the host end of a guest's NIC receives is the guest's outbound.
#[inline(always)]
fn direction_of(header: &Header, hook: Hook) -> Direction {
    let guest = header.flags & flags::GUEST != 0;
    if (hook == Hook::Received) == guest { Direction::Egress } else { Direction::Ingress }
}

/// The decision under an image that is no policy of this version. Where a NIC was not filtered before a change that is over, it
/// says that everything passes.
#[inline(always)]
fn without_policy(image: Image, hook: Hook) -> Decision {
    let Some(header) = image.unfiltered() else { return host_drop(Reason::ImageVersion) };
    let number = reason_counter(header.counters, direction_of(&header, hook), Reason::Default);
    Decision::new(Verdict::Accept, Reason::Default, number)
}

/// The order of decision; the first step that decides is final. `docs/use/exceptions.md` explains every step, and
/// `sg-common/tests/order.rs` holds the two lists together. Steps 1 and 2 come before this function, in
/// `reject::tc::is_own_reject` and [`nic_of`].
///
/// 1. **Own replies**
/// 2. **Policy**: `no-nic`, `no-image`, `image-version`
/// 3. **Frame**: `malformed`, `too-many-headers`
/// 4. **Flow, fast path**
/// 5. **IPsec**: `decrypted`
/// 6. **Repeated first fragment**: `fragment-overlap`
/// 7. **ARP and non-IP frames**: `malformed`, `arp`, `ethertype`, `not-ip`, `anti-spoofing`
/// 8. **Anti-spoofing, whatever the source**: `vlan-tag`, `rogue-server`, `neighbour-spoofing`, `arp`
/// 9. **Later fragments**: `fragment`, `fragment-overlap`, `anti-spoofing`
/// 10. **Flow, slow path**: `not-taken-over`, `icmp-error`
/// 11. **Exceptions**: `neighbour-discovery`, `dhcp`
/// 12. **Anti-spoofing, by source**: `anti-spoofing`
/// 13. **Strict mode**: `mid-stream`
/// 14. **Own source**: `own-source`
/// 15. **Rules**: `intra-group`, `rule`, `default`
/// 16. **Mid-stream TCP**: `not-taken-over`
/// 17. **State**: `flow-table-full`, `fragment-overlap`
#[inline(always)]
fn decide(ctx: &impl Context, nic: &Nic, scratch: &mut Scratch) -> Decision {
    let scope = nic.scope();
    scratch.header = nic.header;
    // Step 3: frame. Step 4: flow, fast path. Most packets belong to a known flow: the parser has looked it up and recorded the
    // packet, and no other check is needed.
    let read = frame::read(ctx, scope, scratch);
    let decided = read.decision();
    if let Some(decision) = decided
        && decision.accepts()
    {
        return decision;
    }
    scratch.is_parsed = u64::from(read.is_ip());
    // Step 5: IPsec. A decrypted packet was judged on the wire, as the packet that carried it. Only images of a host's NIC have
    // the flag; inbound there is what its device receives.
    if nic.has(flags::PASS_DECRYPTED) && read.is_ip() && ctx.is_delivered(scratch, nic.direction) {
        return nic.decision(Verdict::Accept, Reason::Decrypted);
    }
    // Step 6: repeated first fragment. The parser has dropped it, like the packets of a revoked flow.
    if let Some(decision) = decided {
        return decision;
    }
    // Step 7: ARP and non-IP frames.
    let guarded = nic.is_guarded();
    let payload = read.payload();
    let family = match payload {
        Payload::Ip(family, _) => {
            if guarded {
                fill_keys(&mut scratch.keys, &scratch.packet, nic.direction);
            }
            family
        }
        Payload::Arp(offset) => {
            if !view::arp(ctx, nic.direction, offset, &mut scratch.claimed) {
                return nic.decision(Verdict::Drop, Reason::Malformed);
            }
            if !guarded {
                return nic.decision(Verdict::Accept, Reason::Arp);
            }
            anti_spoofing::claim_of_arp(scratch);
            Family::V4
        }
        Payload::Refused(Reason::NotIp) if nic.has(flags::ETHERTYPES) => {
            return match ethertypes::check(ctx, nic.image, guarded, &mut scratch.keys) {
                Ok(()) => nic.decision(Verdict::Accept, Reason::NamedFrame),
                Err(reason) => nic.decision(Verdict::Drop, reason),
            };
        }
        Payload::Refused(reason) => return nic.decision(Verdict::Drop, reason),
    };
    // Step 8: anti-spoofing, whatever the source. A guest sends only from its own addresses.
    let mut spoofed = false;
    if guarded {
        if let Err(reason) = anti_spoofing::check(ctx, payload, scratch) {
            return nic.decision(Verdict::Drop, reason);
        }
        spoofed = !nic.image.is_allowed_source(family, &scratch.keys);
        if let Payload::Arp(_) = payload {
            return if spoofed {
                nic.decision(Verdict::Drop, Reason::NeighbourSpoofing)
            } else {
                nic.decision(Verdict::Accept, Reason::Arp)
            };
        }
    }
    // Step 9: later fragments. The first has all headers, and the others follow it.
    if scratch.packet.is_later_fragment() {
        if spoofed {
            return nic.decision(Verdict::Drop, Reason::AntiSpoofing);
        }
        return match fragments::follow(scratch, scope) {
            Ok(decision) => decision,
            Err(reason) => nic.decision(Verdict::Drop, reason),
        };
    }
    let decision = decide_first(ctx, nic, scratch, read, spoofed);
    if scratch.packet.part == Part::First && decision.accepts() && !fragments::open(scratch, scope, decision)
    {
        return nic.decision(Verdict::Drop, Reason::FragmentOverlap);
    }
    decision
}

/// Decides a packet that has a transport header.
#[inline(always)]
fn decide_first(
    ctx: &impl Context,
    nic: &Nic,
    scratch: &mut Scratch,
    read: FrameWord,
    spoofed: bool,
) -> Decision {
    let has_flow = read.has_flow();
    // Step 10: flow, slow path. An ICMP error belongs to the flow that it quotes, whose packet went the other way, and is for that
    // packet's sender.
    let error = !has_flow && is_error_about_flow(ctx, nic, scratch);
    let length = ctx.len();
    let mut known = FlowLookup::Miss;
    if (has_flow || error) && !spoofed {
        known = read.lookup().unwrap_or_else(|| {
            flow_table::lookup_and_update(scratch, LookupArgs::new(nic.direction, error, false), length)
        });
        if let FlowLookup::Stale(first, either) | FlowLookup::Closed(first, either) = known {
            let decision = refill_keys(scratch, nic.slot, first, either);
            let decision = decision.unwrap_or(nic.decision(Verdict::Drop, Reason::ImageFault));
            if let FlowLookup::Closed(..) = known {
                if decision.accepts() {
                    let args = InsertArgs::reopen(nic.direction, first, either);
                    flow_table::insert(scratch, decision, args, length);
                }
                return decision;
            }
            if flow_table::revalidate(scratch, first, decision, error) {
                let first = FlowScope { slot: nic.slot, direction: first.direction() };
                ctx.event(scratch, decision, EventArgs::new(EventKind::Revoked, first));
            }
            if !decision.accepts() && !error && !scratch.packet.requests_connection() {
                return decision;
            }
            let args = LookupArgs::new(nic.direction, error, true);
            known = flow_table::lookup_and_update(scratch, args, length);
        }
        match known {
            FlowLookup::Hit(decision) => return decision,
            FlowLookup::Related => return nic.decision(Verdict::Accept, Reason::IcmpError),
            FlowLookup::Corrupt => return nic.decision(Verdict::Drop, Reason::ImageFault),
            FlowLookup::Miss | FlowLookup::NeedsPolicy | FlowLookup::Stale(..) | FlowLookup::Closed(..) => {}
        }
    }

    // Step 11: exceptions. They pass without a rule.
    let Scratch { packet, keys, header, .. } = &mut *scratch;
    let packet = &*packet;
    fill_keys(keys, packet, nic.direction);
    if !spoofed || may_solicit(packet, nic.header.flags) {
        let args = ExceptionArgs::new(nic.scope(), read.network());
        let is_server = || !spoofed && nic.image.is_dhcp_server(packet.family, keys);
        if let Some(reason) = exceptions::passes(ctx, args, packet, is_server) {
            return nic.decision(Verdict::Accept, reason);
        }
    }
    // Step 12: anti-spoofing, by source.
    if spoofed || nic.is_guarded() && packet.source.is_unspecified() {
        return nic.decision(Verdict::Drop, Reason::AntiSpoofing);
    }

    // Step 13: strict mode.
    let is_mid_stream = known == FlowLookup::Miss && packet.is_mid_stream();
    if is_mid_stream && nic.has(flags::STRICT) {
        return nic.decision(Verdict::Drop, Reason::MidStream);
    }

    // Step 14: own source. Step 15: rules. The image holds both.
    let decision = nic.classify(nic.direction, packet.family, keys);
    if candidate::is_set(header) {
        let scope = Scope { slot: nic.slot, direction: nic.direction, family: packet.family };
        candidate::compare(keys, scope, decision);
    }
    let opens = has_flow && flow::opens(packet);
    // Step 16: mid-stream TCP. Which side opened a connection that is first seen in its middle is unknown.
    let mut either = false;
    if is_mid_stream && decision.accepts() {
        let first = First::of(packet, nic.direction);
        match takes_over(scratch, nic.slot, first) {
            Takeover::OneWay => {}
            Takeover::EitherWay => either = true,
            Takeover::Refused(verdict) => return nic.decision(verdict, Reason::NotTakenOver),
        }
    }
    // Step 17: state.
    let args = InsertArgs::open(nic.direction, known != FlowLookup::Miss, either);
    if !(decision.accepts() && opens) {
        return decision;
    }
    if flow_table::insert(scratch, decision, args, length) {
        ctx.event(scratch, decision, EventArgs::new(EventKind::Opened, nic.scope()));
    } else {
        // The rules' verdict stands; without an entry, the replies need a rule of their own.
        debug!(ctx, "NIC {}: the flow table is full", nic.slot);
        helpers::count(reason_counter(nic.header.counters, nic.direction, Reason::FlowTableFull), ctx.len());
    }
    decision
}

/// Whether the packet is an ICMP error about a flow, addressed to the sender of the packet that it quotes. That packet went the
/// other way.
#[inline(always)]
fn is_error_about_flow(ctx: &impl Context, nic: &Nic, scratch: &mut Scratch) -> bool {
    if scratch.packet.icmp() != Some(Icmp::Error) || !view::read_quoted(ctx, scratch) {
        return false;
    }
    let Scratch { packet, embedded, key, .. } = scratch;
    let (to, from) = (packet.destination, embedded.source);
    (to.high, to.low) == (from.high, from.low)
        && !embedded.is_later_fragment()
        && key.name(nic.slot, nic.direction.reversed(), embedded, embedded.icmp())
}

/// The stage of [`decide`] that asks the rules, on its own: for measurements.
#[inline(always)]
pub fn classify(ctx: &impl Context, hook: Hook) -> Decision {
    let (Ok(nic), Some(scratch)) = (nic_of(ctx, hook), maps::scratch()) else {
        return host_drop(Reason::NoImage);
    };
    scratch.header = nic.header;
    let family = match frame::read_bare(ctx, scratch) {
        Payload::Ip(family, _) => family,
        Payload::Arp(_) => return host_drop(Reason::NotIp),
        Payload::Refused(reason) => return host_drop(reason),
    };
    scratch.keys.fill(&packet_fields(nic.direction, &scratch.packet));
    nic.classify(nic.direction, family, &scratch.keys)
}
