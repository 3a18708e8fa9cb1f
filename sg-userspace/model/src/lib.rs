//! The meaning of a policy: groups, rules, prefix lists, port lists and NICs.
//!
//! A [`Policy`] is valid by construction: references resolve, ranges are not reversed, and only protocols that have ports have
//! them. This crate alone knows precedence ([`precedence`]) and membership (`membership`). It must never do I/O. `sg-document`
//! and `sg-service` build policies; the oracle and the compiler read them.

mod device;
mod ethertype;
mod group;
mod membership;
mod nic;
mod policy;
pub mod precedence;
mod reach;
mod rule;
mod senders;
mod service;
pub mod text;
mod validity;

pub use device::DeviceFacts;
pub use ethertype::{Carrier, Ethertype, MAX_ETHERTYPES, NoEthertype, NoEthertypes, fit_one_nic};
pub use group::{Group, GroupType};
pub use membership::identifies;
pub use nic::{
    Established, Hook, Ipsec, MAX_GROUPS_PER_NIC, MidStream, NamedTakeover, Nic, Role, Takeover, Unmatched,
};
pub use policy::{
    Decider, FamilyName, GroupIndex, Invalid, InvalidPolicy, InvalidReason, Place, Policy, PolicyParts,
    PortListIndex, PrefixListIndex, RuleIndex,
};
pub use precedence::Precedence;
pub use reach::{JoinedLists, Reach};
pub use rule::{Action, Priority, Remote, Rule};
pub use senders::{AddressPair, AllowedSources, Mac, NoMac};
pub use service::{IcmpMessage, PortRange, Ports, Service};
pub use sg_common::{flow::Direction, packet::Family};
