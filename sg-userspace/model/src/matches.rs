//! The packets that a rule matches: one type for documents, policies, records and requests, generic over how it refers to groups
//! and lists.
//!
//! This is the list of a rule's match fields. What reads, writes, compares, compiles or shows them takes [`Match`] or
//! [`Conditions`] apart without `..`, so that a new field stops the build at every place that must know it. It must never decide
//! whether a packet matches: the oracle and the compiler do.

use std::{
    convert::Infallible,
    fmt::{self, Display},
};

use ipnet::IpNet;
use sg_common::packet::{Family, has_ports, protocol};
use thiserror::Error;

use super::{
    Bounded, HeaderNumbers, Indices, MatchField, OnlyFamily, Ports, Protocol, References, Remote, Resolve,
    Scope,
};

/// The packets that a rule matches. Two rules match the same packets if theirs are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Match<R: References = Indices> {
    /// The protocol.
    pub protocol: Protocol,
    /// The packet's destination ports. Only for TCP, UDP, SCTP, DCCP and UDP-Lite.
    pub ports: Ports<R>,
    /// The packet's source ports. Only for TCP, UDP, SCTP, DCCP and UDP-Lite.
    pub source_ports: Ports<R>,
    /// The numbers in the headers of the packet.
    pub numbers: HeaderNumbers,
    /// The address family; `None` means both, as far as the other fields have both.
    pub family: Option<OnlyFamily>,
    /// The remote.
    pub remote: Remote<R>,
    /// The local address; `None` means every address of the NIC. Host bits are zero.
    pub local: Option<IpNet>,
}

/// Why the fields of a [`Match`] do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// Ports, and a protocol without ports.
    #[error("only TCP, UDP, SCTP, DCCP and UDP-Lite have ports")]
    Ports,
    /// An ICMP type or code, and another protocol.
    #[error("only ICMP and ICMPv6 have message types")]
    Message,
    /// An ICMP code without a type.
    #[error("an ICMP code needs a type")]
    CodeWithoutType,
}

/// What a rule names instead of addresses or ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<'m, R: References = Indices> {
    /// A group.
    Group(&'m R::Group),
    /// A prefix list.
    PrefixList(&'m R::PrefixList),
    /// A port list.
    PortList(&'m R::PortList),
}

/// The conditions of a rule, all of which a packet meets that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions<'m, R: References = Indices> {
    /// Protocol, ports, ICMP message.
    pub service: Service<'m, R>,
    /// The address family; `None` means both, as far as the others have both.
    pub family: Option<Family>,
    /// The remote.
    pub remote: &'m Remote<R>,
    /// The local address; `None` means every address of the NIC.
    pub local: Option<IpNet>,
    /// The numbers in the headers. Those of an ICMP message are in the service, too.
    pub numbers: HeaderNumbers,
}

/// The condition on protocol, ports and ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'m, R: References = Indices> {
    /// Every protocol.
    All,
    /// TCP, UDP, SCTP, DCCP or UDP-Lite.
    Ported {
        /// The IANA number.
        protocol: u8,
        /// The packet's destination port.
        destination: &'m Ports<R>,
        /// The packet's source port.
        source: &'m Ports<R>,
    },
    /// ICMP (IPv4 only) or ICMPv6 (IPv6 only).
    Icmp {
        /// IPv4 for ICMP, IPv6 for ICMPv6.
        family: Family,
        /// `None` means every message.
        message: Option<IcmpMessage>,
    },
    /// Any other protocol, by its IANA number.
    Other(u8),
}

/// A type of ICMP message, with one code or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpMessage {
    /// The type, 0 to 255.
    pub kind: u8,
    /// The code, 0 to 255; `None` means every code.
    pub code: Option<u8>,
}

impl<R: References> Match<R> {
    /// Every packet of a protocol.
    #[must_use]
    pub const fn of(protocol: Protocol) -> Self {
        Self {
            protocol,
            ports: Ports::Any,
            source_ports: Ports::Any,
            numbers: HeaderNumbers::NONE,
            family: None,
            remote: Remote::Any,
            local: None,
        }
    }

    /// The same packets, with other references.
    ///
    /// # Errors
    /// The first reference that `to` does not find.
    pub fn try_map<T: References, E>(&self, to: &mut impl Resolve<R, T, Error = E>) -> Result<Match<T>, E> {
        let Self { protocol, ports, source_ports, numbers, family, remote, local } = self;
        Ok(Match {
            protocol: *protocol,
            ports: ports.try_map(to)?,
            source_ports: source_ports.try_map(to)?,
            numbers: *numbers,
            family: *family,
            remote: remote.try_map(to)?,
            local: *local,
        })
    }

    /// Like [`Self::try_map`], where every reference is found.
    #[must_use]
    pub fn map<T: References>(&self, to: &mut impl Resolve<R, T, Error = Infallible>) -> Match<T> {
        self.try_map(to).unwrap_or_else(|never| match never {})
    }

    /// The groups and lists that are named.
    pub fn named(&self) -> impl Iterator<Item = Named<'_, R>> {
        let Self { protocol: _, ports, source_ports, numbers: _, family: _, remote, local: _ } = self;
        let remote = match remote {
            Remote::Any | Remote::Net(_) => None,
            Remote::Group(group) => Some(Named::Group(group)),
            Remote::PrefixList(list) => Some(Named::PrefixList(list)),
        };
        let lists = [ports, source_ports].into_iter().filter_map(|ports| ports.list());
        remote.into_iter().chain(lists.map(Named::PortList))
    }

    /// The conditions. What does not fit together, which no policy has, is left out.
    #[must_use]
    pub fn conditions(&self) -> Conditions<'_, R> {
        let Self { protocol, ports, source_ports, numbers, family, remote, local } = self;
        let code = numbers.icmp_code.map(Bounded::get);
        let message = numbers.icmp_type.map(|kind| IcmpMessage { kind: kind.get(), code });
        let service = match *protocol {
            Protocol::All => Service::All,
            Protocol::Number(protocol::ICMP) => Service::Icmp { family: Family::V4, message },
            Protocol::Number(protocol::ICMPV6) => Service::Icmp { family: Family::V6, message },
            Protocol::Number(protocol) if has_ports(protocol) => {
                Service::Ported { protocol, destination: ports, source: source_ports }
            }
            Protocol::Number(protocol) => Service::Other(protocol),
        };
        Conditions {
            service,
            family: family.map(OnlyFamily::family),
            remote,
            local: *local,
            numbers: *numbers,
        }
    }

    /// The same packets, with host bits zeroed.
    #[must_use]
    pub fn truncated(self) -> Self {
        let Self { protocol, ports, source_ports, numbers, family, remote, local } = self;
        let remote = match remote {
            Remote::Net(net) => Remote::Net(net.trunc()),
            Remote::Any | Remote::Group(_) | Remote::PrefixList(_) => remote,
        };
        let local = local.map(|net| net.trunc());
        Self { protocol, ports, source_ports, numbers, family, remote, local }
    }

    /// The fields that have a family, and which.
    fn families(
        &self,
        of_list: impl FnOnce(&R::PrefixList) -> Option<Family>,
    ) -> impl Iterator<Item = (MatchField, Family)> {
        let Conditions { service, family, remote, local, numbers: _ } = self.conditions();
        let remote = match remote {
            Remote::Any | Remote::Group(_) => None,
            Remote::Net(net) => Some(family_of(*net)),
            Remote::PrefixList(list) => of_list(list),
        };
        let local = local.map(family_of);
        let fields = [
            (MatchField::Protocol, service.family()),
            (MatchField::Family, family),
            (MatchField::Remote, remote),
            (MatchField::Local, local),
        ];
        fields.into_iter().filter_map(|(field, family)| Some((field, family?)))
    }

    /// The only family whose packets can match, if there is just one. `of_list` is the family of a prefix list, if it has one.
    pub fn only_family(&self, of_list: impl FnOnce(&R::PrefixList) -> Option<Family>) -> Option<Family> {
        self.families(of_list).next().map(|(_, family)| family)
    }

    /// Two fields of different families, if there are any: no packet matches such a rule. `of_list` is as for
    /// [`Self::only_family`].
    pub fn mixed_families(
        &self,
        of_list: impl FnOnce(&R::PrefixList) -> Option<Family>,
    ) -> Option<[(MatchField, Family); 2]> {
        let mut known = self.families(of_list);
        let first = known.next()?;
        known.find(|(_, family)| *family != first.1).map(|second| [first, second])
    }

    /// Whether the fields fit together.
    ///
    /// # Errors
    /// The first that does not.
    pub fn fits(&self) -> Result<(), Misfit> {
        let Self { protocol: _, ports, source_ports, numbers, family: _, remote: _, local: _ } = self;
        let has_ports = !ports.is_any() || !source_ports.is_any();
        let mut given = numbers.by_field().into_iter().filter(|(_, number)| number.is_some());
        let has_message = given.any(|(field, _)| field.scope() == Scope::Icmp);
        match self.conditions().service {
            Service::Ported { .. } if !has_message => Ok(()),
            Service::Ported { .. } => Err(Misfit::Message),
            Service::Icmp { .. }
                if !has_ports && numbers.icmp_type.is_none() && numbers.icmp_code.is_some() =>
            {
                Err(Misfit::CodeWithoutType)
            }
            Service::Icmp { .. } if !has_ports => Ok(()),
            _ if has_ports => Err(Misfit::Ports),
            _ if has_message => Err(Misfit::Message),
            _ => Ok(()),
        }
    }
}

impl<R: References> Service<'_, R> {
    /// The only family whose packets can match, if there is just one.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::Icmp { family, .. } => Some(*family),
            Self::All | Self::Ported { .. } | Self::Other(_) => None,
        }
    }
}

pub(super) const fn family_of(net: IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}

/// In one line, with references as they are.
impl<R: References> Display for Match<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, ports, source_ports, numbers, family, remote, local } = self;
        write!(f, "{protocol}")?;
        for (what, ports) in [("ports", ports), ("from ports", source_ports)] {
            if !ports.is_any() {
                write!(f, " {what} {ports}")?;
            }
        }
        write!(f, "{numbers}")?;
        family.map_or(Ok(()), |family| write!(f, " family {family}"))?;
        write!(f, " remote {remote}")?;
        local.map_or(Ok(()), |local| write!(f, " local {local}"))
    }
}

#[cfg(test)]
mod tests;
