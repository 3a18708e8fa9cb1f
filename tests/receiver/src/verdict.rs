//! The judgement: what the rules say of a datagram as a receiver has it, and why a filter may block more than they do.
//!
//! It judges by the policy's table, by what `docs/use/exceptions.md` lets pass, and by what the receiver itself began. It
//! must never look at frames: what they say is what is in doubt.

use std::net::IpAddr;

use crate::{
    address::{SPOOFED, case_of},
    combination::{Combination, Direction},
    frames::{Ends, Family, number, octets},
    rules::{Asked, Policy, icmp},
    seen::{By, Seen},
    story::{Case, Lie, Sends},
};

/// Why a datagram may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// A rule accepts it.
    Rule,
    /// It replies to what the receiver began.
    Reply,
    /// It is neighbour discovery.
    Discovery,
    /// It is an error about what the receiver sent.
    Error,
}

/// Why a datagram must not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// No rule accepts it.
    NoRule,
    /// Its transport header is not all there, so that no rule can be asked.
    HalfAHeader,
    /// A guest sent it from an address that is not its own.
    Spoofed,
    /// A guest sent what only servers and routers send.
    RogueServer,
    /// A guest advertised an address that is not its own.
    RogueNeighbour,
}

/// Why a filter may block what the rules accept and nftables lets pass. Each is explained in `docs/design/receiver.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Fragments come in order, or not at all.
    FragmentOrder,
    /// No two fragments have the same bytes.
    FragmentOverlap,
    /// A first fragment has all headers.
    FirstFragment,
    /// There are no fragments of fragments.
    NestedFragment,
    /// There are no more extension headers than six.
    ManyHeaders,
    /// A header is not what it says.
    BrokenHeader,
    /// A length is not what it says.
    Length,
    /// Nobody has three VLAN tags.
    Tags,
    /// A frame is for somebody else.
    Address,
    /// Neighbour discovery in fragments or with something around it, where none is needed, and replies to neighbours that may not
    /// have asked: no receiver tells.
    Discovery,
    /// Bytes changed at random.
    Noise,
}

/// Under what a datagram is judged.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// The hook, the role, the direction.
    pub combination: Combination,
    /// The rules.
    pub policy: Policy,
}

impl Judge {
    /// Whether `seen` of `case` may arrive where `arrived` did.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(self, case: &Case, seen: &Seen, arrived: &[Seen]) -> Result<Permit, Forbidden> {
        let guarded = self.combination.from_guest() && self.policy.guards(self.combination);
        if guarded && case.number & SPOOFED != 0 {
            return Err(Forbidden::Spoofed);
        }
        if guarded && is_server(seen) {
            return Err(Forbidden::RogueServer);
        }
        if guarded
            && seen.icmp_type() == Some(136)
            && seen.family == Family::V6
            && !is_about_itself(case, seen)
        {
            return Err(Forbidden::RogueNeighbour);
        }
        if self.sends_bare(case) && self.is_discovery(case, seen) {
            return Ok(Permit::Discovery);
        }
        if seen.is_truncated() {
            return if self.policy.accepts(asked_of_number(seen)) && !matters(seen) {
                Ok(Permit::Rule)
            } else {
                Err(Forbidden::HalfAHeader)
            };
        }
        if self.policy.accepts(asked(seen)) {
            return Ok(Permit::Rule);
        }
        if is_reply(case, seen, arrived) {
            return Ok(Permit::Reply);
        }
        if is_error_about(case, seen, arrived) {
            return Ok(Permit::Error);
        }
        Err(Forbidden::NoRule)
    }

    /// Whether some packets of `case` carry a message and nothing around it, as neighbour discovery must: no fragments (RFC 6980),
    /// no extension headers, and nothing behind what is sent.
    fn sends_bare(self, case: &Case) -> bool {
        let Sends { bare, trailed, .. } = case.sends;
        // Where bytes were changed at random, headers may be, too.
        bare || trailed && self.combination.direction == Direction::Ingress || case.lies.contains(&Lie::Noise)
    }

    /// Whether some packets of `case` have something around what they carry, of which no receiver tells.
    fn sends_more(self, case: &Case) -> bool {
        let Sends { wrapped, trailed, .. } = case.sends;
        wrapped || trailed && self.combination.direction == Direction::Egress
    }

    /// What `docs/use/exceptions.md` says of messages of neighbour discovery.
    fn is_discovery(self, case: &Case, seen: &Seen) -> bool {
        const MOST_OPTIONS: usize = 32;
        let out = self.combination.direction == Direction::Egress;
        if seen.family != Family::V6 {
            return false;
        }
        // Of what it replied to, a stack has made sure; the message itself it does not show.
        if seen.by == By::Reply {
            return seen.icmp_type() == Some(135);
        }
        let Some(kind) = seen.icmp_type() else { return false };
        let message = &seen.bytes;
        let (fixed, flags) = match kind {
            133 if out => (8, 0),
            134 if !out => (16, 0),
            135 => (24, 0),
            136 => (24, 0xe0),
            _ => return false,
        };
        if seen.hop_limit != Some(255) || message[1] != 0 || message.len() < fixed {
            return false;
        }
        let options = &message[fixed..];
        let most = if kind == 134 { usize::MAX } else { MOST_OPTIONS };
        if options.len() > most || !are_options(options) {
            return false;
        }
        if !out {
            return true;
        }
        let unread = message[4] & !flags == 0 && message[5..8] == [0; 3];
        let to_it = kind == 135 && message[8..24] == octets(case.ends.to)[..];
        unread && (to_the_link(case) || to_it || self.is_reply_to_neighbour(case, seen))
    }

    /// Whether it may be the reply to a neighbour that asked. The receiver asks now and then who a source is (RFC 4861 7.2.2), and
    /// for ten seconds a reply may come.
    fn is_reply_to_neighbour(self, case: &Case, seen: &Seen) -> bool {
        let out = self.combination.direction == Direction::Egress;
        out && seen.icmp_type() == Some(136) && !to_the_link(case)
    }

    /// A refusal that nobody may send: of a frame that was not for the receiver, or to a group (RFC 1122 3.2.2, 3.2.2.1).
    #[must_use]
    pub fn refused_wrongly<'a>(self, case: &Case, arrived: &'a [Seen]) -> Option<&'a Seen> {
        let nobody =
            case.lies.iter().any(|lie| matches!(lie, Lie::Address | Lie::Destination | Lie::GroupSource));
        // What arrived, the stack itself may refuse.
        if self.policy != Policy::Reject || !nobody || arrived.iter().any(|seen| seen.by != By::Refusal) {
            return None;
        }
        arrived.iter().find(|seen| seen.by == By::Refusal)
    }

    /// The kind of the difference, where a filter blocks what it should not; none is a fault.
    #[must_use]
    pub fn kind(self, case: &Case, seen: &Seen, permit: Permit) -> Option<Kind> {
        if permit == Permit::Discovery && (self.sends_more(case) || self.is_reply_to_neighbour(case, seen)) {
            return Some(Kind::Discovery);
        }
        case.lies.iter().find_map(|lie| match lie {
            Lie::Order => Some(Kind::FragmentOrder),
            Lie::Overlap => Some(Kind::FragmentOverlap),
            Lie::TinyFirst => Some(Kind::FirstFragment),
            Lie::Nested => Some(Kind::NestedFragment),
            Lie::ManyHeaders => Some(Kind::ManyHeaders),
            Lie::BrokenChain | Lie::Transport => Some(Kind::BrokenHeader),
            Lie::Length => Some(Kind::Length),
            Lie::Tagged => (case.tags > 2).then_some(Kind::Tags),
            Lie::Address | Lie::Destination | Lie::GroupSource => Some(Kind::Address),
            Lie::Noise => Some(Kind::Noise),
            Lie::Atomic | Lie::Options => None,
        })
    }
}

/// Whether rules ask for what is not there.
const fn matters(seen: &Seen) -> bool {
    matches!(seen.protocol, number::TCP | number::UDP | number::SCTP | number::ICMP | number::ICMPV6)
}

fn asked_of_number(seen: &Seen) -> Asked {
    Asked { family: seen.family, protocol: seen.protocol, detail: 0 }
}

fn asked(seen: &Seen) -> Asked {
    let detail = match (seen.ports(), seen.icmp_type()) {
        (Some([_, to]), _) => to,
        (None, Some(kind)) => kind.into(),
        (None, None) => 0,
    };
    Asked { family: seen.family, protocol: seen.protocol, detail }
}

/// Replies of a DHCP server, and what a router says of itself.
fn is_server(seen: &Seen) -> bool {
    match seen.family {
        Family::V4 => seen.protocol == number::UDP && seen.ports() == Some([67, 68]),
        Family::V6 => {
            seen.protocol == number::UDP && seen.ports() == Some([547, 546]) || seen.icmp_type() == Some(134)
        }
    }
}

/// Whether the receiver began what it belongs to. A SYN begins something of its own, unless both ends ask at once (RFC 9293
/// 3.5): then nothing else of the connection has arrived but resets, which anybody may forge.
fn is_reply(case: &Case, seen: &Seen, arrived: &[Seen]) -> bool {
    let reply = match seen.family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    let both_ask = |ports| {
        arrived.iter().all(|other| other.ports() != Some(ports) || other.is_syn() || other.is_reset())
    };
    case.opened.iter().any(|opened| {
        opened.protocol == seen.protocol
            && match seen.icmp_type() {
                Some(kind) => {
                    kind == reply && seen.bytes[1] == 0 && seen.identifier() == Some(opened.ports[0])
                }
                None => seen.ports() == Some(opened.ports) && (!seen.is_syn() || both_ask(opened.ports)),
            }
    })
}

/// Whether it is an ICMP error about something that the receiver sent.
fn is_error_about(case: &Case, seen: &Seen, arrived: &[Seen]) -> bool {
    let is_error = match (seen.family, seen.icmp_type()) {
        (Family::V4, Some(kind)) => matches!(kind, 3 | 11 | 12),
        (Family::V6, Some(kind)) => matches!(kind, 1..=4),
        _ => false,
    };
    let Some(about) = is_error.then(|| embedded(seen.family, &seen.bytes[8..])).flatten() else {
        return false;
    };
    if about.ends != case.ends.reversed() {
        return false;
    }
    let against = [about.ports[1], about.ports[0]];
    case.opened.iter().any(|opened| opened.protocol == about.protocol && opened.ports == against)
        || arrived.iter().any(|seen| seen.protocol == about.protocol && seen.ports() == Some(against))
}

/// The packet that an error is about.
struct Embedded {
    ends: Ends,
    protocol: u8,
    ports: [u16; 2],
}

/// Reads it, if all of it that matters is there. Extension headers are not followed: no story has the receiver send any.
fn embedded(family: Family, bytes: &[u8]) -> Option<Embedded> {
    let (from, to, protocol, header): (IpAddr, IpAddr, _, _) = match family {
        Family::V4 => {
            let from: [u8; 4] = bytes.get(12..16)?.try_into().ok()?;
            let to: [u8; 4] = bytes.get(16..20)?.try_into().ok()?;
            let header = usize::from(bytes[0] & 0x0f) * 4;
            if u16::from_be_bytes([bytes[6], bytes[7]]) & 0x1fff != 0 || header < 20 {
                return None;
            }
            (from.into(), to.into(), bytes[9], header)
        }
        Family::V6 => {
            let from: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let to: [u8; 16] = bytes.get(24..40)?.try_into().ok()?;
            (from.into(), to.into(), bytes[6], 40)
        }
    };
    let ports: [u8; 4] = bytes.get(header..header + 4)?.try_into().ok()?;
    case_of(to)?;
    if protocol == icmp(family) {
        return None;
    }
    let ports = [u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])];
    Some(Embedded { ends: Ends { from, to }, protocol, ports })
}

/// Whether it is sent to an address of the link, or to many there.
fn to_the_link(case: &Case) -> bool {
    let to = octets(case.ends.to);
    to[..2] == [0xff, 0x02] || to[0] == 0xfe && to[1] & 0xc0 == 0x80
}

/// Whether these are options of neighbour discovery (RFC 4861 4.6), no more than are walked through.
fn are_options(mut bytes: &[u8]) -> bool {
    for _ in 0..32 {
        let length = match bytes {
            [] => return true,
            [_, 0, ..] | [_] => return false,
            [_, units, ..] => usize::from(*units) * 8,
        };
        let Some(rest) = bytes.get(length..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

/// Whether a neighbour advertisement is about the address that it comes from.
fn is_about_itself(case: &Case, seen: &Seen) -> bool {
    seen.bytes.get(8..24) == Some(&octets(case.ends.from)[..])
}
