//! The stored records: groups, rules, lists, VPCs, instances, NICs, access keys and settings, and the texts that users write for
//! their fields.
//!
//! Records refer to each other by id. This crate must never know where records are stored, who requests them, or which packets
//! they match. The store keeps them, operations change them, and the APIs and `sgctl` show them.

// Others build on this crate, without reading it.
#![warn(missing_docs)]

mod caller;
mod group;
mod ids;
mod in_policy;
mod list;
mod nic;
mod policy_test;
mod ports;
mod rule;
mod settings;
mod uuid;
mod vpc;

pub use self::uuid::{id_of, project_id, uuid_of};
pub use ::uuid::Uuid;
pub use caller::{AccessKey, KeyRole, Token};
pub use group::{Group, Label, Member};
pub use ids::{
    AccessKeyId, GroupId, Id, InstanceId, NicId, PortListId, PrefixListId, RuleId, VpcId, looks_like_id,
};
pub use in_policy::{InPolicy, NamedIn, NotInPolicy};
pub use list::{
    EntryList, Family, ListEntry, NoExtra, PortEntry, PortList, PrefixEntry, PrefixFamily, PrefixList,
};
pub use nic::{Instance, Nic};
pub use policy_test::{DemandedPacket, DemandedTest, Demands, DocumentName, PolicyTest};
pub use ports::PortSet;
pub use rule::{Direction, Ids, Match, NicType, Ports, Remote, Rule, RuleSpec};
pub use settings::{Quotas, Settings};
pub use sg_model::{
    Action, Addresses, Established, GroupType, Hook, OnlyFamily, PortSetError, Protocol, ProtocolError, Role,
    WrittenError, net, port_range, shortest,
};
pub use vpc::{Order, Vpc};
