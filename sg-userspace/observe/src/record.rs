//! A record: what happened to the packets of one flow, or of one kind of denial, in an interval.
//!
//! Its JSON is the native format of the flow log, of `GET /v1/observe` and of `sgctl observe --json`. It must never know where
//! records come from, or who reads them. The observer makes records; every other file of this crate reads them.

mod frame;
mod json;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_common::verdict::Reason;
use utoipa::ToSchema;

pub use frame::Frame;

use crate::words::words;

words! {
    /// What a record tells.
    Event, "event" {
        /// A flow was accepted in this interval.
        Begin = "begin",
        /// A flow that an earlier record began goes on.
        Continue = "continue",
        /// A flow is over: closed, expired, or no longer followed.
        End = "end",
        /// Packets were dropped or rejected.
        Denied = "denied",
        /// A flow that the policy no longer accepts.
        Revoked = "revoked",
        /// Another policy is in force. It has no traffic: `message` says what changed.
        Policy = "policy",
        /// Records were lost before they got here. It has no traffic: `count` and `message` say how many, and why.
        Lost = "lost",
    }
}

impl Event {
    /// Whether its records are about packets: all but changes of the policy and losses.
    #[must_use]
    pub const fn is_traffic(self) -> bool {
        match self {
            Self::Begin | Self::Continue | Self::End | Self::Denied | Self::Revoked => true,
            Self::Policy | Self::Lost => false,
        }
    }
}

words! {
    /// Direction of a packet, as its NIC's owner sees it.
    Direction, "direction" {
        /// Towards the owner.
        Ingress = "ingress",
        /// From the owner.
        Egress = "egress",
    }
}

impl From<sg_model::Direction> for Direction {
    fn from(direction: sg_model::Direction) -> Self {
        match direction {
            sg_model::Direction::Ingress => Self::Ingress,
            sg_model::Direction::Egress => Self::Egress,
        }
    }
}

impl From<Direction> for sg_model::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

words! {
    /// What happened to the packets.
    Verdict, "verdict" {
        /// They went on.
        Accept = "accept",
        /// They were dropped silently.
        Drop = "drop",
        /// They were dropped, and their sender was told.
        Reject = "reject",
    }
}

impl From<sg_common::verdict::Verdict> for Verdict {
    fn from(verdict: sg_common::verdict::Verdict) -> Self {
        match verdict {
            sg_common::verdict::Verdict::Accept => Self::Accept,
            sg_common::verdict::Verdict::Drop => Self::Drop,
            sg_common::verdict::Verdict::Reject => Self::Reject,
        }
    }
}

words! {
    /// What decided.
    Stage, "stage" {
        /// A rule: `group` and `rule` name it.
        Rule = "rule",
        /// Both ends are members of one basic group, which `group` names; `rule` is `intra-group`.
        IntraGroup = "intra-group",
        /// No rule matched: `rule` is `default`, and `groups` are those that were evaluated.
        Default = "default",
        /// Traffic that passes without a rule; `reason` says which.
        Exception = "exception",
        /// A named cause such as `malformed`, in `reason`.
        Reason = "reason",
    }
}

impl Stage {
    /// What decided, by the reason.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        match reason {
            Reason::Rule => Self::Rule,
            Reason::IntraGroup => Self::IntraGroup,
            Reason::Default => Self::Default,
            Reason::IcmpError
            | Reason::Arp
            | Reason::NeighbourDiscovery
            | Reason::Dhcp
            | Reason::Decrypted
            | Reason::NamedFrame => Self::Exception,
            Reason::AntiSpoofing
            | Reason::Malformed
            | Reason::NotIp
            | Reason::Fragment
            | Reason::TooManyHeaders
            | Reason::NoNic
            | Reason::NoImage
            | Reason::ImageVersion
            | Reason::ImageFault
            | Reason::FlowTableFull
            | Reason::FragmentOverlap
            | Reason::VlanTag
            | Reason::NeighbourSpoofing
            | Reason::RogueServer
            | Reason::MidStream
            | Reason::FlowQuota
            | Reason::RejectSent
            | Reason::RejectRateLimited
            | Reason::NotTakenOver
            | Reason::HalfOpenEvicted
            | Reason::OwnSource => Self::Reason,
        }
    }
}

words! {
    /// State of a flow at the end of the interval.
    FlowState, "state" {
        /// No reply yet.
        HalfOpen = "half-open",
        /// Packets in both directions.
        Established = "established",
        /// A TCP connection with a reset or a FIN.
        Closing = "closing",
        /// No longer accepted; its packets are dropped.
        Revoked = "revoked",
    }
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct IcmpType {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Its code.
    pub code: u8,
}

/// What happened to the packets of one flow, or of one kind of denial, between `start` and `end`; or a change of the policy, or
/// a loss, which have no packets.
///
/// `src` and `dst` are those of the first packet: of the side that opened the flow. Counts are those of this interval alone: the
/// sum over a flow's records is what the flow had. In JSON, fields that do not apply are absent: for `policy` and `lost`
/// that is everything about packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, ToSchema)]
pub struct Record {
    /// What the record tells.
    pub event: Event,
    /// Begin of the interval that the counts are of.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// End of the interval.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// Id of the NIC under `sgd serve`, else its device. Empty: packets of no NIC.
    #[serde(default)]
    pub nic: String,
    /// The network device.
    #[serde(default)]
    pub device: String,
    /// Id of the NIC's instance, under `sgd serve`.
    pub instance: Option<String>,
    /// Id of the NIC's VPC, under `sgd serve`.
    pub vpc: Option<String>,
    /// Direction of the first packet. Absent in JSON where the record has no traffic.
    #[serde(default = "ingress")]
    #[schema(required = false)]
    pub direction: Direction,
    /// VLAN tags of the packets, such as `100` or `100.7`.
    pub vlan: Option<String>,
    /// IANA number of the protocol.
    pub protocol: Option<u8>,
    /// Source of the first packet: an address, or a prefix in a folded record. Absent: not parsed, or every source.
    #[serde(default, deserialize_with = "json::net")]
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub src: Option<IpNet>,
    /// Source port of the first packet; of denials that were summed, the last one.
    pub sport: Option<u16>,
    /// Destination of the first packet, as `src`.
    #[serde(default, deserialize_with = "json::net")]
    #[schema(value_type = Option<String>, example = "10.0.0.5")]
    pub dst: Option<IpNet>,
    /// Destination port of the first packet.
    pub dport: Option<u16>,
    /// The message, of ICMP and ICMPv6.
    pub icmp: Option<IcmpType>,
    /// What happened to the packets. Absent in JSON where the record has no traffic.
    #[serde(default = "accept")]
    #[schema(required = false)]
    pub verdict: Verdict,
    /// What decided. Absent in JSON where the record has no traffic, or is a sum over several.
    #[serde(default = "reason")]
    #[schema(required = false)]
    pub stage: Stage,
    /// The group of the rule. Absent where `stage` is `rule` or `intra-group` only in sums over several.
    pub group: Option<String>,
    /// The rule. Absent where `stage` is `rule` only in sums over several; `intra-group` and `default` where those decided.
    pub rule: Option<String>,
    /// The groups that were evaluated, where the default decided.
    #[serde(default)]
    #[schema(required = false)]
    pub groups: Vec<String>,
    /// Word of the reason, as `sgctl stats` shows it: `rule`, `default`, `malformed` and others.
    #[serde(default)]
    #[schema(required = false)]
    pub reason: String,
    /// Number of the policy version of the NIC that decided.
    #[serde(default)]
    pub generation: u32,
    /// State of the flow at `end`.
    pub state: Option<FlowState>,
    /// Packets: of the side that opened, and of the other.
    #[serde(default)]
    #[schema(required = false)]
    pub packets: [u64; 2],
    /// Bytes: of the side that opened, and of the other.
    #[serde(default)]
    #[schema(required = false)]
    pub bytes: [u64; 2],
    /// TCP flags that the flow's entry follows, as in the TCP header: FIN 1, SYN 2, RST 4, ACK 16.
    pub tcp_flags: Option<u8>,
    /// Whether the remote stands for several: denials of many sources were summed.
    #[serde(default)]
    #[schema(required = false)]
    pub folded: bool,
    /// What happened, in words: of `policy` and `lost`.
    pub message: Option<String>,
    /// How many records were lost, or were summed to this one.
    pub count: Option<u64>,
    /// Whether it is a single event, for those who watch: what it counts is in a later record, too.
    #[serde(default)]
    #[schema(required = false)]
    pub live: bool,
    /// Of a single event, the frame, for those who want it.
    pub frame: Option<Frame>,
}

const fn ingress() -> Direction {
    Direction::Ingress
}

const fn accept() -> Verdict {
    Verdict::Accept
}

const fn reason() -> Stage {
    Stage::Reason
}

impl Record {
    /// A record of `event` without anything else: what the caller does not set stays absent, zero, or the first word.
    #[must_use]
    pub const fn new(event: Event, start: Timestamp, end: Timestamp) -> Self {
        Self {
            event,
            start,
            end,
            nic: String::new(),
            device: String::new(),
            instance: None,
            vpc: None,
            direction: ingress(),
            vlan: None,
            protocol: None,
            src: None,
            sport: None,
            dst: None,
            dport: None,
            icmp: None,
            verdict: accept(),
            stage: reason(),
            group: None,
            rule: None,
            groups: Vec::new(),
            reason: String::new(),
            generation: 0,
            state: None,
            packets: [0; 2],
            bytes: [0; 2],
            tcp_flags: None,
            folded: false,
            message: None,
            count: None,
            live: false,
            frame: None,
        }
    }

    /// A loss of `count` records between `start` and `end`, because of `why`.
    #[must_use]
    pub fn lost(start: Timestamp, end: Timestamp, count: u64, why: impl Into<String>) -> Self {
        // The time of day may have been set back meanwhile.
        Self { count: Some(count), message: Some(why.into()), ..Self::new(Event::Lost, start.min(end), end) }
    }

    /// The remote: the source of ingress, the destination of egress.
    #[must_use]
    pub const fn remote(&self) -> Option<IpNet> {
        match self.direction {
            Direction::Ingress => self.src,
            Direction::Egress => self.dst,
        }
    }

    /// The local address: the destination of ingress, the source of egress.
    #[must_use]
    pub const fn local(&self) -> Option<IpNet> {
        match self.direction {
            Direction::Ingress => self.dst,
            Direction::Egress => self.src,
        }
    }

    /// Packets of both sides.
    #[must_use]
    pub const fn all_packets(&self) -> u64 {
        self.packets[0].saturating_add(self.packets[1])
    }
}

#[cfg(test)]
mod tests;
