//! A rule as it is stored: the fields of a document's rule, with ids in the place of names.

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

/// Which way packets go, seen from the NIC's owner.
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
    /// Towards the NIC.
    Ingress,
    /// From the NIC.
    Egress,
}

impl Direction {
    /// Both, in the order of documents.
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
    /// Dropped, silently. Stands before the others among rules of equal priority.
    Drop,
    /// Dropped, and their sender is told. Stands before `accept`.
    Reject,
    /// Let pass, with the answers to them.
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

/// Which network a NIC of the classic network faces, and which NICs a rule of a classic group is for. In a VPC
/// everything is `intranet`.
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

/// The protocol of a rule, written as in a document: `all`, a name in any case, or 0–255.
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

/// A text that is no protocol of a rule.
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

/// The ports of a rule: `any`, `"22,80-90"`, or `{"port_list": "prl-…"}`.
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
    /// Whether it is every port.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

/// The remote of a rule: `any`, an address or prefix, `{"group": "sg-…"}`, `{"prefix_list": "pl-…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Remote {
    /// Any address of both families.
    #[default]
    Any,
    /// An address or prefix, host bits zero.
    Net(IpNet),
    /// The members of a group.
    Group(GroupId),
    /// The prefixes of a list.
    PrefixList(PrefixListId),
}

/// How ports and remotes are written.
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

/// Gives a type the schema of [`Written`], as which it serializes.
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

/// A text that is no set of ports or no remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrittenError {
    /// The text is no set of ports.
    #[error(transparent)]
    Ports(#[from] PortSetError),
    /// A reference that is not allowed here.
    #[error("ports are \"any\", \"22,80-90\" or {{\"port_list\": \"prl-…\"}}")]
    NoPorts,
    /// The text is no remote.
    #[error(
        "{found:?} is no remote: allowed are any, an address or prefix of either family, {{\"group\": \"sg-…\"}} and \
         {{\"prefix_list\": \"pl-…\"}}"
    )]
    NoRemote {
        /// The text.
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

/// An address or prefix; host bits are zeroed.
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

/// An address without its prefix length if that is the full one.
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

/// What a rule says: which packets, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// What happens; `accept` where nothing is said.
    #[serde(default)]
    pub action: Action,
    /// 1 (first) to 100 (last); 1 where nothing is said.
    #[serde(default = "first")]
    #[schema(minimum = 1, maximum = 100)]
    pub priority: u8,
    /// The protocol.
    pub protocol: Protocol,
    /// The packet's destination port; TCP, UDP, SCTP, DCCP and UDP-Lite only.
    #[serde(default, skip_serializing_if = "Ports::is_any")]
    pub ports: Ports,
    /// The packet's source port; TCP, UDP, SCTP, DCCP and UDP-Lite only.
    #[serde(default, skip_serializing_if = "Ports::is_any")]
    pub source_ports: Ports,
    /// The type of ICMP message; ICMP and `ICMPv6` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// Its code; needs a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// The other end.
    #[serde(default)]
    pub remote: Remote,
    /// This end; every address of the NIC where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub local: Option<IpNet>,
    /// In a classic group: which NICs it is for.
    #[serde(default)]
    pub nic_type: NicType,
    /// A rule that is not enabled is as if it were not there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// What a document calls the rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For people.
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
    /// Its id.
    pub id: RuleId,
    /// The group it stands in.
    pub group: GroupId,
    /// The direction it is for.
    pub direction: Direction,
    /// The place among the rules of its group: greater is later.
    pub serial: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// What it says.
    pub spec: RuleSpec,
}
