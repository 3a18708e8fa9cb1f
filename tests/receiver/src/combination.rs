//! What the frames go through: a hook, whose NIC it is, which way they go, and under which policy.

use std::fmt;

use crate::lab::Attach;

/// Whose the filtered NIC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The host's own.
    Host,
    /// A guest's, filtered on the host end of its wire.
    Guest,
}

/// Which way the frames go, from the point of view of the NIC's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Towards it.
    Ingress,
    /// From it.
    Egress,
}

/// At which end of the wire the filter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the frames are received.
    Receiver,
    /// Where they are sent.
    Sender,
}

/// A hook, a role, a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination {
    /// How the filter is attached.
    pub attach: Attach,
    /// Whose the NIC is.
    pub role: Role,
    /// Which way the frames go.
    pub direction: Direction,
}

impl Combination {
    /// All there are. XDP is for what a host receives; what it sends is at tc whatever the NIC's hook is.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self { attach: Attach::Xdp, role: Role::Host, direction: Direction::Ingress }];
        for attach in [Attach::Tcx, Attach::Clsact] {
            for role in [Role::Host, Role::Guest] {
                for direction in [Direction::Ingress, Direction::Egress] {
                    all.push(Self { attach, role, direction });
                }
            }
        }
        all
    }

    /// Where the filter is.
    #[must_use]
    pub const fn side(self) -> Side {
        match (self.role, self.direction) {
            (Role::Host, Direction::Ingress) | (Role::Guest, Direction::Egress) => Side::Receiver,
            (Role::Host, Direction::Egress) | (Role::Guest, Direction::Ingress) => Side::Sender,
        }
    }

    /// Whether the frames are those of a guest.
    #[must_use]
    pub const fn from_guest(self) -> bool {
        matches!((self.role, self.direction), (Role::Guest, Direction::Egress))
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Host => "host",
            Role::Guest => "guest",
        };
        let direction = match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        write!(f, "{}_{role}_{direction}", self.attach)
    }
}
