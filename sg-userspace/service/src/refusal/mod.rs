//! The reasons for which operations are refused: one list for all APIs.
//!
//! A message is one sentence: what is wrong, where, and what to do. Clients of every API read it, so it must never name a command of
//! one of them. Serialized, a refusal is its code and the values of its fields, which the native API sends. Each API maps it to a
//! status or a vendor's code; this file must never know those.

mod subject;

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::Serialize;
use sg_guard::Lost;
use sg_records::{GroupId, GroupType, NicId, RuleId};
use thiserror::Error;

pub use subject::{Attachment, Field, Kind, Network, Quota};

/// Why an operation is refused. A refused operation changes nothing, unless the variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(tag = "code", content = "details", rename_all = "snake_case")]
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
    #[error("{} {kind}s are named {name:?}: use one of their ids: {}", ids.len(), ids.join(", "))]
    Ambiguous { kind: Kind, name: String, ids: Vec<String> },
    /// A value is invalid.
    #[error("{field} {found:?}: {allowed}")]
    Invalid { field: Field, found: String, allowed: String },
    /// A document cannot be parsed.
    #[error("{reason}")]
    #[serde(rename = "invalid_document")]
    Document {
        /// The file, the place, and what is wrong there.
        reason: String,
    },
    /// A file is not an export.
    #[error("{reason}")]
    #[serde(rename = "invalid_export")]
    NoExport {
        /// The line, and what is wrong there.
        reason: String,
    },
    /// No operation could have produced a record.
    #[error("{}{record}: {reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    #[serde(rename = "invalid_record")]
    Record {
        /// The line of the record in the imported file. `None`: the record is in the state.
        line: Option<u64>,
        /// The key of the record.
        record: String,
        /// Why an operation would be refused.
        #[serde(flatten)]
        reason: Box<Refusal>,
    },
    /// An import would refuse the state, so it cannot be exported.
    #[error("the state cannot be exported, since an import would refuse it: {reason}")]
    Unexportable {
        /// Why, and what to change first.
        reason: String,
    },
    /// What was in force after a change is not known.
    #[error(
        "what was in force after change {number} is not kept: that after changes {oldest} to {newest} is"
    )]
    ChangeNotKept {
        number: u64,
        /// The first change after which it is known.
        oldest: u64,
        /// The last change.
        newest: u64,
    },
    /// A required value is missing.
    #[error("{field} is missing: {allowed}")]
    Missing { field: Field, allowed: String },
    /// A quota would be exceeded.
    #[error("{what} would {} {needed} {}, {allowed} are allowed ({quota})", quota.verb(), quota.unit())]
    TooMany {
        quota: Quota,
        /// The object that would exceed it.
        what: String,
        needed: u64,
        allowed: u64,
        /// The field of the quotas that can be raised to `needed`. `None`: no field can.
        field: Option<Quota>,
    },
    /// A group still has members.
    #[error("group {group} still has members: remove {} from it first", some(members))]
    HasMembers {
        group: GroupId,
        /// Its NICs and addresses.
        members: Vec<String>,
    },
    /// Rules of other groups name a group.
    #[error("group {group} is named by rules of {}: revoke those rules first", some(by))]
    Referenced {
        group: GroupId,
        /// The groups of those rules.
        by: Vec<String>,
    },
    /// The closed default group of a region.
    #[error(
        "group {group} is the default group of its region, which is not {verb}: change its rules, or use another group"
    )]
    DefaultGroup {
        group: GroupId,
        /// What is not done to it.
        #[serde(skip)]
        verb: &'static str,
    },
    /// A list or VPC is still in use.
    #[error("{kind} {id} is in use by {}: change those first{}", some(by), or_with_rules(*kind))]
    InUse {
        kind: Kind,
        id: String,
        /// The objects that use it.
        by: Vec<String>,
    },
    /// A NIC already holds the group.
    #[error("NIC {nic} already holds group {group}")]
    AlreadyMember { nic: NicId, group: GroupId },
    /// A NIC does not hold the group.
    #[error("NIC {nic} does not hold group {group}")]
    NotMember { nic: NicId, group: GroupId },
    /// An address is not a member of the group.
    #[error("{address} is not a member of group {group}")]
    #[serde(rename = "not_member")]
    NoMemberAddress { address: IpAddr, group: GroupId },
    /// The last group of a NIC cannot be removed.
    #[error(
        "group {group} is the last one of NIC {nic}, which must hold at least one group: join it to another one first"
    )]
    LastGroup { nic: NicId, group: GroupId },
    /// Groups of several types on one NIC.
    #[error(
        "group {group} is of another type than {other}: one NIC holds groups of one type, basic, enterprise or closed"
    )]
    MixedTypes { group: GroupId, other: GroupId },
    /// Objects of different VPCs.
    #[error("{what} is in {found}, {with} in {wanted}: {demand}")]
    OtherVpc {
        /// One object.
        what: String,
        /// The network of that object.
        found: Box<Network>,
        /// The other object.
        with: String,
        /// The network of the other object.
        wanted: Box<Network>,
        /// Why both must be in the same VPC.
        #[serde(skip)]
        demand: &'static str,
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
    /// Inner access of an enterprise or closed group. Only members of basic groups can reach each other without a rule.
    #[error("group {group} is {} group, which has no inner access: {}", kind.called(), match kind {
        GroupType::Closed => "add a rule that names it",
        GroupType::Basic | GroupType::Enterprise => "add rules for the addresses of its members",
    })]
    EnterpriseInnerAccess {
        group: GroupId,
        /// Its type.
        #[serde(skip)]
        kind: GroupType,
    },
    /// A rule of a closed group without a VPC names another kind of group, or the other way round.
    #[error(
        "group {group} is a closed group without a VPC, and {other} is in {network}: rules of closed groups without a VPC name \
         only such groups, and no other rule names one; use a prefix list, or a closed group without a VPC for both"
    )]
    RegionalReference {
        /// The closed group without a VPC.
        group: GroupId,
        /// The other group.
        other: String,
        /// The network of the other group.
        network: Box<Network>,
    },
    /// An address as a member of a closed group without a VPC.
    #[error(
        "group {group} is a closed group without a VPC, and an address alone does not say in which VPC it is: register a NIC \
         without a device there, with this address and the group"
    )]
    RegionalMember { group: GroupId },
    /// A rule names its own group.
    #[error("a rule cannot name its own group {group}: set its inner access to accept instead")]
    OwnGroup { group: GroupId },
    /// IPv4 and IPv6 in one rule.
    #[error("{first} and {second} are of different address families: write two rules")]
    MixedFamilies {
        /// One field.
        first: &'static str,
        /// The other field.
        second: &'static str,
    },
    /// The group already has a rule with the same content.
    #[error("rule {rule} already matches the same packets: change that one")]
    DuplicateRule {
        /// The existing rule.
        rule: RuleId,
    },
    /// Two rules of one operation have the same content.
    #[error("rules {first} and {second} of this request are the same: leave one out")]
    Repeated {
        /// The position of one, counted from 1.
        first: usize,
        /// The position of the other, counted from 1.
        second: usize,
    },
    /// A change of the kind of remote or ports that a rule has.
    #[error("the {field} of a rule cannot be replaced by another kind: revoke the rule and add a new one")]
    ChangesKind { field: Field },
    /// A change without any field.
    #[error("nothing to change: specify at least one field")]
    NothingToChange,
    /// A rule is not in the group, or not of the direction.
    #[error("rule {rule} is not {of}")]
    OtherRule {
        rule: RuleId,
        /// The expected group or direction.
        of: String,
    },
    /// Another NIC has the device.
    #[error("device {device:?} already belongs to NIC {nic}: remove that NIC, or give it another device")]
    DeviceTaken {
        device: String,
        /// The NIC that has it.
        nic: NicId,
    },
    /// Another NIC of the VPC has the address.
    #[error("address {address} already belongs to NIC {nic} of the VPC: choose another")]
    AddressTaken {
        address: IpAddr,
        /// The NIC that has it.
        nic: NicId,
    },
    /// A NIC is attached to an instance, or is not, where the operation needs it otherwise.
    #[error("NIC {nic} {}", found.says())]
    Attachment { nic: NicId, found: Attachment },
    /// An object with this id already exists.
    #[error("{kind} {id} already exists: choose another id")]
    Exists { kind: Kind, id: String },
    /// An idempotency key was used for another operation.
    #[error("the idempotency key {token:?} was used for another request: use a new one")]
    TokenReused {
        /// The idempotency key.
        token: String,
    },
    /// A document that leaves out NICs whose devices exist and are filtered.
    #[error(
        "the document does not name {}, which {} filtered: everything would pass there, and nothing was changed. Correct the \
         document; if it is meant, write `allow_unfiltered: [{}]` in it, or allow it in the request",
        some(devices), if devices.len() == 1 { "is" } else { "are" }, devices.join(", ")
    )]
    #[serde(rename = "unfiltered_device")]
    Unfiltered { devices: Vec<String> },
    /// What a document keeps, or a connection of the caller, would not be accepted any more.
    #[error(
        "{what}: {}{by}; nothing was changed. Let the rules accept it; if the loss is meant, force the change",
        if device.is_empty() { String::new() } else { format!("NIC {device} would not accept it, ") }
    )]
    LostAccess {
        /// What would be lost: a place in a document, or a connection.
        what: String,
        /// The device of the NIC; empty if the NIC is not there.
        device: String,
        /// The verdict, and the rule or the default that decides.
        by: String,
    },
    /// Another change is to be confirmed first.
    #[error(
        "change {id} of {owner} is to be confirmed until {deadline:.0}: confirm it or cancel it, and try again then"
    )]
    PendingConfirmation { id: u32, owner: String, deadline: Timestamp },
    /// No change is to be confirmed.
    #[error("no change is to be confirmed: it was confirmed, taken back, or never was one")]
    NothingPending,
    /// Another change than the one that was named is to be confirmed.
    #[error("change {id} is to be confirmed, and not change {asked}")]
    OtherPending {
        /// The id that was named.
        asked: u32,
        id: u32,
    },
    /// What became of a change that was to be confirmed is not known, or could not be stored.
    #[error("the change could not be settled: {reason}")]
    NotSettled { reason: String },
    /// A test that is demanded of every change fails.
    #[error(
        "{test}: this test fails: {why}; nothing was changed. Let the rules do what it expects, or replace the test; if the \
         failure is meant, skip the tests"
    )]
    FailingTest {
        /// The test: its place, and its document.
        test: String,
        /// Why: what was expected, and a packet that gets something else.
        why: String,
    },
    /// The agent cannot enforce the change, for example because an image exceeds its budget or there are too many NICs.
    #[error("the change cannot be enforced on this host, and nothing was changed: {reason}")]
    Unenforceable { reason: String },
    /// The change is stored but not in force yet. The agent keeps trying.
    #[error("the change is stored, but not yet in force on this host; sgd keeps trying: {reason}")]
    NotYetInForce {
        /// What is missing.
        reason: String,
    },
    /// The change could not be stored.
    #[error("the change could not be stored, and nothing was changed: {reason}")]
    NotStored { reason: String },
    /// The service is stopping. Nothing was changed.
    #[error("sgd is stopping, and nothing was changed: try again later")]
    Ending,
}

impl From<Lost> for Refusal {
    fn from(Lost { what, device, by }: Lost) -> Self {
        Self::LostAccess { what, device, by }
    }
}

impl Refusal {
    /// The code of the refusal, which programs compare: `not_found`.
    #[must_use]
    pub fn code(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A value is invalid; `allowed` says what is allowed. A long value is shortened.
    pub(crate) fn invalid(field: Field, found: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self::Invalid { field, found: excerpt(&found.to_string()), allowed: allowed.into() }
    }
}

/// Shortens a text for a message.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What else can be done about rules that use an object.
const fn or_with_rules(kind: Kind) -> &'static str {
    match kind {
        Kind::PrefixList | Kind::PortList => ", or delete them with it",
        _ => "",
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};
    use sg_api_types::{ErrorDetail, ExceededQuota};

    use super::*;

    #[test]
    fn a_refusal_is_its_code_and_its_fields() {
        let missing = Refusal::NotFound { kind: Kind::PrefixList, name: "office".to_owned(), hint: None };
        let details = json!({ "kind": "prefix list", "name": "office", "hint": null });
        assert_eq!(to_value(missing).unwrap(), json!({ "code": "not_found", "details": details }));
        assert_eq!(to_value(Refusal::Ending).unwrap(), json!({ "code": "ending" }));

        let (found, allowed) = ("7".to_owned(), "less".to_owned());
        let reason = Box::new(Refusal::Invalid { field: Field::Stored("serial"), found, allowed });
        let record = Refusal::Record { line: Some(3), record: "rule sgr-1".to_owned(), reason };
        let details = json!({ "field": "serial", "found": "7", "allowed": "less" });
        let details = json!({ "line": 3, "record": "rule sgr-1", "code": "invalid", "details": details });
        assert_eq!(to_value(record).unwrap(), json!({ "code": "invalid_record", "details": details }));
    }

    #[test]
    fn an_exceeded_quota_says_which_field_raises_it_where_one_can() {
        let refused = |quota: Quota, needed| quota.check("NIC web-1", needed, 5_u32).unwrap_err();
        let message = refused(Quota::GroupsPerNic, 6).to_string();
        assert_eq!(message, "NIC web-1 would hold 6 groups, 5 are allowed (groups_per_nic)");

        let exceeded = |quota, needed| {
            let mut said = to_value(refused(quota, needed)).unwrap();
            let (code, details) = (said["code"].as_str().unwrap().to_owned(), said["details"].take());
            ErrorDetail { code, message: String::new(), details }.exceeded_quota().unwrap()
        };
        let six = exceeded(Quota::GroupsPerNic, 6);
        let (quota, what) = ("groups_per_nic".to_owned(), "NIC web-1".to_owned());
        let field = Some(quota.clone());
        assert_eq!(six, ExceededQuota { quota, what, needed: 6, allowed: 5, field });
        assert_eq!(exceeded(Quota::GroupsPerNic, 11).field, None, "a NIC holds ten groups at most");
        assert_eq!(exceeded(Quota::MaxEntries, 6).field, None, "the list limits itself");
    }
}
