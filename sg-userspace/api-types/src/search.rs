//! Request and response of `POST /v1/search`: which packets that start a flow get some verdict of what is in force, exactly.
//!
//! These types must never search. The native API and `sgctl` run the request; the response is displayed by `sgctl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sg_common::packet::{Family, has_ports, protocol};
use sg_model::{End, HeaderNumbers, Indices, Over, Packets, Resolve, flat, schema_of};
use sg_records::{Action, Direction, GroupId, Ids, Match, Ports, Protocol, Remote};
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};

use super::{DiffOutcome, LinePackets};

flat! {
    of packets;
    /// The packets that start a flow and get one of some verdicts.
    @[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    @[serde(from = "FlatSearch", into = "FlatSearch")]
    pub struct Search as
    #[derive(Default, Serialize, Deserialize, ToSchema)]
    #[serde(rename = "Search", default, deny_unknown_fields)]
    FlatSearch {
        /// Only this NIC: its device or, in a store, its id or name. Excludes `group`. Default: all.
        pub nic: Option<String>,
        /// Only NICs that hold this group: its id or name.
        pub group: Option<GroupId>,
        /// Only this direction, as seen by the NIC's owner. Default: both.
        pub direction: Option<Direction>,
        /// Only this family: 4 or 6. Default: both.
        pub family: Option<u8>,
        /// Verdicts: `accept`, `drop`, `reject`. Default: `accept`.
        pub verdict: Vec<Action>,
        /// Only what a rule with this id or name decides.
        pub rule: Option<String>,
        /// Remotes: addresses, prefixes, `{"group": …}` or `{"prefix_list": …}`. Default: any.
        pub remote: Vec<Remote>,
        /// But not these remotes.
        pub not_remote: Vec<Remote>,
        /// Local addresses, written like `remote`. Default: any.
        pub local: Vec<Remote>,
        /// But not these local addresses.
        pub not_local: Vec<Remote>,
        /// Protocol. Default: all; with ports, each that has them.
        pub protocol: Option<Protocol>,
        /// Destination ports. Default: any.
        pub ports: Option<Ports>,
        /// Source ports. Default: any.
        pub source_ports: Option<Ports>,
    } ..numbers {}
}
schema_of! { Search: FlatSearch }

/// Why the fields of a [`Search`] describe no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoSearch {
    /// Two selections of NICs.
    #[error("say a NIC or a group, not both")]
    TwoSelections,
    /// Another family.
    #[error("family: allowed are 4 and 6")]
    Family,
    /// Fields of different protocols.
    #[error(
        "ports belong to tcp, udp, sctp, 33 and 136, a type and a code to icmp and icmpv6: no packet has both, nor those of \
         another protocol"
    )]
    Mixed,
    /// A code without a type.
    #[error("a code means nothing without a type: give icmp_type, too")]
    CodeWithoutType,
}

impl Search {
    /// What is wrong with it by itself.
    ///
    /// # Errors
    /// The first that is.
    pub fn check(&self) -> Result<(), NoSearch> {
        if self.nic.is_some() && self.group.is_some() {
            return Err(NoSearch::TwoSelections);
        }
        if self.family.is_some_and(|family| !matches!(family, 4 | 6)) {
            return Err(NoSearch::Family);
        }
        self.protocols().map(drop)
    }

    /// The packets in a policy, over some of its NICs, with the references found by `to`.
    ///
    /// # Errors
    /// The first reference that `to` does not find.
    pub fn packets<E>(
        &self,
        over: Over,
        to: &mut impl Resolve<Ids, Indices, Error = E>,
    ) -> Result<Packets, E> {
        let Self { direction, family, remote, not_remote, local, not_local, .. } = self;
        let mut all = |remotes: &[Remote]| -> Result<Vec<_>, E> {
            remotes.iter().map(|remote| remote.try_map(to)).collect()
        };
        let mut end = |of: &[Remote], not_of: &[Remote]| {
            let of = all(of)?;
            let is_any = of.contains(&sg_model::Remote::Any);
            Ok(End { of: if is_any { Vec::new() } else { of }, not_of: all(not_of)? })
        };
        let (remote, local) = (end(remote, not_remote)?, end(local, not_local)?);
        let service = |protocol| {
            let one = Match {
                ports: self.ports.clone().unwrap_or_default(),
                source_ports: self.source_ports.clone().unwrap_or_default(),
                numbers: self.numbers,
                ..Match::of(protocol)
            };
            one.try_map(to)
        };
        let services =
            self.protocols().unwrap_or_default().into_iter().map(service).collect::<Result<_, E>>()?;
        let family = family.map(|family| if family == 4 { Family::V4 } else { Family::V6 });
        Ok(Packets { over, direction: direction.map(Into::into), family, remote, local, services })
    }

    /// The verdicts.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Action> {
        if self.verdict.is_empty() { vec![Action::Accept] } else { self.verdict.clone() }
    }

    /// The protocols that have the given fields.
    fn protocols(&self) -> Result<Vec<Protocol>, NoSearch> {
        let HeaderNumbers { icmp_type, icmp_code, .. } = self.numbers;
        let has_message = icmp_type.is_some() || icmp_code.is_some();
        let with_ports = self.ports.is_some() || self.source_ports.is_some();
        let written = self.protocol.filter(|protocol| *protocol != Protocol::All);
        let protocols: Vec<Protocol> = match written {
            Some(one) => vec![one],
            None if with_ports && has_message => Vec::new(),
            None if with_ports => (0..=u8::MAX).filter(|one| has_ports(*one)).map(Protocol::Number).collect(),
            None if has_message => [protocol::ICMP, protocol::ICMPV6].map(Protocol::Number).into(),
            None => vec![Protocol::All],
        };
        let is_of = |one: &Protocol| match one {
            Protocol::All => !with_ports && !has_message,
            Protocol::Number(number) => {
                (!with_ports || has_ports(*number))
                    && (!has_message || matches!(*number, protocol::ICMP | protocol::ICMPV6))
            }
        };
        if protocols.is_empty() || !protocols.iter().all(is_of) {
            return Err(NoSearch::Mixed);
        }
        if icmp_code.is_some() && icmp_type.is_none() {
            return Err(NoSearch::CodeWithoutType);
        }
        Ok(protocols)
    }
}

/// How much of what is found is returned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FoundQuery {
    /// Return every line, whatever `limit` is. Default: false.
    pub all: bool,
    /// Maximum number of lines to return. Range: 0 to 100,000. Default: 1,000.
    pub limit: Option<u32>,
    /// How long it may take, in seconds. Range: 1 to 3. Default: 3. What is not known by then is in `undecided`.
    pub time: Option<u32>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Sets of packets, NIC by NIC, those with any remote first. They do not overlap.
    pub lines: Vec<FoundLine>,
    /// Number of lines beyond the limit.
    pub left_out: usize,
    /// NICs of which there was no time to find out.
    pub undecided: Vec<UndecidedNic>,
    /// Names of the ids in this response, in a store.
    pub names: BTreeMap<String, String>,
    /// Whether nothing can be found, whatever is accepted: no NIC or no packet is meant, or no rule has the id.
    pub idle: bool,
}

/// Packets that one decider decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundLine {
    /// The packets.
    #[serde(flatten)]
    pub packets: LinePackets,
    /// What decides.
    #[serde(flatten)]
    pub outcome: DiffOutcome,
    /// A packet of the line, as `sgctl check probes` takes it.
    #[schema(value_type = Object)]
    pub sample: Value,
    /// The line in words. Its wording may change.
    pub text: String,
}

/// A NIC of which is not known what was searched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UndecidedNic {
    /// Device of the NIC.
    pub nic: String,
    /// Direction.
    pub direction: Direction,
    /// 4 or 6.
    pub family: u8,
}
