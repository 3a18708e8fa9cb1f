//! `join` and `leave`, as NICs and instances have them.

use clap::Args;
use hyper::Method;

use super::{
    address::Address,
    args::{named, write_ids},
    failure::Failure,
    output::Format,
    session::Session,
    table::Shown as _,
};
use crate::{
    service::{Join, Leave},
    store::Nic,
};

/// Add groups.
#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// Ids, names or devices of NICs; an instance means its primary NIC.
    #[arg(required = true, value_name = "TARGET", value_parser = named())]
    targets: Vec<String>,
    /// A group's id or name; may be said several times.
    #[arg(long = "group", required = true, value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
    /// The place of the first of them among those that are there, from 0 [default: the last].
    #[arg(long, value_name = "NUMBER")]
    place: Option<usize>,
}

/// Take groups away.
#[derive(Debug, Args)]
pub(super) struct LeaveArgs {
    /// Ids, names or devices of NICs; an instance means its primary NIC.
    #[arg(required = true, value_name = "TARGET", value_parser = named())]
    targets: Vec<String>,
    /// A group's id or name; may be said several times.
    #[arg(long = "group", required = true, value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
}

impl JoinArgs {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let body = Join { groups: self.groups, targets: self.targets, place: self.place };
        let nics: Vec<Nic> = session.change(Method::POST, Address::of(&["join"]), &body)?;
        session.all_ordered(&nics)
    }
}

impl LeaveArgs {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let body = Leave { groups: self.groups, targets: self.targets };
        let nics: Vec<Nic> = session.change(Method::POST, Address::of(&["leave"]), &body)?;
        session.all_ordered(&nics)
    }
}

impl Session<'_> {
    /// Says which groups a NIC holds now.
    pub(super) fn ordered(&mut self, nic: &Nic) -> Result<(), Failure> {
        match self.output.format {
            Format::Table | Format::Wide => {
                let name = nic.device.as_deref().or(nic.name().filter(|name| !name.is_empty()));
                let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
                self.output.line(&format!("NIC {}{name} holds {}", nic.id, write_ids(&nic.groups)))
            }
            Format::Json | Format::Yaml | Format::Name => self.output.one(nic),
        }
    }

    /// Says which groups NICs hold now.
    fn all_ordered(&mut self, nics: &[Nic]) -> Result<(), Failure> {
        match self.output.format {
            Format::Table | Format::Wide => nics.iter().try_for_each(|nic| self.ordered(nic)),
            Format::Json | Format::Yaml | Format::Name => self.output.many(nics),
        }
    }
}
