//! `join` and `leave`, for NICs and instances.

use clap::Args;
use hyper::Method;
use sg_api_types::{Join, Leave};
use sg_records::Nic;

use crate::{
    args::named,
    client::Address,
    failure::Failure,
    render::{Render as _, cell},
    session::Session,
};

/// Add groups.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Ids, names or devices of NICs; an instance means its primary NIC.
    #[arg(required = true, value_name = "TARGET", value_parser = named())]
    targets: Vec<String>,
    /// Id or name of a group. May be repeated.
    #[arg(long = "group", required = true, value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
    /// Position of the first of them among the NIC's groups, from 0. Default: last.
    #[arg(long, value_name = "NUMBER")]
    place: Option<usize>,
}

/// Take groups away.
#[derive(Debug, Args)]
pub(crate) struct LeaveArgs {
    /// Ids, names or devices of NICs; an instance means its primary NIC.
    #[arg(required = true, value_name = "TARGET", value_parser = named())]
    targets: Vec<String>,
    /// Id or name of a group. May be repeated.
    #[arg(long = "group", required = true, value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
}

impl JoinArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.output.without_table()?;
        let body = Join { groups: self.groups, targets: self.targets, place: self.place };
        let nics: Vec<Nic> = session.change(Method::POST, Address::of(&["join"]), &body)?;
        session.ordered(&nics)
    }
}

impl LeaveArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.output.without_table()?;
        let body = Leave { groups: self.groups, targets: self.targets };
        let nics: Vec<Nic> = session.change(Method::POST, Address::of(&["leave"]), &body)?;
        session.ordered(&nics)
    }
}

impl Session<'_> {
    /// Prints the groups that NICs hold now.
    pub(crate) fn ordered(&mut self, nics: &[Nic]) -> Result<(), Failure> {
        let names = self.names_for(nics)?;
        if !self.output.format.is_table() {
            return self.output.many(nics, &names);
        }
        for nic in nics {
            let called = nic.device.as_deref().or(nic.name().filter(|name| !name.is_empty()));
            let called = called.map(|name| format!(" ({name})")).unwrap_or_default();
            let groups = names.all(&nic.groups);
            self.output.line(&format!("NIC {}{called} holds {}", nic.id, cell(&groups)))?;
        }
        Ok(())
    }
}
