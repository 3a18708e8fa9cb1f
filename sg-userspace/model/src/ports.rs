//! The ports of a rule: every port, ranges such as `22,8000-8100`, or a port list.
//!
//! This file must never know which protocols have ports, nor what a list holds. Rules contain ports; records and `sgctl` write port
//! lists with the same texts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Indices, References, Resolve,
    text::digits,
    written::{Reference, Written, WrittenError, WrittenOf, written_schema},
};

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Creates a range; `None` if it is reversed.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the range contains `port`.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// Parses one port, or a range whose ends are separated by `separator`.
#[must_use]
pub fn port_range(text: &str, separator: char) -> Option<PortRange> {
    let (first, last) = text.split_once(separator).unwrap_or((text, text));
    PortRange::new(digits(first.trim())?, digits(last.trim())?)
}

/// A text that is not a set of ports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is no set of ports: write 22, 8000-8100 or 22,80-90 with ports from 0 to 65535, the lower first"
)]
pub struct PortSetError {
    /// The invalid part of the text.
    pub found: String,
}

/// Parses ports and ranges that are separated by commas.
///
/// # Errors
/// If a part is neither.
pub fn port_ranges(text: &str) -> Result<Vec<PortRange>, PortSetError> {
    let range = |part: &str| port_range(part, '-').ok_or_else(|| PortSetError { found: part.to_owned() });
    text.split(',').map(range).collect()
}

/// Writes ranges as [`port_ranges`] parses them.
///
/// # Errors
/// If the formatter fails.
pub fn write_port_ranges(ranges: &[PortRange], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, range) in ranges.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(f, "{comma}{range}")?;
    }
    Ok(())
}

/// Ports of a rule: `any`, `"22,80-90"`, or `{"port_list": "prl-…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    try_from = "WrittenOf<R>",
    into = "WrittenOf<R>",
    bound(serialize = "WrittenOf<R>: Serialize", deserialize = "WrittenOf<R>: Deserialize<'de>")
)]
pub enum Ports<R: References = Indices> {
    /// Every port.
    #[default]
    Any,
    /// These ports: one range or more.
    Ranges(Vec<PortRange>),
    /// The ports of a port list.
    List(R::PortList),
}

written_schema!(Ports);

impl<R: References> Ports<R> {
    /// Whether these are all ports.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// The port list that is named, if one is.
    #[must_use]
    pub const fn list(&self) -> Option<&R::PortList> {
        match self {
            Self::Any | Self::Ranges(_) => None,
            Self::List(list) => Some(list),
        }
    }

    pub(super) fn try_map<T: References, E>(
        &self,
        to: &mut impl Resolve<R, T, Error = E>,
    ) -> Result<Ports<T>, E> {
        Ok(match self {
            Self::Any => Ports::Any,
            Self::Ranges(ranges) => Ports::Ranges(ranges.clone()),
            Self::List(list) => Ports::List(to.port_list(list)?),
        })
    }
}

impl<R: References> FromStr for Ports<R> {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, PortSetError> {
        if text.eq_ignore_ascii_case("any") { Ok(Self::Any) } else { port_ranges(text).map(Self::Ranges) }
    }
}

impl<R: References> TryFrom<WrittenOf<R>> for Ports<R> {
    type Error = WrittenError;

    fn try_from(written: WrittenOf<R>) -> Result<Self, WrittenError> {
        match written {
            Written::Text(text) => Ok(text.parse()?),
            Written::Reference(Reference::PortList(list)) => Ok(Self::List(list)),
            Written::Reference(Reference::Group(_) | Reference::PrefixList(_)) => Err(WrittenError::NoPorts),
        }
    }
}

impl<R: References> From<Ports<R>> for WrittenOf<R> {
    fn from(ports: Ports<R>) -> Self {
        match ports {
            Ports::List(list) => Self::Reference(Reference::PortList(list)),
            Ports::Any => Self::Text("any".to_owned()),
            Ports::Ranges(ranges) => Self::Text(Ports::<Indices>::Ranges(ranges).to_string()),
        }
    }
}

impl<R: References> fmt::Display for Ports<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Ranges(ranges) => write_port_ranges(ranges, f),
            Self::List(list) => fmt::Display::fmt(list, f),
        }
    }
}
