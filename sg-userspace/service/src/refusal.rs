//! The reasons for which operations are refused: one list for all APIs.
//!
//! Messages say what is wrong, where, and what to do. Each API maps a refusal to its own form, such as a status or a vendor's
//! code; this file must never know those.

use std::{fmt, net::IpAddr};

use sg_model::MAX_GROUPS_PER_NIC;
use sg_records::{GroupId, NicId, RuleId, VpcId};
use thiserror::Error;

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A VPC.
    Vpc,
    /// A group.
    Group,
    /// A rule.
    Rule,
    /// A NIC.
    Nic,
    /// An instance.
    Instance,
    /// A prefix list.
    PrefixList,
    /// A port list.
    PortList,
    /// An access key.
    AccessKey,
    /// A region.
    Region,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vpc => "VPC",
            Self::Group => "group",
            Self::Rule => "rule",
            Self::Nic => "NIC",
            Self::Instance => "instance",
            Self::PrefixList => "prefix list",
            Self::PortList => "port list",
            Self::AccessKey => "access key",
            Self::Region => "region",
        })
    }
}

/// A field of an operation that can be invalid by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A name.
    Name,
    /// A description.
    Description,
    /// The description of a rule.
    RuleDescription,
    /// The key of a tag.
    TagKey,
    /// The value of a tag.
    TagValue,
    /// The key of a tag that occurs twice.
    TagTwice,
    /// A rule's protocol.
    Protocol,
    /// A rule's destination ports.
    Ports,
    /// A rule's source ports.
    SourcePorts,
    /// A rule's ICMP type or code.
    Icmp,
    /// A rule's priority.
    Priority,
    /// A rule's remote.
    Remote,
    /// A rule's local address.
    Local,
    /// A rule's NIC type.
    NicType,
    /// The hook of a NIC.
    Hook,
    /// What happens to packets that IPsec decrypted for a NIC.
    Ipsec,
    /// The kinds of non-IP frames that pass a NIC.
    Ethertypes,
    /// The maximum number of entries of a list.
    MaxEntries,
    /// A prefix of a list.
    Cidr,
    /// A prefix that occurs twice.
    CidrTwice,
    /// Ports of a port list.
    PortRange,
    /// Ports that occur twice.
    PortRangeTwice,
    /// The family of a prefix list.
    Family,
    /// A NIC's device.
    Device,
    /// An address.
    Address,
    /// The position of a group on a NIC.
    Place,
    /// The groups of a NIC.
    Groups,
    /// A region.
    Region,
    /// A VPC.
    Vpc,
    /// The size of a page.
    PageSize,
    /// The token of a page.
    PageToken,
    /// The idempotency key of an operation.
    ClientToken,
    /// A quota.
    Quota,
    /// A file of rules to import.
    File,
    /// A field that only an import can set.
    Stored(&'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Description | Self::RuleDescription => "description",
            Self::TagKey | Self::TagTwice => "tag key",
            Self::TagValue => "tag value",
            Self::Protocol => "protocol",
            Self::Ports => "ports",
            Self::SourcePorts => "source ports",
            Self::Icmp => "ICMP message",
            Self::Priority => "priority",
            Self::Remote => "remote",
            Self::Local => "local",
            Self::NicType => "NIC type",
            Self::Hook => "hook",
            Self::Ipsec => "ipsec",
            Self::Ethertypes => "ethertypes",
            Self::MaxEntries => "number of entries",
            Self::Cidr | Self::CidrTwice => "prefix",
            Self::PortRange | Self::PortRangeTwice => "port range",
            Self::Family => "address family",
            Self::Device => "device",
            Self::Address => "address",
            Self::Place => "place",
            Self::Groups => "groups",
            Self::Region => "region",
            Self::Vpc => "VPC",
            Self::PageSize => "page size",
            Self::PageToken => "page token",
            Self::ClientToken => "client token",
            Self::Quota => "quota",
            Self::File => "file",
            Self::Stored(part) => part,
        })
    }
}

/// A quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Groups on a NIC.
    GroupsPerNic,
    /// Rules over all groups of a NIC.
    RulesPerNic,
    /// Members of a group.
    MembersPerGroup,
    /// Rules of a group whose remote is a group.
    GroupReferences,
    /// Groups in a region.
    GroupsPerRegion,
    /// Entries of a list, limited by the list's own `max_entries`.
    MaxEntries,
    /// Entries of any list of its kind.
    EntriesPerList,
    /// Rules in one operation.
    RulesPerOperation,
    /// Rules in one imported file.
    RulesPerImport,
    /// Tags of an object.
    Tags,
}

impl Quota {
    /// The quota's name in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GroupsPerNic => "groups_per_nic",
            Self::RulesPerNic => "rules_per_nic",
            Self::MembersPerGroup => "members_per_basic_group or members_per_enterprise_group",
            Self::GroupReferences => "group_references_per_group",
            Self::GroupsPerRegion => "groups_per_region",
            Self::MaxEntries => "the list's max_entries",
            Self::EntriesPerList => "entries_per_prefix_list or entries_per_port_list",
            Self::RulesPerOperation => "rules_per_operation",
            Self::RulesPerImport => "rules_per_import",
            Self::Tags => "tags",
        }
    }
}

impl Quota {
    /// The unit that the quota counts.
    const fn unit(self) -> &'static str {
        match self {
            Self::GroupsPerNic | Self::GroupsPerRegion => "groups",
            Self::RulesPerNic | Self::RulesPerOperation | Self::RulesPerImport => "rules",
            Self::MembersPerGroup => "members",
            Self::GroupReferences => "rules that name a group",
            Self::MaxEntries | Self::EntriesPerList => "entries",
            Self::Tags => "tags",
        }
    }

    /// Whether its name is that of a single setting.
    const fn is_setting(self) -> bool {
        !matches!(self, Self::MembersPerGroup | Self::MaxEntries | Self::EntriesPerList)
    }
}

/// Why an operation is refused. A refused operation changes nothing, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// An object does not exist.
    #[error("there is no {kind} {name:?}{}", hint.as_ref().map(|hint| format!("; did you mean {hint:?}?")).unwrap_or_default())]
    NotFound {
        /// The expected kind.
        kind: Kind,
        /// The id or name.
        name: String,
        /// A similar name that exists.
        hint: Option<String>,
    },
    /// Several objects have the name.
    #[error("there are {} {kind}s named {name:?}: use an id: {}", ids.len(), ids.join(", "))]
    Ambiguous {
        /// The kind of the objects.
        kind: Kind,
        /// The name.
        name: String,
        /// The ids of the objects.
        ids: Vec<String>,
    },
    /// A value is invalid.
    #[error("{field} {found:?}: {allowed}")]
    Invalid {
        /// The field.
        field: Field,
        /// The value.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A document cannot be parsed.
    #[error("{reason}")]
    Document {
        /// The file, the place, and what is wrong there.
        reason: String,
    },
    /// A file is not an export.
    #[error("{reason}")]
    NoExport {
        /// The line, and what is wrong there.
        reason: String,
    },
    /// No operation could have produced a record.
    #[error("{}{record}: {reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Record {
        /// The line of the record in the imported file. `None`: the record is in the state.
        line: Option<u64>,
        /// The key of the record.
        record: String,
        /// Why an operation would be refused.
        reason: Box<Refusal>,
    },
    /// An import would refuse the state, so it cannot be exported.
    #[error("what is exported could not be imported: {reason}")]
    Unexportable {
        /// Why, and what to change first.
        reason: String,
    },
    /// A required value is missing.
    #[error("{field} is missing: {allowed}")]
    Missing {
        /// The field.
        field: Field,
        /// What is allowed.
        allowed: String,
    },
    /// A quota would be exceeded.
    #[error("{what} would have {needed} {}, {allowed} are allowed ({})", quota.unit(), raised(*quota, *needed))]
    TooMany {
        /// The quota.
        quota: Quota,
        /// The object that would exceed it.
        what: String,
        /// The number that the operation needs.
        needed: u64,
        /// The allowed number.
        allowed: u64,
    },
    /// A group still has members.
    #[error("group {group} still has members: {}: take them out of the group first", some(members))]
    HasMembers {
        /// The group.
        group: GroupId,
        /// Its NICs and addresses.
        members: Vec<String>,
    },
    /// Rules of other groups name a group.
    #[error("group {group} is named by rules of: {}: revoke those rules first", some(by))]
    Referenced {
        /// The group.
        group: GroupId,
        /// The groups of those rules.
        by: Vec<String>,
    },
    /// A list or VPC is still in use.
    #[error("{kind} {id} is in use by: {}: change those first", some(by))]
    InUse {
        /// The kind of the object.
        kind: Kind,
        /// The id of the object.
        id: String,
        /// The objects that use it.
        by: Vec<String>,
    },
    /// A NIC already holds the group.
    #[error("NIC {nic} holds group {group} already")]
    AlreadyMember {
        /// The NIC.
        nic: NicId,
        /// The group.
        group: GroupId,
    },
    /// A NIC does not hold the group.
    #[error("NIC {nic} does not hold group {group}")]
    NotMember {
        /// The NIC.
        nic: NicId,
        /// The group.
        group: GroupId,
    },
    /// An address is not a member of the group.
    #[error("{address} is no member of group {group}")]
    NoMemberAddress {
        /// The address.
        address: IpAddr,
        /// The group.
        group: GroupId,
    },
    /// The last group of a NIC cannot be removed.
    #[error(
        "group {group} is the last of NIC {nic}: a NIC holds at least one group; give it another one first"
    )]
    LastGroup {
        /// The NIC.
        nic: NicId,
        /// The group.
        group: GroupId,
    },
    /// Groups of both types on one NIC.
    #[error(
        "group {group} is of another type than {other}: one NIC holds groups of one type, basic or enterprise"
    )]
    MixedTypes {
        /// One group.
        group: GroupId,
        /// The other group.
        other: GroupId,
    },
    /// Objects of different VPCs.
    #[error("{what} is in {}, {with} in {}: both must be in the same VPC", network(found.as_ref()), network(wanted.as_ref()))]
    OtherVpc {
        /// One object.
        what: String,
        /// The VPC of that object.
        found: Option<VpcId>,
        /// The other object.
        with: String,
        /// The VPC of the other object.
        wanted: Option<VpcId>,
    },
    /// Objects of a VPC and of the classic network, or of different regions.
    #[error("{what} and {with} are in different {networks}")]
    OtherNetwork {
        /// One object.
        what: String,
        /// The other object.
        with: String,
        /// `network types` or `regions`.
        networks: &'static str,
    },
    /// A rule of an enterprise group names a group, or a rule names an enterprise group.
    #[error("group {group} is an enterprise group: its rules cannot name groups, and no rule can name it")]
    EnterpriseReference {
        /// The enterprise group.
        group: GroupId,
    },
    /// Inner access of an enterprise group. Only members of basic groups can reach each other without a rule.
    #[error("group {group} is an enterprise group: its members never talk by themselves")]
    EnterpriseInnerAccess {
        /// The group.
        group: GroupId,
    },
    /// A rule names its own group.
    #[error("a rule cannot name its own group {group}: set its inner access to accept instead")]
    OwnGroup {
        /// The group.
        group: GroupId,
    },
    /// IPv4 and IPv6 in one rule.
    #[error("{first} and {second} are of different address families: write two rules")]
    MixedFamilies {
        /// One field.
        first: &'static str,
        /// The other field.
        second: &'static str,
    },
    /// The group already has a rule with the same content.
    #[error("rule {rule} says the same already")]
    DuplicateRule {
        /// The existing rule.
        rule: RuleId,
    },
    /// Two rules of one operation have the same content.
    #[error("rules {first} and {second} of this request say the same")]
    Repeated {
        /// The position of one, counted from 1.
        first: usize,
        /// The position of the other, counted from 1.
        second: usize,
    },
    /// A change of the kind of remote or ports that a rule has.
    #[error("the {field} of a rule cannot become another kind of thing: delete the rule and add another one")]
    ChangesKind {
        /// The field.
        field: Field,
    },
    /// A change without any field.
    #[error("nothing to change: give at least one field that is to become another")]
    NothingToChange,
    /// A rule is not in the group, or not of the direction.
    #[error("rule {rule} is not {of}")]
    OtherRule {
        /// The rule.
        rule: RuleId,
        /// The expected group or direction.
        of: String,
    },
    /// Another NIC has the device.
    #[error("device {device:?} is NIC {nic} already")]
    DeviceTaken {
        /// The device.
        device: String,
        /// The NIC that has it.
        nic: NicId,
    },
    /// An object with this id already exists.
    #[error("{kind} {id} exists already")]
    Exists {
        /// The kind of the object.
        kind: Kind,
        /// The id of the object.
        id: String,
    },
    /// An idempotency key was used for another operation.
    #[error("the client token {token:?} was used for another request: use a new one")]
    TokenReused {
        /// The idempotency key.
        token: String,
    },
    /// The agent cannot enforce the change, for example because an image exceeds its budget or there are too many NICs.
    #[error("it cannot be put in force on this host: {reason}")]
    Unenforceable {
        /// The reason.
        reason: String,
    },
    /// The change is stored but not in force yet. The agent keeps trying.
    #[error("it is stored, but not in force on this host yet: {reason}; sgd goes on trying")]
    NotYetInForce {
        /// What is missing.
        reason: String,
    },
    /// The change could not be stored.
    #[error("it could not be stored, nothing was changed: {reason}")]
    NotStored {
        /// The reason.
        reason: String,
    },
    /// The service is stopping. Nothing was changed.
    #[error("sgd is ending; nothing was changed: try again")]
    Ending,
}

/// The first few names, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// The quota's name, and how to raise it to what is needed, if it can be raised.
fn raised(quota: Quota, needed: u64) -> String {
    let name = quota.name();
    let most = if quota == Quota::GroupsPerNic { MAX_GROUPS_PER_NIC as u64 } else { u64::from(u32::MAX) };
    if quota.is_setting() && needed <= most {
        format!("{name}; `sgctl quota modify {name}={needed}` raises it")
    } else {
        name.to_owned()
    }
}

fn network(vpc: Option<&VpcId>) -> String {
    vpc.map_or_else(|| "the classic network".to_owned(), |vpc| format!("VPC {vpc}"))
}
