//! What the settings of a NIC say about live flows when the policy changes, and about TCP connections of no known flow.
//!
//! This file owns the values and their defaults; it must never know a flow. `sg-document` and the records have them as settings;
//! the compiler writes them into images.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The effect of a policy change on live flows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Established {
    /// Live flows are evaluated by the new policy on their next packet, with their original addresses and direction, and revoked
    /// if it does not accept them.
    #[default]
    Revalidate,
    /// Live flows continue until they end, whatever the new policy says.
    Keep,
}

/// What happens to a TCP packet that is no SYN and belongs to no known flow: because the flow table was lost, for example, or
/// because the packet is forged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum MidStream {
    /// The rules evaluate it as if it were the first packet of its connection.
    #[default]
    Loose,
    /// It is dropped.
    Strict,
}

/// How long after a NIC was first filtered the rules of one direction are enough to take over an unknown TCP connection that is
/// seen in its middle. Later, the rules of both directions must accept it. Applies to `mid_stream: loose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Takeover {
    /// This number of seconds. 0: the rules of one direction are never enough.
    Seconds(u32),
    /// A named time.
    Named(NamedTakeover),
}

/// A takeover time that is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamedTakeover {
    /// The idle timeout of established TCP connections. A connection that is still unknown after it has sent nothing in that
    /// time.
    Established,
    /// Without an end.
    Forever,
}

impl Default for Takeover {
    fn default() -> Self {
        Self::Named(NamedTakeover::Established)
    }
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds}"),
            Self::Named(NamedTakeover::Established) => f.write_str("established"),
            Self::Named(NamedTakeover::Forever) => f.write_str("forever"),
        }
    }
}

impl FromStr for Takeover {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "established" => Ok(Self::Named(NamedTakeover::Established)),
            "forever" => Ok(Self::Named(NamedTakeover::Forever)),
            seconds => seconds.parse().map(Self::Seconds).map_err(|_| Self::ALLOWED),
        }
    }
}

impl Takeover {
    /// The valid values, for messages.
    pub const ALLOWED: &'static str = "write a number of seconds, established or forever";
}
