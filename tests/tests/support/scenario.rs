//! Scenarios: a policy, packets, and what becomes of each, written once and put to every judge.
//!
//! | judge | who says what becomes of a packet |
//! |---|---|
//! | oracle | the rules as written |
//! | image | the compiled image, read in user space |
//! | tc, xdp | the programs in the kernel, in test runs |
//! | wire | an agent on a router, over each way to attach, as host and as guest; real packets and counters |
//! | nftables | rules that say the same in its language, on another router; real packets |
//!
//! A scenario says of a judge that cannot be asked why it cannot; there is no other way to leave one out. The tables are in the folders
//! of features. `differential/scenarios.rs` asks the first four judges, `differential/scenarios_on_the_wire.rs` the others. Nothing
//! here decides.

use std::fmt;

use anyhow::Result;

use serde_json::{Value, json};
pub(crate) use sg_model::Role;
use sg_model::{Direction, Family, Policy};
use sg_probe::{Probe, Reader};

/// One situation.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Beginnings of the document. With each of them it means the same.
    pub(crate) heads: &'static [&'static str],
    /// The document without its NIC.
    pub(crate) policy: &'static str,
    /// Keys of the NIC beside its device, role and addresses.
    pub(crate) nic: &'static str,
    pub(crate) roles: &'static [Role],
    pub(crate) packets: &'static [Packet],
    pub(crate) nftables: Nftables,
    /// Other judges that cannot be asked, and why.
    pub(crate) except: &'static [(Judge, &'static str)],
}

/// A scenario of a NIC in the group `web`, for what is written out to differ from.
pub(crate) const WEB: Scenario = Scenario {
    name: "",
    heads: &[""],
    policy: "",
    nic: "groups: [web]",
    roles: BOTH_ROLES,
    packets: &[],
    nftables: Nftables::Without(""),
    except: &[],
};

pub(crate) const BOTH_ROLES: &[Role] = &[Role::Host, Role::Guest];
pub(crate) const BOTH_PRECEDENCES: &[&str] = &["precedence: sequence", "precedence: merged"];

/// The same in the language of nftables, written from the documentation and not derived.
#[derive(Clone, Copy)]
pub(crate) enum Nftables {
    /// The rules for inbound and for outbound packets. What they leave over is dropped.
    Rules { inbound: &'static str, outbound: &'static str },
    /// It cannot say it, for this reason.
    Without(&'static str),
}

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Judge {
    Oracle,
    Image,
    Tc,
    Xdp,
    Wire,
    Nftables,
}

impl Judge {
    pub(crate) const ALL: [Self; 6] =
        [Self::Oracle, Self::Image, Self::Tc, Self::Xdp, Self::Wire, Self::Nftables];
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Oracle => "oracle",
            Self::Image => "image",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::Wire => "wire",
            Self::Nftables => "nftables",
        })
    }
}

/// An address of each family.
pub(crate) type Ends = [&'static str; 2];

/// The addresses of the NIC.
pub(crate) const LOCAL: Ends = ["172.16.0.5", "fd03::5"];
pub(crate) const SECOND: Ends = ["172.16.0.6", "fd03::6"];
/// An address beside them, which is not the NIC's.
pub(crate) const NOT_LOCAL: Ends = ["172.16.0.7", "fd03::7"];
/// Other ends.
pub(crate) const CLIENT: Ends = ["10.77.0.2", "fd77::2"];
pub(crate) const STRANGER: Ends = ["10.77.0.3", "fd77::3"];

/// A packet that begins a flow, over both families unless it says otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    direction: Direction,
    remote: Ends,
    local: Ends,
    protocol: &'static str,
    source_port: Option<u16>,
    port: Option<u16>,
    icmp: Option<[u8; 2]>,
    dscp: Option<u8>,
    families: &'static [Family],
    /// In the words of `sgctl check`: the verdict, the reason, and whose counter moves.
    expected: &'static str,
}

/// A packet to the NIC.
pub(crate) const fn from(remote: Ends) -> Packet {
    Packet {
        direction: Direction::Ingress,
        remote,
        local: LOCAL,
        protocol: "",
        source_port: None,
        port: None,
        icmp: None,
        dscp: None,
        families: &[Family::V4, Family::V6],
        expected: "",
    }
}

/// A packet from the NIC.
pub(crate) const fn to(remote: Ends) -> Packet {
    Packet { direction: Direction::Egress, ..from(remote) }
}

impl Packet {
    pub(crate) const fn tcp(self, port: u16) -> Self {
        Self { protocol: "tcp", port: Some(port), ..self }
    }

    pub(crate) const fn udp(self, port: u16) -> Self {
        Self { protocol: "udp", port: Some(port), ..self }
    }

    /// Of a protocol with ports, by its name or number.
    pub(crate) const fn ported(self, protocol: &'static str, port: u16) -> Self {
        Self { protocol, port: Some(port), ..self }
    }

    /// Of a protocol that rules match by its number only.
    pub(crate) const fn bare(self, protocol: &'static str) -> Self {
        Self { protocol, ..self }
    }

    pub(crate) const fn icmp(self, kind: u8, code: u8) -> Self {
        Self { protocol: "icmp", icmp: Some([kind, code]), families: &[Family::V4], ..self }
    }

    pub(crate) const fn icmpv6(self, kind: u8, code: u8) -> Self {
        Self { protocol: "icmpv6", icmp: Some([kind, code]), families: &[Family::V6], ..self }
    }

    pub(crate) const fn source_port(self, port: u16) -> Self {
        Self { source_port: Some(port), ..self }
    }

    pub(crate) const fn dscp(self, dscp: u8) -> Self {
        Self { dscp: Some(dscp), ..self }
    }

    /// The end on the side of the NIC.
    pub(crate) const fn at(self, local: Ends) -> Self {
        Self { local, ..self }
    }

    pub(crate) const fn v4(self) -> Self {
        Self { families: &[Family::V4], ..self }
    }

    pub(crate) const fn v6(self) -> Self {
        Self { families: &[Family::V6], ..self }
    }

    pub(crate) const fn is(self, expected: &'static str) -> Self {
        Self { expected, ..self }
    }

    /// As a probe of the policy's only NIC.
    fn probe(&self, family: Family, policy: &Policy) -> Result<Probe> {
        let [remote, local] = [self.remote, self.local].map(|ends| ends[family as usize]);
        let (way, source, destination) = match self.direction {
            Direction::Ingress => ("ingress", remote, local),
            Direction::Egress => ("egress", local, remote),
        };
        let protocol = self.protocol.parse::<u8>().map_or_else(|_| Value::from(self.protocol), Value::from);
        let mut line = json!({ "nic": policy.nics()[0].device, "direction": way, "protocol": protocol });
        line["src"] = source.into();
        line["dst"] = destination.into();
        for (field, value) in [("sport", self.source_port), ("dport", self.port)] {
            if let Some(port) = value {
                line[field] = port.into();
            }
        }
        if let Some([kind, code]) = self.icmp {
            line["icmp_type"] = kind.into();
            line["icmp_code"] = code.into();
        }
        if let Some(dscp) = self.dscp {
            line["dscp"] = dscp.into();
        }
        Ok(Reader::new(policy).probe(line.to_string().as_bytes())?)
    }
}

impl Scenario {
    /// The document, whose NIC is on `device`; more keys may follow the name.
    pub(crate) fn document(&self, head: &str, role: Role, device: &str) -> String {
        let role = if role == Role::Host { "host" } else { "guest" };
        let [[a, c], [b, d]] = [LOCAL, SECOND];
        let (policy, nic) = (self.policy, self.nic);
        format!(
            "{head}\n{policy}\nnics:\n  - {{ device: {device}, role: {role}, addresses: [{a}, {b}, \"{c}\", \"{d}\"], {nic} }}\n"
        )
    }

    /// Its packets as probes, with what is expected of them.
    pub(crate) fn probes(&self, policy: &Policy) -> Result<Vec<(Probe, &'static str)>> {
        let rows = self
            .packets
            .iter()
            .flat_map(|packet| packet.families.iter().map(move |&family| (packet, family)));
        rows.map(|(packet, family)| Ok((packet.probe(family, policy)?, packet.expected))).collect()
    }

    /// Why a judge cannot be asked.
    pub(crate) fn why_not(&self, judge: Judge) -> Option<&'static str> {
        let said = self.except.iter().find(|(excepted, _)| *excepted == judge).map(|&(_, why)| why);
        match (judge, self.nftables) {
            (Judge::Nftables, Nftables::Without(why)) => Some(why),
            (Judge::Xdp, _) if said.is_none() && !self.is_seen_at_xdp() => Some(NOT_AT_XDP),
            _ => said,
        }
    }

    fn is_seen_at_xdp(&self) -> bool {
        self.roles.contains(&Role::Host)
            && self.packets.iter().any(|packet| packet.direction == Direction::Ingress)
    }
}

const NOT_AT_XDP: &str = "XDP sees what a host's NIC receives, and this is about something else";

/// Every scenario, with its feature.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Scenario)> {
    macro_rules! tables {
        ($($folder:ident::$file:ident),+ $(,)?) => {
            [$((concat!(stringify!($folder), "::", stringify!($file)), crate::$folder::$file::SCENARIOS)),+]
        };
    }
    let tables: [(&str, &'static [Scenario]); 16] = tables!(
        fields::protocol,
        fields::ports,
        fields::source_ports,
        fields::dscp,
        fields::icmp,
        fields::family,
        fields::remote,
        fields::local,
        fields::enabled,
        order::priority,
        order::groups,
        order::members,
        order::defaults,
        exceptions::addresses,
        anti_spoofing::sources,
        reject::verdicts,
    );
    tables.into_iter().flat_map(|(feature, table)| table.iter().map(move |scenario| (feature, scenario)))
}
