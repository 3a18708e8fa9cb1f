//! References of rules and NICs to groups and lists: by their positions in a policy, or otherwise, such as by ids. It must never
//! look anything up: a policy and those who keep groups do.

use std::{
    fmt::{self, Debug, Display},
    hash::Hash,
};

use super::Direction;

/// How a rule refers to groups and lists.
pub trait References: Copy + Debug + Default + Eq + Hash + Ord {
    /// A reference to a group.
    type Group: Clone + Debug + Display + Eq + Hash + Ord;
    /// A reference to a prefix list.
    type PrefixList: Clone + Debug + Display + Eq + Hash + Ord;
    /// A reference to a port list.
    type PortList: Clone + Debug + Display + Eq + Hash + Ord;
}

/// By their positions in a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Indices;

impl References for Indices {
    type Group = GroupIndex;
    type PrefixList = PrefixListIndex;
    type PortList = PortListIndex;
}

/// Finds, for references of one kind, those of another: [`Match::try_map`](super::Match::try_map) asks it.
pub trait Resolve<From: References, To: References> {
    /// Why there is none.
    type Error;

    /// The reference to the same group.
    ///
    /// # Errors
    /// If there is none.
    fn group(&mut self, group: &From::Group) -> Result<To::Group, Self::Error>;

    /// The reference to the same prefix list.
    ///
    /// # Errors
    /// If there is none.
    fn prefix_list(&mut self, list: &From::PrefixList) -> Result<To::PrefixList, Self::Error>;

    /// The reference to the same port list.
    ///
    /// # Errors
    /// If there is none.
    fn port_list(&mut self, list: &From::PortList) -> Result<To::PortList, Self::Error>;
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(
            /// The position in the policy's list.
            pub usize,
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "#{}", self.0)
            }
        }
    };
}
index!(
    /// A reference to a group of the policy.
    GroupIndex
);
index!(
    /// A reference to a prefix list of the policy.
    PrefixListIndex
);
index!(
    /// A reference to a port list of the policy.
    PortListIndex
);

/// A reference to a rule of the policy: its group, direction and position as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIndex {
    /// The rule's group.
    pub group: GroupIndex,
    /// The rule's direction.
    pub direction: Direction,
    /// Its position in that direction, counted from 0.
    pub position: usize,
}
