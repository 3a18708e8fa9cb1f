//! What a refusal is about: kinds of objects, fields, networks and quotas. Each but a network is written as it is serialized.
//!
//! It must never know why something is refused. Operations and queries name these in their refusals.

use std::fmt;

use serde::Serialize;
use sg_records::{GroupType, VpcId};

use super::Refusal;

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[serde(rename = "VPC")]
    Vpc,
    Group,
    Rule,
    #[serde(rename = "NIC")]
    Nic,
    Instance,
    #[serde(rename = "prefix list")]
    PrefixList,
    #[serde(rename = "port list")]
    PortList,
    #[serde(rename = "access key")]
    AccessKey,
    Region,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How a NIC is attached to an instance, where an operation needs it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attachment {
    /// To an instance.
    Attached,
    /// To none.
    Detached,
    /// To another instance than the one that was named.
    Elsewhere,
    /// As the primary NIC.
    Primary,
    /// To none, and a document has it.
    Owned,
    /// To a device of this host, which is filtered for it.
    Device,
}

impl Attachment {
    /// What a message says of it, and what to do.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Attached => "is attached to an instance: detach it first",
            Self::Detached => "is not attached to an instance",
            Self::Elsewhere => "is attached to another instance: name that one",
            Self::Primary => {
                "is the primary NIC of its instance, which stays: its groups are those of the instance"
            }
            Self::Device => {
                "has a device of this host, where everything would pass without it: the native API deletes it"
            }
            Self::Owned => "is that of a document, and belongs to no instance",
        }
    }
}

/// A field of an operation that can be invalid by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    Name,
    Description,
    #[serde(rename = "description")]
    RuleDescription,
    #[serde(rename = "tag key")]
    TagKey,
    #[serde(rename = "tag value")]
    TagValue,
    /// The key of a tag that occurs twice.
    #[serde(rename = "tag key")]
    TagTwice,
    /// A rule's protocol.
    Protocol,
    /// A rule's destination ports.
    Ports,
    /// A rule's source ports.
    #[serde(rename = "source ports")]
    SourcePorts,
    /// A rule's ICMP type or code.
    #[serde(rename = "ICMP message")]
    Icmp,
    /// The rules that a group begins with.
    Template,
    /// A rule's direction.
    Direction,
    /// A rule's priority.
    Priority,
    /// A rule's remote.
    Remote,
    /// A rule's local address.
    Local,
    /// A test of the policy.
    Test,
    /// A rule's NIC type.
    #[serde(rename = "NIC type")]
    NicType,
    /// The hook of a NIC.
    Hook,
    /// What happens to packets that IPsec decrypted for a NIC.
    Ipsec,
    /// The kinds of non-IP frames that pass a NIC.
    Ethertypes,
    /// The maximum number of entries of a list.
    #[serde(rename = "number of entries")]
    MaxEntries,
    /// A prefix or range of a list.
    #[serde(rename = "prefix or range")]
    Cidr,
    /// A prefix or range that occurs twice.
    #[serde(rename = "prefix or range")]
    CidrTwice,
    /// Ports of a port list.
    #[serde(rename = "port range")]
    PortRange,
    /// Ports that occur twice.
    #[serde(rename = "port range")]
    PortRangeTwice,
    /// The family of a prefix list.
    #[serde(rename = "address family")]
    Family,
    /// A NIC's device.
    Device,
    Address,
    /// The position of a group on a NIC.
    Place,
    /// The groups of a NIC.
    Groups,
    /// The type of the default group that a NIC gets.
    #[serde(rename = "type of the default group")]
    DefaultType,
    Region,
    #[serde(rename = "VPC")]
    Vpc,
    #[serde(rename = "page size")]
    PageSize,
    #[serde(rename = "page token")]
    PageToken,
    /// The idempotency key of an operation.
    #[serde(rename = "idempotency key")]
    ClientToken,
    Quota,
    /// A file of rules to import.
    File,
    /// A field that only an import can set.
    #[serde(untagged)]
    Stored(&'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The network of an object: its VPC, or the classic network. It is serialized as the id, and written by the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Network {
    vpc: Option<VpcId>,
    #[serde(skip)]
    called: String,
}

impl Network {
    pub(crate) const fn new(vpc: Option<VpcId>, called: String) -> Self {
        Self { vpc, called }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.called)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    GroupsPerNic,
    ClosedGroupsPerNic,
    /// Rules over all groups of a NIC.
    RulesPerNic,
    #[serde(rename = "members_per_basic_group or members_per_enterprise_group")]
    MembersPerGroup,
    MembersPerClosedGroup,
    /// Rules of a group whose remote is a group.
    #[serde(rename = "group_references_per_group")]
    GroupReferences,
    /// Rules of the closed groups of a NIC that stand for many.
    CompositeRulesPerNic,
    GroupsPerRegion,
    ClosedGroupsPerRegion,
    ClosedRulesPerRegion,
    /// Entries of a list, limited by the list's own `max_entries`.
    #[serde(rename = "the list's max_entries")]
    MaxEntries,
    RulesPerOperation,
    /// Rules in one imported file.
    RulesPerImport,
    /// Tags of an object.
    Tags,
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Quota {
    /// Checks that what needs so many is allowed them.
    pub(crate) fn check(
        self,
        what: impl fmt::Display,
        needed: u64,
        allowed: impl Into<u64>,
    ) -> Result<(), Refusal> {
        let allowed = allowed.into();
        if needed <= allowed {
            return Ok(());
        }
        Err(Refusal::TooMany {
            quota: self,
            what: what.to_string(),
            needed,
            allowed,
            field: self.raised(needed),
        })
    }

    /// What an object does with the things that the quota counts.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::GroupsPerNic | Self::ClosedGroupsPerNic => "hold",
            _ => "have",
        }
    }

    /// The unit that the quota counts.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::GroupsPerNic | Self::GroupsPerRegion => "groups",
            Self::ClosedGroupsPerNic | Self::ClosedGroupsPerRegion => "closed groups",
            Self::RulesPerNic | Self::RulesPerOperation | Self::RulesPerImport => "rules",
            Self::ClosedRulesPerRegion => "rules of closed groups",
            Self::CompositeRulesPerNic => "rules with a group, a list or several port ranges",
            Self::MembersPerGroup | Self::MembersPerClosedGroup => "members",
            Self::GroupReferences => "rules that name a group",
            Self::MaxEntries => "entries",
            Self::Tags => "tags",
        }
    }

    /// The quota itself, if it is one field of the quotas, and that field can be as large as what is needed.
    fn raised(self, needed: u64) -> Option<Self> {
        let is_field = !matches!(self, Self::MembersPerGroup | Self::MaxEntries);
        let most = match self {
            Self::GroupsPerNic => GroupType::Basic.max_per_nic() as u64,
            Self::ClosedGroupsPerNic => GroupType::Closed.max_per_nic() as u64,
            _ => u64::from(u32::MAX),
        };
        (is_field && needed <= most).then_some(self)
    }
}
