//! The policies, as tables of our own: for the judgement, for `sgd` and for nftables.

use std::fmt::Write as _;

use crate::{
    address::{GATEWAYS, PAIRS, RECEIVERS},
    combination::{Combination, Direction, Role},
    frames::{Family, number},
};

/// Ports that are accepted wherever any are.
pub const OPEN: [u16; 2] = [7000, 7003];
/// Ports that never are.
pub const CLOSED: [u16; 2] = [9000, 9003];

/// What the rules say in the direction of the frames. The other direction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// A few services are accepted.
    Few,
    /// All but a few are.
    Most,
    /// None is.
    None,
    /// A few are, and who sends anything else is told.
    Reject,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug)]
enum Match {
    Everything,
    Protocol(u8),
    /// A protocol with destination ports from the first to the second.
    Ports(u8, [u16; 2]),
    /// ICMP of a family, by type.
    Icmp(Family, u8),
}

/// The first rule that matches decides; none: dropped.
type Rule = (bool, Match);

const FEW: &[Rule] = &[
    (true, Match::Ports(number::UDP, OPEN)),
    (true, Match::Ports(number::TCP, OPEN)),
    (true, Match::Ports(number::SCTP, OPEN)),
    (true, Match::Icmp(Family::V4, 8)),
    (true, Match::Icmp(Family::V6, 128)),
    (true, Match::Protocol(number::EXPERIMENT)),
];

const MOST: &[Rule] = &[
    (false, Match::Ports(number::UDP, CLOSED)),
    (false, Match::Ports(number::TCP, CLOSED)),
    (false, Match::Ports(number::SCTP, CLOSED)),
    (false, Match::Icmp(Family::V4, 13)),
    (false, Match::Icmp(Family::V6, 139)),
    (false, Match::Protocol(number::GRE)),
    (false, Match::Protocol(number::UDP_LITE)),
    (false, Match::Protocol(number::DCCP)),
    (true, Match::Everything),
];

/// What rules ask about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its family.
    pub family: Family,
    /// Its protocol.
    pub protocol: u8,
    /// Its destination port, or the type of an ICMP message.
    pub detail: u16,
}

impl Policy {
    /// Those that a combination is run under. Who is told of what does not leave a NIC is its owner, whoever it was for.
    #[must_use]
    pub const fn all(combination: Combination) -> &'static [Self] {
        match combination.direction {
            Direction::Ingress => &[Self::Few, Self::Most, Self::None, Self::Reject],
            Direction::Egress => &[Self::Few, Self::Most, Self::None],
        }
    }

    const fn rules(self) -> &'static [Rule] {
        match self {
            Self::Few | Self::Reject => FEW,
            Self::Most => MOST,
            Self::None => &[],
        }
    }

    /// Whether the NIC of a guest speaks for itself only.
    #[must_use]
    pub fn guards(self, combination: Combination) -> bool {
        combination.role == Role::Guest && self != Self::Few
    }

    /// Whether a rule accepts it.
    #[must_use]
    pub fn accepts(self, asked: Asked) -> bool {
        let matching = self.rules().iter().find(|(_, what)| match *what {
            Match::Everything => true,
            Match::Protocol(protocol) => asked.protocol == protocol,
            Match::Ports(protocol, [first, last]) => {
                asked.protocol == protocol && (first..=last).contains(&asked.detail)
            }
            Match::Icmp(family, kind) => {
                asked.protocol == icmp(family) && asked.family == family && asked.detail == u16::from(kind)
            }
        });
        matching.is_some_and(|&(accepts, _)| accepts)
    }

    /// What `sgd` reads; the receiver has this Ethernet address.
    #[must_use]
    pub fn document(self, combination: Combination, receiver: [u8; 6]) -> String {
        let mut tested = format!("{{ protocol: {}, priority: 1 }}", number::MARK);
        for (place, (accepts, what)) in self.rules().iter().enumerate() {
            let action = if *accepts { "accept" } else { "drop" };
            let what = match what {
                Match::Everything => "all".to_owned(),
                Match::Protocol(protocol) => protocol.to_string(),
                Match::Ports(protocol, [first, last]) => {
                    format!("{}, ports: {first}-{last}", name(*protocol))
                }
                Match::Icmp(Family::V4, kind) => format!("icmp, icmp_type: {kind}"),
                Match::Icmp(Family::V6, kind) => format!("icmpv6, icmp_type: {kind}"),
            };
            let _ = write!(tested, ", {{ action: {action}, priority: {}, protocol: {what} }}", place + 2);
        }
        let open = "{ protocol: all }".to_owned();
        let [ingress, egress] = match combination.direction {
            Direction::Ingress => [tested, open],
            Direction::Egress => [open, tested],
        };
        let role = match combination.role {
            Role::Host => "host",
            Role::Guest => "guest",
        };
        // The NIC's owner is who sends where the frames go out of it, and who receives where they go in.
        let (own, pairs) = match combination.direction {
            Direction::Ingress => (RECEIVERS, String::new()),
            Direction::Egress => (GATEWAYS, format!("allowed_address_pairs: [{}], ", PAIRS.join(", "))),
        };
        let guards = self.guards(combination);
        // Which frames are the guest's own is told by its address alone.
        let mac = match (combination.role, combination.direction) {
            (Role::Guest, Direction::Ingress) => format!("mac: \"{}\", ", written(receiver)),
            _ => String::new(),
        };
        let default = if self == Self::Reject { "default: reject\n" } else { "" };
        format!(
            "{default}groups:\n  tested: {{ type: enterprise, ingress: [{ingress}], egress: [{egress}] }}\n\
             nics:\n  - {{ device: eth0, role: {role}, addresses: [\"{}\", \"{}\"], {mac}{pairs}anti_spoofing: {guards}, groups: [tested] }}\n",
            own[0], own[1]
        )
    }

    /// What `nft -f` reads: the same rules where the datagrams are received, with what `docs/use/exceptions.md` lets pass.
    #[must_use]
    pub fn ruleset(self) -> String {
        let mut rules = String::new();
        for (accepts, what) in self.rules() {
            let what = match what {
                Match::Everything => String::new(),
                Match::Protocol(protocol) => format!("meta l4proto {protocol} "),
                Match::Ports(protocol, [first, last]) => format!("{} dport {first}-{last} ", name(*protocol)),
                Match::Icmp(Family::V4, kind) => {
                    format!("meta nfproto ipv4 meta l4proto 1 icmp type {kind} ")
                }
                Match::Icmp(Family::V6, kind) => {
                    format!("meta nfproto ipv6 meta l4proto 58 icmpv6 type {kind} ")
                }
            };
            let _ = writeln!(rules, "    {what}{}", if *accepts { "accept" } else { "drop" });
        }
        format!(
            "flush ruleset
table inet peer {{
  chain received {{
    type filter hook input priority 0; policy drop;
    meta l4proto {} accept
    ct state established,related accept
    meta nfproto ipv6 meta l4proto 58 ip6 hoplimit 255 icmpv6 type {{ 133, 134, 135, 136 }} accept
{rules}  }}
}}
",
            number::MARK
        )
    }
}

/// An Ethernet address as people write it.
#[must_use]
pub fn written(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// The number of the family's ICMP.
#[must_use]
pub const fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => number::ICMP,
        Family::V6 => number::ICMPV6,
    }
}

const fn name(protocol: u8) -> &'static str {
    match protocol {
        number::UDP => "udp",
        number::TCP => "tcp",
        _ => "sctp",
    }
}
