//! The JSON form of a line: one object, whose fields are a contract. It must never decide what a line has.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;
use sg_common::packet::{has_ports, is_icmp, protocol};
use sg_model::{Direction, Family, Nic, ProtocolName};
use sg_probe::DEFAULT_SOURCE_PORT;

use super::{
    decider::By,
    line::{Line, Outcome, Span},
    nets::Nets,
    set::Range,
};

/// The packets of a line as JSON. A list that is absent means everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenPackets<'a> {
    /// The device.
    pub nic: &'a str,
    /// `ingress` or `egress`.
    pub direction: &'static str,
    /// 4 or 6.
    pub family: u8,
    /// Prefixes of remote addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Vec<String>>,
    /// Prefixes of local addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Vec<String>>,
    /// Protocols: `6`, `17-20`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<String>>,
    /// Destination ports: `80`, `8000-8100`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<String>>,
    /// Source ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<Vec<String>>,
    /// ICMP types and codes: `8/0`, `3/0-15`, `0-255/1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp: Option<Vec<String>>,
    /// DSCP: `0-63`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<Vec<String>>,
}

/// A line of a difference as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenLine<'a> {
    /// The packets.
    #[serde(flatten)]
    pub packets: WrittenPackets<'a>,
    /// What decides before.
    pub before: WrittenOutcome<'a>,
    /// What decides afterwards.
    pub after: WrittenOutcome<'a>,
    /// A packet of the line, as `sgctl check` takes it.
    pub sample: Sample<'a>,
}

/// A line of a search as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFound<'a> {
    /// The packets.
    #[serde(flatten)]
    pub packets: WrittenPackets<'a>,
    /// What decides.
    #[serde(flatten)]
    pub by: WrittenOutcome<'a>,
    /// A packet of the line, as `sgctl check` takes it.
    pub sample: Sample<'a>,
}

/// What decides, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenOutcome<'a> {
    /// `accept`, `drop` or `reject`.
    pub verdict: &'static str,
    /// The group; null for a default.
    pub group: Option<&'a str>,
    /// The rule; null for a default, and for inner access.
    pub rule: Option<&'a str>,
}

/// A packet, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample<'a> {
    /// The device.
    pub nic: &'a str,
    /// `ingress` or `egress`.
    pub direction: &'static str,
    /// A name or a number.
    pub protocol: SampleProtocol,
    /// The source address.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// The source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<u16>,
    /// The destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// The ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// The ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// The DSCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dscp: Option<u8>,
}

/// A protocol, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SampleProtocol {
    /// Such as `tcp`.
    Name(String),
    /// The IANA number of a protocol without a name.
    Number(u8),
}

impl SampleProtocol {
    fn of(number: u8) -> Self {
        let name = ProtocolName(number).to_string();
        let is_name = name.parse::<ProtocolName>().is_ok();
        if is_name { Self::Name(name) } else { Self::Number(number) }
    }
}

fn span<T: PartialEq + ToString>((first, last): &Span<T>) -> String {
    if first == last { first.to_string() } else { format!("{}-{}", first.to_string(), last.to_string()) }
}

fn spans<T: PartialEq + ToString>(list: Option<&Vec<Span<T>>>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(span).collect())
}

impl<'a> Outcome<'a> {
    /// As JSON.
    #[must_use]
    pub fn written(&self) -> WrittenOutcome<'a> {
        let verdict = self.verdict.name();
        let (group, rule) = match self.by {
            By::Rule { group, rule } => (Some(group), Some(rule)),
            By::Group(group) => (Some(group), None),
            By::Reason(_) | By::Default | By::Unfiltered => (None, None),
        };
        WrittenOutcome { verdict, group, rule }
    }
}

impl<'a> Line<'a> {
    /// As JSON. `nic` is that of either policy: the sample has one of its addresses where that is of the line.
    #[must_use]
    pub fn written(&self, nic: Option<&Nic>) -> WrittenLine<'a> {
        let (before, after) = (self.before.written(), self.after.written());
        WrittenLine { packets: self.written_packets(), before, after, sample: self.sample(nic) }
    }

    /// As JSON, where it was found by a search: then before and after are one.
    #[must_use]
    pub fn written_found(&self, nic: Option<&Nic>) -> WrittenFound<'a> {
        WrittenFound { packets: self.written_packets(), by: self.after.written(), sample: self.sample(nic) }
    }

    fn written_packets(&self) -> WrittenPackets<'a> {
        let nets = |list: Option<&Nets>| list.map(|nets| nets.iter().map(|net| net.to_string()).collect());
        WrittenPackets {
            nic: self.nic,
            direction: self.direction.name(),
            family: match self.family {
                Family::V4 => 4,
                Family::V6 => 6,
            },
            remote: nets(self.remote.as_ref()),
            local: nets(self.local.as_ref()),
            protocols: spans(self.protocols.as_ref()),
            ports: spans(self.ports.as_ref()),
            source_ports: spans(self.source_ports.as_ref()),
            icmp: self.icmp.as_ref().map(|list| {
                list.iter().map(|[kinds, codes]| format!("{}/{}", span(kinds), span(codes))).collect()
            }),
            dscp: spans(self.dscp.as_ref()),
        }
    }

    /// A packet of the line.
    #[must_use]
    pub fn sample(&self, nic: Option<&Nic>) -> Sample<'a> {
        // Addresses for documentation (RFC 5737, RFC 3849), where any will do.
        let parsed =
            |addresses: [&'static str; 2]| addresses.into_iter().filter_map(|address| address.parse().ok());
        let strangers: Vec<IpAddr> = parsed(["192.0.2.1", "2001:db8::1"]).collect();
        let own = nic.map_or(&[][..], |nic| &nic.addresses).iter().copied();
        let own: Vec<IpAddr> = own.chain(parsed(["198.51.100.5", "2001:db8:5::5"])).collect();
        let all = Nets { ranges: Arc::new([Range::new(0, u128::MAX)]), family: self.family };
        let [remote, local] = [(&self.remote, &strangers), (&self.local, &own)]
            .map(|(nets, liked)| nets.as_ref().unwrap_or(&all).one(liked));
        let (src, dst) = match self.direction {
            Direction::Ingress => (remote, local),
            Direction::Egress => (local, remote),
        };
        let number = self.protocol();
        let first = |list: Option<&Vec<Span<u16>>>, liked: u16| match list {
            Some(list) if !list.iter().any(|(first, last)| (*first..=*last).contains(&liked)) => {
                list.first().map_or(liked, |(first, _)| *first)
            }
            _ => liked,
        };
        let (is_ported, is_message) = (has_ports(number), is_icmp(self.family, number));
        let message =
            self.icmp.as_ref().and_then(|list| list.first()).map(|[kinds, codes]| (kinds.0, codes.0));
        let (kind, code) = message.unwrap_or((if self.family == Family::V4 { 8 } else { 128 }, 0));
        Sample {
            nic: self.nic,
            direction: self.direction.name(),
            protocol: SampleProtocol::of(number),
            src,
            dst,
            sport: is_ported.then(|| first(self.source_ports.as_ref(), DEFAULT_SOURCE_PORT)),
            dport: is_ported.then(|| first(self.ports.as_ref(), 80)),
            icmp_type: is_message.then_some(kind),
            icmp_code: is_message.then_some(code),
            dscp: self.dscp.as_ref().and_then(|list| list.first()).map(|(first, _)| *first),
        }
    }

    /// A protocol of the line: one that people know, if it has one.
    fn protocol(&self) -> u8 {
        const KNOWN: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6];
        let Some(protocols) = &self.protocols else { return protocol::TCP };
        let has = |number: &u8| protocols.iter().any(|(first, last)| (first..=last).contains(&number));
        // A range may begin or end with a number that no packet has only if it has others, too.
        let all = || {
            (0..=u8::MAX)
                .filter(|number| self.family == Family::V4 || !protocol::is_extension_header(*number))
        };
        KNOWN.into_iter().find(has).or_else(|| all().find(has)).unwrap_or(protocol::TCP)
    }
}
