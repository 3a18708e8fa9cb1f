//! The meaning of a policy: groups, rules, prefix lists, port lists and NICs.
//!
//! A [`Policy`] is valid by construction: references resolve, ranges are not reversed, and only protocols that have ports have
//! them. What a rule matches is one type for all crates, [`Match`]. This crate alone knows precedence ([`precedence`]) and
//! membership (`membership`). It must never do I/O. `sg-document` and `sg-service` build policies; the oracle and the compiler
//! read them.

// Others build on this crate, without reading it.
#![warn(missing_docs)]

mod addresses;
mod age;
mod by_name;
mod confirm;
mod device;
mod ethertype;
mod family;
mod field;
mod flows;
mod group;
mod invalid;
mod matches;
mod membership;
mod nic;
mod numbers;
mod packets;
mod policy;
mod ports;
pub mod precedence;
mod prefixes;
mod protocol;
mod reach;
mod references;
mod remote;
mod rule;
mod senders;
pub mod text;
mod validity;
mod written;

pub use addresses::{AddressRange, Addresses, AddressesError, address_range};
pub use age::{Age, MOMENT, NoAge, moment};
pub use by_name::{ByName, KindAndName, Names};
pub use confirm::{LONGEST_CONFIRM, SHORTEST_CONFIRM, confirm_seconds};
pub use device::{DeviceFacts, Role, identifies};
pub use ethertype::{Carrier, Ethertype, MAX_ETHERTYPES, NoEthertype, NoEthertypes, fit_one_nic};
pub use family::OnlyFamily;
pub use field::{MatchField, Scope};
pub use flows::{Established, MidStream, NamedTakeover, Takeover};
pub use group::{Group, GroupType, whole_group};
pub use invalid::{FamilyName, Invalid, InvalidPolicy, InvalidReason, Place};
pub use matches::{Conditions, IcmpMessage, Match, Misfit, Named, Service};
pub use nic::{Hook, Ipsec, Nic, Precedence, Unmatched};
pub use numbers::{Bounded, HeaderNumbers, OutOfBounds};
pub use packets::{End, Expectation, Over, Packets};
pub use policy::{Decider, Policy, PolicyParts};
pub use ports::{PortRange, PortSetError, Ports, port_range, port_ranges, write_port_ranges};
pub use prefixes::Prefixes;
pub use protocol::{Protocol, ProtocolError, ProtocolName, UnknownProtocol};
pub use reach::{JoinedLists, Lists, Reach, join_port_ranges};
pub use references::{GroupIndex, Indices, PortListIndex, PrefixListIndex, References, Resolve, RuleIndex};
pub use remote::{Remote, Shortest, net, shortest};
pub use rule::{Action, Priority, Rule};
pub use senders::{AddressPair, AllowedSources, Mac, NoMac};
pub use sg_common::{flow::Direction, packet::Family};
pub use written::WrittenError;
