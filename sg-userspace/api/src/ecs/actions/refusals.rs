//! Maps each refusal to the vendor's error code. One refusal has several codes, depending on the action.

use std::borrow::Cow;

use axum::http::StatusCode;
use sg_records::{Direction, GroupId, Id as _};
use sg_service::{Attachment, Field, Kind, Quota, Refusal};

use crate::ecs::Fault;

/// The kind of action in which an error occurs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ErrorContext {
    /// A group.
    Group,
    /// Deleting a group.
    Deletion,
    /// Rules of a direction.
    Rules(Direction),
    /// An instance that joins or leaves a group.
    Instance,
    /// A network interface that joins or leaves a group.
    Interface,
    /// All groups of an instance.
    InstanceGroups,
    /// All groups of a network interface.
    InterfaceGroups,
    /// A prefix list.
    PrefixList,
    /// A port list.
    PortList,
    /// Tags of several resources.
    Tags,
    /// A NIC that is registered, attached, detached or deleted.
    Attachment,
    /// A VPC.
    Vpc,
}

use StatusCode as Is;

pub(super) fn fault(refusal: &Refusal, about: ErrorContext) -> Fault {
    let (status, code) = named(refusal, about);
    Fault::new(status, code, Cow::Owned(message(refusal, code)))
}

/// The vendor's own text where clients show it to people, and otherwise ours, which says more. Ports have the form of the
/// request.
fn message(refusal: &Refusal, code: &str) -> String {
    if let Refusal::Invalid { field: field @ (Field::Ports | Field::SourcePorts), found, allowed } = refusal {
        let name = if *field == Field::Ports { "PortRange" } else { "SourcePortRange" };
        let (found, wanted) = (vendor_ports(found), "-1/-1 is expected");
        return format!(
            "The specified parameter \"{name}\" ({found}) is not valid: {wanted}, since {allowed}."
        );
    }
    // In the words of this API.
    match refusal {
        Refusal::Invalid { field: Field::ClientToken, found, allowed } => {
            return format!("The specified parameter \"ClientToken\" ({found}) is not valid: {allowed}.");
        }
        Refusal::TokenReused { token } => {
            return format!("The ClientToken {token:?} was used for another request: use a new one.");
        }
        _ => {}
    }
    let documented = match code {
        "InvalidSecurityGroupId.NotFound" => "The specified SecurityGroupId does not exist.",
        "DependencyViolation" if matches!(refusal, Refusal::HasMembers { .. }) => {
            "There is still instance(s) in the specified security group."
        }
        "DependencyViolation" => "The specified security group has been authorized in another one.",
        "InstanceSecurityGroupLimitExceeded" => {
            "Exceeding the allowed amount of security groups that an instance can be in."
        }
        _ => return refusal.to_string(),
    };
    format!("{documented} ({refusal})")
}

/// `1-65535` and `22` as `1/65535` and `22/22`; the id of a list is kept.
fn vendor_ports(text: &str) -> String {
    let range = |range: &str| {
        sg_records::port_range(range, '-').map(|range| format!("{}/{}", range.first(), range.last()))
    };
    let ranges: Option<Vec<String>> = text.split(',').map(range).collect();
    ranges.map_or_else(|| text.to_owned(), |ranges| ranges.join(","))
}

fn named(refusal: &Refusal, about: ErrorContext) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::NotFound { kind, .. } | Refusal::Ambiguous { kind, .. } => not_found(*kind, about),
        Refusal::Missing { field: Field::Address, .. } if about == ErrorContext::Attachment => {
            (Is::FORBIDDEN, "InvalidVSwitchId.IpNotEnough")
        }
        Refusal::Invalid { field, .. } | Refusal::Missing { field, .. } => invalid(*field, about),
        Refusal::TooMany { quota, .. } => too_many(*quota, about),
        Refusal::InUse { kind: Kind::PrefixList, .. } => (Is::BAD_REQUEST, "NotAllowed.AssociationExist"),
        Refusal::InUse { kind: Kind::PortList, .. } => (Is::BAD_REQUEST, "InvalidOperation.Conflict"),
        Refusal::InUse { kind: Kind::Vpc, by, .. } if by.iter().all(|id| id.starts_with(GroupId::PREFIX)) => {
            (Is::BAD_REQUEST, "DependencyViolation.SecurityGroup")
        }
        Refusal::InUse { kind: Kind::Vpc, .. } => (Is::BAD_REQUEST, "DependencyViolation.Instance"),
        Refusal::HasMembers { .. }
        | Refusal::DefaultGroup { .. }
        | Refusal::Referenced { .. }
        | Refusal::InUse { .. } => (Is::FORBIDDEN, "DependencyViolation"),
        Refusal::AlreadyMember { .. } => (Is::FORBIDDEN, "InvalidInstanceId.AlreadyExists"),
        Refusal::NotMember { .. } | Refusal::NoMemberAddress { .. } => {
            (Is::BAD_REQUEST, "InvalidSecurityGroupAssociation.NotFound")
        }
        Refusal::LastGroup { .. } => match about {
            ErrorContext::Interface | ErrorContext::InterfaceGroups => {
                (Is::FORBIDDEN, "InvalidOperation.AtLeastInOneGroup")
            }
            _ => (Is::FORBIDDEN, "InstanceLastSecurityGroup"),
        },
        Refusal::MixedTypes { .. } => match about {
            ErrorContext::InstanceGroups | ErrorContext::InterfaceGroups => {
                (Is::FORBIDDEN, "EnterpriseGroupLimited.MutliGroupType")
            }
            _ => (Is::BAD_REQUEST, "InvalidOperation.MultiGroupType"),
        },
        Refusal::OtherVpc { .. } => other_vpc(about),
        Refusal::OtherNetwork { .. } => match about {
            ErrorContext::Rules(_) => (Is::FORBIDDEN, "InvalidNetworkType.Conflict"),
            ErrorContext::InstanceGroups => (Is::NOT_FOUND, "InvalidSecurityGroupType.NotSupportClassic"),
            ErrorContext::InterfaceGroups | ErrorContext::Attachment => {
                (Is::FORBIDDEN, "InvalidSecurityGroupId.NotVpc")
            }
            _ => other_vpc(about),
        },
        Refusal::EnterpriseReference { .. }
        | Refusal::RegionalReference { .. }
        | Refusal::RegionalMember { .. } => (Is::BAD_REQUEST, "InvalidGroupParameter.OperationDenied"),
        Refusal::EnterpriseInnerAccess { .. } => (Is::NOT_FOUND, "InvalidParameter.InnerAccessPolicy"),
        Refusal::OwnGroup { .. } => match about {
            ErrorContext::Rules(Direction::Egress) => (Is::FORBIDDEN, "InvalidSecurityGroup.IsSame"),
            _ => (Is::FORBIDDEN, "InvalidParamter.Conflict"),
        },
        Refusal::MixedFamilies { first, second } => (Is::BAD_REQUEST, families(first, second)),
        Refusal::DuplicateRule { .. } => (Is::BAD_REQUEST, "InvalidOperation.RuleDuplicate"),
        Refusal::Repeated { .. } => (Is::BAD_REQUEST, "InvalidParam.DuplicatePermissions"),
        Refusal::ChangesKind { field: Field::Ports } => {
            (Is::BAD_REQUEST, "InvalidOperation.ModifyPortRangeType")
        }
        Refusal::ChangesKind { .. } => (Is::BAD_REQUEST, "InvalidOperation.ModifySgRuleEntityType"),
        Refusal::NothingToChange => (Is::BAD_REQUEST, "InvalidParam.InvalidModifyRuleRequest"),
        Refusal::OtherRule { .. } => not_found(Kind::Rule, about),
        Refusal::AddressTaken { .. } => (Is::BAD_REQUEST, "InvalidPrivateIpAddress.Duplicated"),
        Refusal::Attachment { found: Attachment::Primary, .. } => {
            (Is::BAD_REQUEST, "InvalidOperation.DetachPrimaryEniNotAllowed")
        }
        Refusal::Attachment { .. } => (Is::BAD_REQUEST, "InvalidOperation.InvalidEniState"),
        Refusal::DeviceTaken { .. }
        | Refusal::Exists { .. }
        | Refusal::Document { .. }
        | Refusal::ChangeNotKept { .. }
        | Refusal::NoExport { .. }
        | Refusal::Record { .. }
        | Refusal::Unexportable { .. } => (Is::BAD_REQUEST, "InvalidParameter"),
        Refusal::TokenReused { .. } => (Is::BAD_REQUEST, "IdempotentParameterMismatch"),
        Refusal::Unenforceable { .. }
        | Refusal::Unfiltered { .. }
        | Refusal::FailingTest { .. }
        | Refusal::LostAccess { .. } => (Is::FORBIDDEN, "OperationDenied"),
        Refusal::PendingConfirmation { .. } | Refusal::NothingPending | Refusal::OtherPending { .. } => {
            (Is::CONFLICT, "OperationConflict")
        }
        Refusal::NotYetInForce { .. } | Refusal::NotStored { .. } | Refusal::NotSettled { .. } => {
            (Is::INTERNAL_SERVER_ERROR, "InternalError")
        }
        Refusal::Ending => (Is::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    }
}

fn not_found(kind: Kind, about: ErrorContext) -> (StatusCode, &'static str) {
    match (kind, about) {
        (_, ErrorContext::Tags) => (Is::NOT_FOUND, "InvalidResourceId.NotFound"),
        (Kind::Instance, ErrorContext::Attachment) => (Is::NOT_FOUND, "InvalidEcsId.NotFound"),
        (Kind::Group, ErrorContext::Deletion) => (Is::NOT_FOUND, "InvalidSecurityGroup.NotFound"),
        // The group itself was found before: this is one that a rule names.
        (Kind::Group, ErrorContext::Rules(Direction::Ingress)) => {
            (Is::NOT_FOUND, "InvalidSourceGroupId.NotFound")
        }
        (Kind::Group, ErrorContext::Rules(Direction::Egress)) => {
            (Is::NOT_FOUND, "InvalidDestGroupId.NotFound")
        }
        (Kind::Group, _) => (Is::NOT_FOUND, "InvalidSecurityGroupId.NotFound"),
        (Kind::Rule, _) => (Is::NOT_FOUND, "InvalidSecurityGroupRuleId.NotFound"),
        (Kind::Nic, _) => (Is::NOT_FOUND, "InvalidEniId.NotFound"),
        (Kind::Instance, _) => (Is::NOT_FOUND, "InvalidInstanceId.NotFound"),
        (Kind::PrefixList, _) => (Is::NOT_FOUND, "InvalidPrefixListId.NotFound"),
        (Kind::PortList, _) => (Is::NOT_FOUND, "InvalidPortRangeListId.NotFound"),
        (Kind::Vpc, _) => (Is::NOT_FOUND, "InvalidVpcId.NotFound"),
        (Kind::Region, _) => (Is::NOT_FOUND, "InvalidRegionId.NotFound"),
        (Kind::AccessKey, _) => (Is::NOT_FOUND, "InvalidAccessKeyId.NotFound"),
    }
}

fn other_vpc(about: ErrorContext) -> (StatusCode, &'static str) {
    match about {
        ErrorContext::Rules(Direction::Ingress) => (Is::BAD_REQUEST, "InvalidSourceGroupId.Mismatch"),
        ErrorContext::Rules(Direction::Egress) => (Is::BAD_REQUEST, "InvalidDestGroupId.Mismatch"),
        ErrorContext::Instance => (Is::BAD_REQUEST, "InvalidInstanceId.Mismatch"),
        ErrorContext::InstanceGroups => (Is::NOT_FOUND, "InvalidSecurityGroupVpc.NotBelongToOneVpc"),
        _ => (Is::FORBIDDEN, "InvalidOperation.VpcMismatch"),
    }
}

fn families(first: &str, second: &str) -> &'static str {
    match (first, second) {
        ("the protocol", _) => "InvalidParam.ProtocolAndAddressFamilyMismatch",
        _ => "InvalidParam.PrefixListAddressFamilyMismatch",
    }
}

fn invalid(field: Field, about: ErrorContext) -> (StatusCode, &'static str) {
    let code = match field {
        Field::Name => match about {
            ErrorContext::PrefixList => "InvalidParameter.PrefixListName",
            ErrorContext::PortList => "InvalidParameter.PortRangeListName",
            ErrorContext::Vpc => "InvalidVpcName.Malformed",
            ErrorContext::InstanceGroups => "InvalidInstanceName.Malformed",
            ErrorContext::InterfaceGroups | ErrorContext::Attachment => "InvalidParameter",
            _ => "InvalidSecurityGroupName.Malformed",
        },
        // Sic.
        Field::Description if about == ErrorContext::Vpc => "InvalidVpcDiscription.Malformed",
        Field::Description => "InvalidDescription.Malformed",
        Field::RuleDescription => "InvalidSecurityGroupDiscription.Malformed",
        Field::TagKey => "InvalidTagKey.Malformed",
        Field::TagValue => "InvalidTagValue.Malformed",
        Field::TagTwice => "Duplicate.TagKey",
        Field::Protocol => "InvalidIpProtocol.ValueNotSupported",
        Field::Ports => "InvalidParam.PortRange",
        Field::SourcePorts => "InvalidSourcePortRange.Malformed",
        Field::Priority => "InvalidPriority.ValueNotSupported",
        Field::Local => "InvalidParamter.Conflict",
        Field::NicType => "InvalidNicType.ValueNotSupported",
        Field::MaxEntries => match about {
            ErrorContext::PortList => "InvalidParameter.MaxEntries",
            _ => "LimitExceed.MaxEntries",
        },
        Field::Cidr => "InvalidParameter.CidrMalformed",
        Field::CidrTwice => "InvalidParameter.CidrDuplicated",
        Field::PortRange => "InvalidParameter.PortRange",
        Field::PortRangeTwice => "InvalidParameter.PortRangeDuplicated",
        Field::Family => "InvalidParameter.AddressFamily",
        Field::Address if about == ErrorContext::Attachment => {
            return (Is::FORBIDDEN, "InvalidVSwitchId.IpInvalid");
        }
        Field::Groups => return (Is::NOT_FOUND, "InvalidParameter.SecurityGroupIdRepeated"),
        Field::Region => return (Is::NOT_FOUND, "InvalidRegionId.NotFound"),
        // Sic: two capitals.
        Field::PageToken => "InValidParameter.NextToken",
        Field::ClientToken => "InvalidClientToken.ValueNotSupported",
        Field::Remote
        | Field::Direction
        | Field::Template
        | Field::Icmp
        | Field::Device
        | Field::Hook
        | Field::Ipsec
        | Field::Ethertypes
        | Field::Address
        | Field::Place
        | Field::DefaultType
        | Field::Vpc
        | Field::PageSize
        | Field::Quota
        | Field::File
        | Field::Test
        | Field::Stored(_) => "InvalidParameter",
    };
    (Is::BAD_REQUEST, code)
}

fn too_many(quota: Quota, about: ErrorContext) -> (StatusCode, &'static str) {
    match quota {
        Quota::GroupsPerNic | Quota::ClosedGroupsPerNic => {
            (Is::FORBIDDEN, "InstanceSecurityGroupLimitExceeded")
        }
        Quota::RulesPerNic => match about {
            ErrorContext::PrefixList | ErrorContext::PortList => (Is::FORBIDDEN, "AuthorizationLimitExceed"),
            _ => (Is::FORBIDDEN, "AclLimitExceed"),
        },
        Quota::MembersPerGroup | Quota::MembersPerClosedGroup => match about {
            ErrorContext::InstanceGroups | ErrorContext::InterfaceGroups | ErrorContext::Attachment => {
                (Is::FORBIDDEN, "SecurityGroupInstanceLimitExceed")
            }
            _ => (Is::FORBIDDEN, "SecurityGroupInstanceLimitExceeded"),
        },
        Quota::GroupReferences | Quota::CompositeRulesPerNic => {
            (Is::BAD_REQUEST, "AuthorizedGroupRule.LimitExceed")
        }
        Quota::GroupsPerRegion | Quota::ClosedGroupsPerRegion => (Is::FORBIDDEN, "QuotaExceed.SecurityGroup"),
        Quota::MaxEntries => match about {
            ErrorContext::PortList => (Is::BAD_REQUEST, "InvalidOperation.EntryCountExceedMaxEntries"),
            _ => (Is::BAD_REQUEST, "LimitExceed.MaxEntries"),
        },
        Quota::RulesPerOperation => (Is::BAD_REQUEST, "InvalidParam.Permissions"),
        Quota::RulesPerImport | Quota::ClosedRulesPerRegion => (Is::FORBIDDEN, "AuthorizationLimitExceed"),
        Quota::Tags => match about {
            ErrorContext::Tags => (Is::FORBIDDEN, "QuotaExceed.TagsPerResource"),
            ErrorContext::Attachment => (Is::FORBIDDEN, "QuotaExceed.Tags"),
            _ => (Is::BAD_REQUEST, "InvalidTagKey.Malformed"),
        },
    }
}
