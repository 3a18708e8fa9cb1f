//! Maps each refusal of the domain to a problem, for which each version of the vendor's APIs has a status and a code.

use sg_service::{Kind, Refusal};

use super::{
    Call, Fault, ids,
    problem::{Problem, Subject},
};

/// A refused operation.
pub(super) fn fault(call: &Call, refusal: &Refusal) -> Fault {
    let problem = problem(refusal);
    let message = match refusal {
        Refusal::DuplicateRule { rule } => {
            format!("Security group rule already exists. Rule id is {rule}.")
        }
        Refusal::TooMany { .. } => format!("Quota exceeded for resources: {} ({refusal}).", resource(call)),
        Refusal::HasMembers { group, .. } | Refusal::Referenced { group, .. } => {
            format!("Security group {group} is in use ({refusal}).")
        }
        Refusal::Attachment { nic, .. } => format!("Port {nic} is in use ({refusal})."),
        _ => refusal.to_string(),
    };
    Fault::of(call.operation, problem, ids::in_message(&message))
}

/// What a quota is about, in the vendor's messages.
const fn resource(call: &Call) -> &'static str {
    match call.operation.subject {
        Subject::Rule => "['security_group_rule']",
        Subject::AddressGroup => "address_group",
        Subject::Port => "port",
        Subject::Group | Subject::Server | Subject::Other => "security_group",
    }
}

const fn problem(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NotFound { kind, .. } | Refusal::Ambiguous { kind, .. } => Problem::NotFound(subject(*kind)),
        Refusal::OtherRule { .. } => Problem::NotFound(Subject::Rule),
        Refusal::TooMany { .. } => Problem::Quota,
        Refusal::HasMembers { .. }
        | Refusal::Referenced { .. }
        | Refusal::InUse { .. }
        | Refusal::Attachment { .. }
        | Refusal::DefaultGroup { .. } => Problem::InUse,
        Refusal::DuplicateRule { .. }
        | Refusal::Repeated { .. }
        | Refusal::Exists { .. }
        | Refusal::DeviceTaken { .. }
        | Refusal::AddressTaken { .. } => Problem::Exists,
        Refusal::PendingConfirmation { .. }
        | Refusal::NothingPending
        | Refusal::OtherPending { .. }
        | Refusal::Unfiltered { .. }
        | Refusal::FailingTest { .. }
        | Refusal::LostAccess { .. }
        | Refusal::Unenforceable { .. } => Problem::Conflict,
        Refusal::NotYetInForce { .. } | Refusal::NotStored { .. } | Refusal::NotSettled { .. } => {
            Problem::Internal
        }
        Refusal::Ending => Problem::Unavailable,
        Refusal::Invalid { .. }
        | Refusal::Document { .. }
        | Refusal::NoExport { .. }
        | Refusal::Record { .. }
        | Refusal::Unexportable { .. }
        | Refusal::ChangeNotKept { .. }
        | Refusal::Missing { .. }
        | Refusal::AlreadyMember { .. }
        | Refusal::NotMember { .. }
        | Refusal::NoMemberAddress { .. }
        | Refusal::LastGroup { .. }
        | Refusal::MixedTypes { .. }
        | Refusal::OtherVpc { .. }
        | Refusal::OtherNetwork { .. }
        | Refusal::EnterpriseReference { .. }
        | Refusal::RegionalReference { .. }
        | Refusal::RegionalMember { .. }
        | Refusal::EnterpriseInnerAccess { .. }
        | Refusal::OwnGroup { .. }
        | Refusal::MixedFamilies { .. }
        | Refusal::ChangesKind { .. }
        | Refusal::NothingToChange
        | Refusal::TokenReused { .. } => Problem::Malformed,
    }
}

const fn subject(kind: Kind) -> Subject {
    match kind {
        Kind::Group => Subject::Group,
        Kind::Rule => Subject::Rule,
        Kind::PrefixList => Subject::AddressGroup,
        Kind::Nic => Subject::Port,
        Kind::Instance => Subject::Server,
        Kind::Vpc | Kind::PortList | Kind::AccessKey | Kind::Region => Subject::Other,
    }
}
