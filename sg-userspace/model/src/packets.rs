//! A set of packets that start a flow, described by what rules match; and what a policy is expected to do with all of them. It must
//! never decide a packet. Documents and commands make them; `sg-diff` asks which rules decide them.

use sg_common::{flow::Direction, packet::Family};

use super::{Action, GroupIndex, Match, Remote};

/// Packets that start a flow, over some NICs of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    /// Over which NICs.
    pub over: Over,
    /// In which direction; `None` means both.
    pub direction: Option<Direction>,
    /// Of which family; `None` means both.
    pub family: Option<Family>,
    /// The remote.
    pub remote: End,
    /// The local address.
    pub local: End,
    /// Protocol, ports, ICMP message, DSCP and family; what these say about ends does not count. A packet must be of at most one of them.
    /// None means every packet.
    pub services: Vec<Match>,
}

/// NICs of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Over {
    /// All of them.
    #[default]
    Every,
    /// That of a device.
    Device(String),
    /// Those that hold a group.
    Group(GroupIndex),
}

/// Addresses of one end of packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// What it is of; nothing means every address.
    pub of: Vec<Remote>,
    /// What it is not of.
    pub not_of: Vec<Remote>,
}

/// What a policy must do with packets: a test of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The packets.
    pub packets: Packets,
    /// What must happen to every one of them.
    pub action: Action,
    /// The id of the rule that must decide every one of them, if one must.
    pub rule: Option<String>,
}
