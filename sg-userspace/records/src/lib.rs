//! The records that are stored: groups, rules, lists, VPCs, instances, NICs, keys and settings, with the texts that people write
//! for their fields.
//!
//! A record names others by id. This room must never know who keeps the records, who asks for them, or what packets they match.
//! The store keeps them, operations change them, and the APIs and `sgctl` show them.

mod ids;
mod ports;
mod record;
mod rule;

pub use ids::{
    AccessKeyId, GroupId, InstanceId, NicId, PortListId, PrefixListId, RuleId, VpcId, looks_like_id,
};
pub use ports::{PortSet, PortSetError, port_range};
pub use record::{
    AccessKey, Established, Family, Group, GroupType, Hook, Instance, Label, Member, Nic, Order, PortEntry,
    PortList, PrefixEntry, PrefixList, Quotas, Role, Settings, Token, Vpc,
};
pub use rule::{
    Action, Direction, NicType, Ports, Protocol, ProtocolError, Remote, Rule, RuleSpec, WrittenError, net,
    shortest,
};
