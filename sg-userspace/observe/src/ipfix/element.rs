//! Information elements: their numbers, their lengths, and the value that a record has for each.
//!
//! One table, so that a template and its records cannot disagree. It must never know sets or messages. Called by `Template`.

use ipnet::IpNet;
use jiff::Timestamp;
use sg_common::packet::protocol;

use crate::record::{Direction, Event, FlowState, IcmpType, Record, Stage, Verdict};

/// Elements of the reverse direction, RFC 5103.
const REVERSE: u32 = 29_305;
/// Project Antrea, as its registry lists them.
const ANTREA: u32 = 56_506;
/// Length of a text of any length.
const VARIABLE: u16 = u16::MAX;
/// Longest text, in bytes. So the length takes one byte, and a record always fits a message.
const MAX_TEXT: usize = 120;
/// "Reserved" at IANA: a packet whose protocol is not known is not of protocol 0, which is a header of IPv6.
const NO_PROTOCOL: u8 = 255;

/// An information element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    FlowStartMilliseconds,
    FlowEndMilliseconds,
    SourceIpv4Address,
    SourceIpv4PrefixLength,
    DestinationIpv4Address,
    DestinationIpv4PrefixLength,
    SourceIpv6Address,
    SourceIpv6PrefixLength,
    DestinationIpv6Address,
    DestinationIpv6PrefixLength,
    IcmpTypeCodeIpv4,
    IcmpTypeCodeIpv6,
    SourceTransportPort,
    DestinationTransportPort,
    ProtocolIdentifier,
    TcpControlBits,
    FlowDirection,
    FirewallEvent,
    FlowEndReason,
    OctetDeltaCount,
    PacketDeltaCount,
    ReverseOctetDeltaCount,
    ReversePacketDeltaCount,
    InterfaceName,
    IngressNetworkPolicyName,
    IngressNetworkPolicyRuleName,
    IngressNetworkPolicyRuleAction,
    EgressNetworkPolicyName,
    EgressNetworkPolicyRuleName,
    EgressNetworkPolicyRuleAction,
}

impl Element {
    /// Enterprise (0: IANA), number, and length in bytes.
    const fn numbers(self) -> (u32, u16, u16) {
        match self {
            Self::FlowStartMilliseconds => (0, 152, 8),
            Self::FlowEndMilliseconds => (0, 153, 8),
            Self::SourceIpv4Address => (0, 8, 4),
            Self::SourceIpv4PrefixLength => (0, 9, 1),
            Self::DestinationIpv4Address => (0, 12, 4),
            Self::DestinationIpv4PrefixLength => (0, 13, 1),
            Self::SourceIpv6Address => (0, 27, 16),
            Self::SourceIpv6PrefixLength => (0, 29, 1),
            Self::DestinationIpv6Address => (0, 28, 16),
            Self::DestinationIpv6PrefixLength => (0, 30, 1),
            Self::IcmpTypeCodeIpv4 => (0, 32, 2),
            Self::IcmpTypeCodeIpv6 => (0, 139, 2),
            Self::SourceTransportPort => (0, 7, 2),
            Self::DestinationTransportPort => (0, 11, 2),
            Self::ProtocolIdentifier => (0, 4, 1),
            Self::TcpControlBits => (0, 6, 2),
            Self::FlowDirection => (0, 61, 1),
            Self::FirewallEvent => (0, 233, 1),
            Self::FlowEndReason => (0, 136, 1),
            Self::OctetDeltaCount => (0, 1, 8),
            Self::PacketDeltaCount => (0, 2, 8),
            Self::ReverseOctetDeltaCount => (REVERSE, 1, 8),
            Self::ReversePacketDeltaCount => (REVERSE, 2, 8),
            Self::InterfaceName => (0, 82, VARIABLE),
            Self::IngressNetworkPolicyName => (ANTREA, 110, VARIABLE),
            Self::IngressNetworkPolicyRuleName => (ANTREA, 141, VARIABLE),
            Self::IngressNetworkPolicyRuleAction => (ANTREA, 139, 1),
            Self::EgressNetworkPolicyName => (ANTREA, 112, VARIABLE),
            Self::EgressNetworkPolicyRuleName => (ANTREA, 142, VARIABLE),
            Self::EgressNetworkPolicyRuleAction => (ANTREA, 140, 1),
        }
    }

    /// Writes its field specifier, as a template has it.
    pub(super) fn describe(self, to: &mut Vec<u8>) {
        const ENTERPRISE: u16 = 0x8000;
        let (enterprise, number, length) = self.numbers();
        let number = if enterprise == 0 { number } else { number | ENTERPRISE };
        to.extend_from_slice(&number.to_be_bytes());
        to.extend_from_slice(&length.to_be_bytes());
        if enterprise != 0 {
            to.extend_from_slice(&enterprise.to_be_bytes());
        }
    }

    /// Writes the value of `record`. What the record does not have is 0 or empty.
    pub(super) fn write(self, record: &Record, to: &mut Vec<u8>) {
        match self {
            Self::FlowStartMilliseconds => milliseconds(record.start, to),
            Self::FlowEndMilliseconds => milliseconds(record.end, to),
            Self::SourceIpv4Address => to.extend_from_slice(&v4(record.src)),
            Self::DestinationIpv4Address => to.extend_from_slice(&v4(record.dst)),
            Self::SourceIpv6Address => to.extend_from_slice(&v6(record.src)),
            Self::DestinationIpv6Address => to.extend_from_slice(&v6(record.dst)),
            Self::SourceIpv4PrefixLength | Self::SourceIpv6PrefixLength => to.push(length(record.src)),
            Self::DestinationIpv4PrefixLength | Self::DestinationIpv6PrefixLength => {
                to.push(length(record.dst));
            }
            Self::IcmpTypeCodeIpv4 => to.extend_from_slice(&icmp(record, protocol::ICMP)),
            Self::IcmpTypeCodeIpv6 => to.extend_from_slice(&icmp(record, protocol::ICMPV6)),
            Self::SourceTransportPort => to.extend_from_slice(&record.sport.unwrap_or(0).to_be_bytes()),
            Self::DestinationTransportPort => to.extend_from_slice(&destination_port(record)),
            Self::ProtocolIdentifier => to.push(record.protocol.unwrap_or(NO_PROTOCOL)),
            Self::TcpControlBits => {
                to.extend_from_slice(&u16::from(record.tcp_flags.unwrap_or(0)).to_be_bytes());
            }
            Self::FlowDirection => to.push(match record.direction {
                Direction::Ingress => 0,
                Direction::Egress => 1,
            }),
            Self::FirewallEvent => to.push(firewall_event(record.event)),
            Self::FlowEndReason => to.push(end_reason(record)),
            Self::OctetDeltaCount => to.extend_from_slice(&record.bytes[0].to_be_bytes()),
            Self::PacketDeltaCount => to.extend_from_slice(&record.packets[0].to_be_bytes()),
            Self::ReverseOctetDeltaCount => to.extend_from_slice(&record.bytes[1].to_be_bytes()),
            Self::ReversePacketDeltaCount => to.extend_from_slice(&record.packets[1].to_be_bytes()),
            Self::InterfaceName => text(&record.nic, to),
            Self::IngressNetworkPolicyName => group(record, Direction::Ingress, to),
            Self::EgressNetworkPolicyName => group(record, Direction::Egress, to),
            Self::IngressNetworkPolicyRuleName => rule(record, Direction::Ingress, to),
            Self::EgressNetworkPolicyRuleName => rule(record, Direction::Egress, to),
            Self::IngressNetworkPolicyRuleAction => action(record, Direction::Ingress, to),
            Self::EgressNetworkPolicyRuleAction => action(record, Direction::Egress, to),
        }
    }
}

fn milliseconds(time: Timestamp, to: &mut Vec<u8>) {
    to.extend_from_slice(&u64::try_from(time.as_millisecond()).unwrap_or(0).to_be_bytes());
}

fn v4(net: Option<IpNet>) -> [u8; 4] {
    if let Some(IpNet::V4(net)) = net { net.addr().octets() } else { [0; 4] }
}

fn v6(net: Option<IpNet>) -> [u8; 16] {
    if let Some(IpNet::V6(net)) = net { net.addr().octets() } else { [0; 16] }
}

/// 0 is every address: what a folded record has.
fn length(net: Option<IpNet>) -> u8 {
    net.map_or(0, |net| net.prefix_len())
}

/// Of an ICMP message its type and code, which collectors of `NetFlow` look for there.
fn destination_port(record: &Record) -> [u8; 2] {
    match (record.dport, record.icmp) {
        (None, Some(IcmpType { kind, code })) => [kind, code],
        (port, _) => port.unwrap_or(0).to_be_bytes(),
    }
}

fn icmp(record: &Record, of: u8) -> [u8; 2] {
    match record.icmp {
        Some(IcmpType { kind, code }) if record.protocol == Some(of) => [kind, code],
        _ => [0; 2],
    }
}

/// As IANA numbers firewallEvent: created 1, deleted 2, denied 3, update 5.
const fn firewall_event(event: Event) -> u8 {
    match event {
        Event::Begin => 1,
        Event::Continue => 5,
        Event::End => 2,
        Event::Denied | Event::Revoked => 3,
        Event::Policy | Event::Lost => 0,
    }
}

/// As IANA numbers flowEndReason: idle 1, goes on 2, end detected 3, forced 4.
fn end_reason(record: &Record) -> u8 {
    match record.event {
        Event::End if record.state == Some(FlowState::Closing) => 3,
        Event::End => 1,
        Event::Revoked => 4,
        Event::Begin | Event::Continue | Event::Denied | Event::Policy | Event::Lost => 2,
    }
}

fn group(record: &Record, direction: Direction, to: &mut Vec<u8>) {
    let group = record.group.as_deref().or(record.groups.first().map(String::as_str));
    text(group.filter(|_| record.direction == direction).unwrap_or(""), to);
}

/// The rule, or the word of the reason where no rule decided.
fn rule(record: &Record, direction: Direction, to: &mut Vec<u8>) {
    let rule = match record.stage {
        Stage::Rule | Stage::IntraGroup | Stage::Default => record.rule.as_deref().unwrap_or(&record.reason),
        Stage::Exception | Stage::Reason => &record.reason,
    };
    text(if record.direction == direction { rule } else { "" }, to);
}

/// As Antrea numbers them: allow 1, drop 2, reject 3; 0 of the other direction.
fn action(record: &Record, direction: Direction, to: &mut Vec<u8>) {
    let action = match record.verdict {
        Verdict::Accept => 1,
        Verdict::Drop => 2,
        Verdict::Reject => 3,
    };
    to.push(if record.direction == direction { action } else { 0 });
}

/// A text behind its length. One that is too long is truncated at a character; what would move a cursor is left out.
fn text(text: &str, to: &mut Vec<u8>) {
    let length = to.len();
    to.push(0);
    let start = to.len();
    for letter in text.chars().filter(|letter| !sg_model::text::is_invisible(*letter)) {
        let mut bytes = [0; 4];
        let bytes = letter.encode_utf8(&mut bytes).as_bytes();
        if to.len() - start + bytes.len() > MAX_TEXT {
            break;
        }
        to.extend_from_slice(bytes);
    }
    let written = u8::try_from(to.len() - start).unwrap_or(0);
    if let Some(place) = to.get_mut(length) {
        *place = written;
    }
}
