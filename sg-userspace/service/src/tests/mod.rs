//! The service on a store and an enforcement that are in memory.

mod authorize;
mod backup;
mod closed;
mod copies;
mod dated;
mod demands;
mod devices;
mod guard;
mod history;
mod interfaces;
mod model;
mod names;
mod operations;
mod pending;
mod uuids;
mod writer;

use jiff::Timestamp;
use sg_records::{
    Direction, Family, Group, ListEntry, Match, Nic, PrefixFamily, Protocol, Rule, RuleSpec, Vpc,
};

use super::{
    Authorize, CreateGroup, CreateList, CreateVpc, NewLabel, Operation, Refusal, RegisterNic, State, Tx,
    perform,
};
use crate::in_memory::{InForce, Remembers};

/// A state that operations change, without a writer.
pub(crate) struct World {
    pub(crate) tx: Tx,
    pub(crate) vpc: Vpc,
}

impl World {
    /// One empty VPC.
    pub(crate) fn new() -> Self {
        let mut tx = Tx::new(State::default(), Timestamp::UNIX_EPOCH);
        let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
        let vpc = CreateVpc { label, ..CreateVpc::default() }.run(&mut tx).unwrap();
        Self { tx, vpc }
    }

    /// Runs an operation, all of it or nothing.
    pub(crate) fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Refusal> {
        let mark = self.tx.mark();
        let result = perform(operation, &mut self.tx);
        self.tx.end();
        if result.is_err() {
            self.tx.go_back(mark);
        }
        result
    }

    /// A basic group in the VPC.
    pub(crate) fn group(&mut self, name: &str) -> Group {
        self.run(&new_group(name, &self.vpc)).unwrap()
    }

    /// A NIC on another host that holds groups.
    pub(crate) fn nic(&mut self, address: &str, groups: &[&str]) -> Nic {
        self.run(&RegisterNic {
            vpc: Some("net".to_owned()),
            addresses: vec![address.parse().unwrap()],
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..RegisterNic::default()
        })
        .unwrap()
    }

    /// Adds a rule.
    pub(crate) fn rule(
        &mut self,
        group: &str,
        direction: Direction,
        spec: RuleSpec,
    ) -> Result<Rule, Refusal> {
        let authorize = Authorize::of(group, direction, vec![spec]);
        self.run(&authorize).map(|mut rules| rules.remove(0))
    }
}

/// A basic group.
pub(crate) fn new_group(name: &str, vpc: &Vpc) -> CreateGroup {
    let label = NewLabel { name: name.to_owned(), ..NewLabel::default() };
    CreateGroup { label, vpc: Some(vpc.id.to_string()), ..CreateGroup::default() }
}

/// The family of an IPv4 prefix list.
pub(crate) const IPV4: PrefixFamily = PrefixFamily { family: Some(Family::V4) };

/// A list of any kind.
pub(crate) fn new_list<E: ListEntry>(
    name: &str,
    extra: E::Extra,
    max_entries: u32,
    entries: Vec<E>,
) -> CreateList<E> {
    let label = NewLabel { name: name.to_owned(), ..NewLabel::default() };
    CreateList { label, region: String::new(), extra, max_entries, entries }
}

/// A rule that accepts TCP to a port from a remote: `any`, a prefix or the id of a group.
pub(crate) fn tcp(port: u16, remote: &str) -> RuleSpec {
    with(RuleSpec::accept(Protocol::Number(6)), |matches| {
        matches.ports = port.to_string().parse().unwrap();
        matches.remote =
            remote.parse().unwrap_or_else(|_| sg_records::Remote::Group(sg_records::GroupId::from(remote)));
    })
}

pub(crate) fn with(mut spec: RuleSpec, change: impl FnOnce(&mut Match)) -> RuleSpec {
    change(&mut spec.matches);
    spec
}
