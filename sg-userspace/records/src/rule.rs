//! A stored rule, and the texts in which its fields are written.
//!
//! Its fields are those of a document's rule, with ids in place of names. This file must never know which packets a rule matches.
//! The service creates rules and changes them; the APIs and `sgctl` parse and show them.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_probe::ProtocolName;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{
    GroupId, PortListId, PrefixListId, RuleId,
    ports::{PortSet, PortSetError},
};

/// Direction of packets, as seen by the NIC's owner.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the NIC's owner.
    Ingress,
    /// From the NIC's owner.
    Egress,
}

impl Direction {
    /// Both directions, in the order of documents.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl From<Direction> for sg_model::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
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

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What happens to packets that a rule matches.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Drops packets silently. Evaluated before `reject` and `accept` at equal priority.
    Drop,
    /// Drops packets and tells the sender, with a TCP reset or an ICMP error. Evaluated before `accept` at equal priority.
    Reject,
    /// Accepts packets and their replies.
    #[default]
    Accept,
}

impl From<Action> for sg_model::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Accept => Self::Accept,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sg_model::Action::from(*self).fmt(f)
    }
}

/// Network that a NIC of the classic network faces, and for which NICs a rule of a classic group is. Always `intranet` in a VPC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum NicType {
    /// Public addresses.
    Internet,
    /// Private addresses.
    #[default]
    Intranet,
}

impl fmt::Display for NicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internet => "internet",
            Self::Intranet => "intranet",
        })
    }
}

/// Protocol of a rule: `all`, a name in any case such as `tcp`, or a number from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// Every protocol.
    All,
    /// One protocol, by its IANA number.
    Number(u8),
}

impl PartialSchema for Protocol {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).examples(["tcp"]).into()
    }
}

impl ToSchema for Protocol {}

/// A text that is not a protocol of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no protocol: allowed are tcp, udp, icmp, icmpv6, gre, sctp, all and 0 to 255")]
pub struct ProtocolError {
    /// The text.
    pub found: String,
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let name: Result<ProtocolName, _> = text.parse();
        name.map(|name| Self::Number(name.0)).map_err(|_| ProtocolError { found: text.to_owned() })
    }
}

impl TryFrom<String> for Protocol {
    type Error = ProtocolError;

    fn try_from(text: String) -> Result<Self, ProtocolError> {
        text.parse()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Number(number) => {
                let name = ProtocolName(*number).to_string();
                f.write_str(name.strip_prefix("protocol ").unwrap_or(&name))
            }
        }
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.to_string()
    }
}

/// Ports of a rule: `any`, `"22,80-90"`, or `{"port_list": "prl-…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Ports {
    /// Every port.
    #[default]
    Any,
    /// These ports.
    Ranges(PortSet),
    /// The ports of a port list.
    List(PortListId),
}

impl Ports {
    /// Whether these are all ports.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

/// Remote of a rule: `any`, an address or prefix, `{"group": "sg-…"}`, or `{"prefix_list": "pl-…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Remote {
    /// Any address of either family.
    #[default]
    Any,
    /// An address or prefix, with host bits zero.
    Net(IpNet),
    /// The members of a group.
    Group(GroupId),
    /// The prefixes of a prefix list.
    PrefixList(PrefixListId),
}

/// The written form of ports and remotes: a text, or an object with the id or name of a group or list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Written {
    Text(String),
    Reference(Reference),
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Reference {
    Group(GroupId),
    PrefixList(PrefixListId),
    PortList(PortListId),
}

/// Gives a type the schema of [`Written`], its serialized form.
macro_rules! written {
    ($name:ident) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Written::schema()
            }
        }

        impl ToSchema for $name {
            fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
                Written::schemas(all);
            }
        }
    };
}

written!(Ports);
written!(Remote);

/// A text or reference that is not valid as ports or as a remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrittenError {
    /// The text is not a set of ports.
    #[error(transparent)]
    Ports(#[from] PortSetError),
    /// The reference is not to a port list.
    #[error("ports are \"any\", \"22,80-90\" or {{\"port_list\": \"prl-…\"}}")]
    NoPorts,
    /// The text is not a remote, or the reference is to a port list.
    #[error(
        "{found:?} is no remote: allowed are any, an address or prefix of either family, {{\"group\": \"sg-…\"}} and \
         {{\"prefix_list\": \"pl-…\"}}"
    )]
    NoRemote {
        /// The text, or the id of the port list.
        found: String,
    },
}

impl FromStr for Ports {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, PortSetError> {
        if text.eq_ignore_ascii_case("any") { Ok(Self::Any) } else { text.parse().map(Self::Ranges) }
    }
}

impl TryFrom<Written> for Ports {
    type Error = WrittenError;

    fn try_from(written: Written) -> Result<Self, WrittenError> {
        match written {
            Written::Text(text) => Ok(text.parse()?),
            Written::Reference(Reference::PortList(list)) => Ok(Self::List(list)),
            Written::Reference(_) => Err(WrittenError::NoPorts),
        }
    }
}

impl From<Ports> for Written {
    fn from(ports: Ports) -> Self {
        match ports {
            Ports::Any => Self::Text("any".to_owned()),
            Ports::Ranges(set) => Self::Text(set.to_string()),
            Ports::List(list) => Self::Reference(Reference::PortList(list)),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Ranges(set) => set.fmt(f),
            Self::List(list) => list.fmt(f),
        }
    }
}

impl FromStr for Remote {
    type Err = WrittenError;

    fn from_str(text: &str) -> Result<Self, WrittenError> {
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        net(text).map(Self::Net).ok_or_else(|| WrittenError::NoRemote { found: text.to_owned() })
    }
}

/// Parses an address or prefix and zeroes its host bits. Returns `None` for any other text.
#[must_use]
pub fn net(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    net.map(|net| net.trunc())
}

impl TryFrom<Written> for Remote {
    type Error = WrittenError;

    fn try_from(written: Written) -> Result<Self, WrittenError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Reference(Reference::Group(group)) => Ok(Self::Group(group)),
            Written::Reference(Reference::PrefixList(list)) => Ok(Self::PrefixList(list)),
            Written::Reference(Reference::PortList(list)) => {
                Err(WrittenError::NoRemote { found: list.to_string() })
            }
        }
    }
}

impl From<Remote> for Written {
    fn from(remote: Remote) -> Self {
        match remote {
            Remote::Any => Self::Text("any".to_owned()),
            Remote::Net(net) => Self::Text(shortest(net)),
            Remote::Group(group) => Self::Reference(Reference::Group(group)),
            Remote::PrefixList(list) => Self::Reference(Reference::PrefixList(list)),
        }
    }
}

/// Formats a prefix; a prefix of full length is written as an address.
#[must_use]
pub fn shortest(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Net(net) => f.write_str(&shortest(*net)),
            Self::Group(group) => group.fmt(f),
            Self::PrefixList(list) => list.fmt(f),
        }
    }
}

/// Content of a rule: the packets that it matches, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// What happens to matching packets: `accept`, `drop` or `reject`. Default: `accept`.
    #[serde(default)]
    pub action: Action,
    /// Priority. Range: 1 (evaluated first) to 100. Default: 1.
    #[serde(default = "first")]
    #[schema(minimum = 1, maximum = 100)]
    pub priority: u8,
    /// Protocol: `all`, a name such as `tcp`, or a number from 0 to 255. Required.
    pub protocol: Protocol,
    /// Destination ports of the packet. Only for TCP, UDP, SCTP, DCCP and UDP-Lite. Default: `any`.
    #[serde(default, skip_serializing_if = "Ports::is_any")]
    pub ports: Ports,
    /// Source ports of the packet. Only for TCP, UDP, SCTP, DCCP and UDP-Lite. Default: `any`.
    #[serde(default, skip_serializing_if = "Ports::is_any")]
    pub source_ports: Ports,
    /// ICMP type. Range: 0 to 255. Only for ICMP and `ICMPv6`. Default: every type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// ICMP code. Range: 0 to 255. Requires `icmp_type`. Default: every code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// Remote addresses: the source of inbound packets, the destination of outbound ones. Default: `any`.
    #[serde(default)]
    pub remote: Remote,
    /// Local prefix in CIDR notation, such as `10.0.0.5/32`. Default: every address of the NIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub local: Option<IpNet>,
    /// In a group of the classic network: the rule is for NICs that face this network. Default: `intranet`.
    #[serde(default)]
    pub nic_type: NicType,
    /// Whether the rule is in effect. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Name of the rule in an applied document. Default: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Description, up to 512 characters. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl RuleSpec {
    /// A rule that accepts a protocol from any remote; the other fields have their defaults.
    #[must_use]
    pub fn accept(protocol: Protocol) -> Self {
        Self {
            action: Action::Accept,
            priority: first(),
            protocol,
            ports: Ports::Any,
            source_ports: Ports::Any,
            icmp_type: None,
            icmp_code: None,
            remote: Remote::Any,
            local: None,
            nic_type: NicType::Intranet,
            enabled: true,
            name: String::new(),
            description: String::new(),
        }
    }
}

const fn first() -> u8 {
    1
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// A rule of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Id of the rule.
    pub id: RuleId,
    /// Id of the group.
    pub group: GroupId,
    /// Direction of the rule.
    pub direction: Direction,
    /// Serial number: order of creation among the rules of the group.
    pub serial: u64,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Content of the rule.
    pub spec: RuleSpec,
}
