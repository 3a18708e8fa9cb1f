//! The address family of the packets that a rule matches, as documents, JSON, files of rules and flags write it.
//!
//! This file owns the two texts. It must never look at addresses: [`Match`](super::Match) says which fields of a rule go together.

use std::fmt;

use serde::{Deserialize, Serialize};
use sg_common::packet::Family;
use utoipa::ToSchema;

/// Only packets of one address family.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum OnlyFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl OnlyFamily {
    /// Both, in the order of documents.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The text in documents and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// The family.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Ipv4 => Family::V4,
            Self::Ipv6 => Family::V6,
        }
    }
}

impl From<Family> for OnlyFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4,
            Family::V6 => Self::Ipv6,
        }
    }
}

impl fmt::Display for OnlyFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
