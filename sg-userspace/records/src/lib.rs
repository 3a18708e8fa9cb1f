//! The stored records: groups, rules, lists, VPCs, instances, NICs, access keys and settings, and the texts that users write for
//! their fields.
//!
//! Records refer to each other by id. This crate must never know where records are stored, who requests them, or which packets
//! they match. The store keeps them, operations change them, and the APIs and `sgctl` show them.

mod ids;
mod ports;
mod record;
mod rule;

pub use ids::{
    AccessKeyId, GroupId, InstanceId, NicId, PortListId, PrefixListId, RuleId, VpcId, looks_like_id,
};
pub use ports::PortSet;
pub use record::{
    AccessKey, Established, Family, Group, GroupType, Hook, Instance, Label, Member, Nic, Order, PortEntry,
    PortList, PrefixEntry, PrefixList, Quotas, Role, Settings, Token, Vpc,
};
pub use rule::{Direction, Ids, Match, NicType, Ports, Remote, Rule, RuleSpec};
pub use sg_model::{Action, PortSetError, Protocol, ProtocolError, WrittenError, net, port_range, shortest};
