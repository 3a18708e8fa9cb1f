//! The remote of a rule: any address, a prefix, the members of a group or the prefixes of a list.
//!
//! This file owns its texts; it must never resolve groups or lists.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Indices, References, Resolve,
    written::{Reference, Written, WrittenError, WrittenOf, written_schema},
};

/// Remote of a rule: `any`, an address or prefix, `{"group": "sg-…"}`, or `{"prefix_list": "pl-…"}`. It is the source of inbound
/// packets and the destination of outbound ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    try_from = "WrittenOf<R>",
    into = "WrittenOf<R>",
    bound(serialize = "WrittenOf<R>: Serialize", deserialize = "WrittenOf<R>: Deserialize<'de>")
)]
pub enum Remote<R: References = Indices> {
    /// Any address of either family.
    #[default]
    Any,
    /// An address or prefix, with host bits zero.
    Net(IpNet),
    /// The members of a group.
    Group(R::Group),
    /// The prefixes of a prefix list.
    PrefixList(R::PrefixList),
}

written_schema!(Remote);

impl<R: References> Remote<R> {
    /// The same, with another reference.
    ///
    /// # Errors
    /// If `to` does not find it.
    pub fn try_map<T: References, E>(&self, to: &mut impl Resolve<R, T, Error = E>) -> Result<Remote<T>, E> {
        Ok(match self {
            Self::Any => Remote::Any,
            Self::Net(net) => Remote::Net(*net),
            Self::Group(group) => Remote::Group(to.group(group)?),
            Self::PrefixList(list) => Remote::PrefixList(to.prefix_list(list)?),
        })
    }
}

/// Parses an address or prefix and zeroes its host bits. Returns `None` for any other text.
#[must_use]
pub fn net(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.map(|net| net.trunc())
}

/// Formats a prefix; a prefix of full length is written as an address.
#[must_use]
pub fn shortest(net: IpNet) -> String {
    Shortest(net).to_string()
}

/// A prefix; one of full length is displayed as an address.
#[derive(Clone, Copy, Debug)]
pub struct Shortest(pub IpNet);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl Serialize for Shortest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<R: References> FromStr for Remote<R> {
    type Err = WrittenError;

    fn from_str(text: &str) -> Result<Self, WrittenError> {
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        net(text).map(Self::Net).ok_or_else(|| WrittenError::NoRemote { found: text.to_owned() })
    }
}

impl<R: References> TryFrom<WrittenOf<R>> for Remote<R> {
    type Error = WrittenError;

    fn try_from(written: WrittenOf<R>) -> Result<Self, WrittenError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Reference(Reference::Group(group)) => Ok(Self::Group(group)),
            Written::Reference(Reference::PrefixList(list)) => Ok(Self::PrefixList(list)),
            Written::Reference(Reference::PortList(list)) => {
                Err(WrittenError::NoRemote { found: list.to_string() })
            }
        }
    }
}

impl<R: References> From<Remote<R>> for WrittenOf<R> {
    fn from(remote: Remote<R>) -> Self {
        match remote {
            Remote::Any => Self::Text("any".to_owned()),
            Remote::Net(net) => Self::Text(shortest(net)),
            Remote::Group(group) => Self::Reference(Reference::Group(group)),
            Remote::PrefixList(list) => Self::Reference(Reference::PrefixList(list)),
        }
    }
}

impl<R: References> fmt::Display for Remote<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Net(net) => f.write_str(&shortest(*net)),
            Self::Group(group) => fmt::Display::fmt(group, f),
            Self::PrefixList(list) => fmt::Display::fmt(list, f),
        }
    }
}
