//! Templates: which elements a record has, in which order.
//!
//! One for each family, and one for records without addresses: folded to nothing, or not parsed. Called by `Encoder`.

use ipnet::IpNet;

use super::element::Element;
use crate::record::Record;

/// A template. Its number is part of what collectors store: a change of its elements needs a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Template {
    V4,
    V6,
    WithoutAddresses,
}

const BEFORE: &[Element] = &[Element::FlowStartMilliseconds, Element::FlowEndMilliseconds];

const ENDS_V4: &[Element] = &[
    Element::SourceIpv4Address,
    Element::DestinationIpv4Address,
    Element::SourceIpv4PrefixLength,
    Element::DestinationIpv4PrefixLength,
    Element::IcmpTypeCodeIpv4,
];

const ENDS_V6: &[Element] = &[
    Element::SourceIpv6Address,
    Element::DestinationIpv6Address,
    Element::SourceIpv6PrefixLength,
    Element::DestinationIpv6PrefixLength,
    Element::IcmpTypeCodeIpv6,
];

const AFTER: &[Element] = &[
    Element::SourceTransportPort,
    Element::DestinationTransportPort,
    Element::ProtocolIdentifier,
    Element::TcpControlBits,
    Element::FlowDirection,
    Element::FirewallEvent,
    Element::FlowEndReason,
    Element::OctetDeltaCount,
    Element::PacketDeltaCount,
    Element::ReverseOctetDeltaCount,
    Element::ReversePacketDeltaCount,
    Element::InterfaceName,
    Element::IngressNetworkPolicyName,
    Element::IngressNetworkPolicyRuleName,
    Element::IngressNetworkPolicyRuleAction,
    Element::EgressNetworkPolicyName,
    Element::EgressNetworkPolicyRuleName,
    Element::EgressNetworkPolicyRuleAction,
];

impl Template {
    pub(super) const ALL: [Self; 3] = [Self::V4, Self::V6, Self::WithoutAddresses];

    /// The template of a record.
    pub(super) const fn of(record: &Record) -> Self {
        match (record.src, record.dst) {
            (Some(IpNet::V4(_)), _) | (None, Some(IpNet::V4(_))) => Self::V4,
            (Some(IpNet::V6(_)), _) | (None, Some(IpNet::V6(_))) => Self::V6,
            (None, None) => Self::WithoutAddresses,
        }
    }

    /// Its number, which is the id of its sets.
    pub(super) const fn id(self) -> u16 {
        match self {
            Self::V4 => 256,
            Self::V6 => 257,
            Self::WithoutAddresses => 258,
        }
    }

    fn elements(self) -> impl Iterator<Item = Element> + Clone {
        let ends = match self {
            Self::V4 => ENDS_V4,
            Self::V6 => ENDS_V6,
            Self::WithoutAddresses => &[],
        };
        BEFORE.iter().chain(ends).chain(AFTER).copied()
    }

    /// Writes its template record.
    pub(super) fn describe(self, to: &mut Vec<u8>) {
        let elements = self.elements();
        to.extend_from_slice(&self.id().to_be_bytes());
        to.extend_from_slice(&u16::try_from(elements.clone().count()).unwrap_or(0).to_be_bytes());
        elements.for_each(|element| element.describe(to));
    }

    /// Writes a data record.
    pub(super) fn write(self, record: &Record, to: &mut Vec<u8>) {
        self.elements().for_each(|element| element.write(record, to));
    }
}
