//! `sgctl status`: how things are.

use clap::Args;

use super::{
    address::Address,
    failure::Failure,
    session::Session,
    table::{Column, Shown},
};
use crate::api::native::Status;

/// Show what there is, and whether all of it is in force.
#[derive(Debug, Args)]
pub(super) struct Typed {}

impl Shown for Status {
    const NOUN: &'static str = "agent";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("AGENT", |status| status.instance.clone()),
        Column::new("VERSION", |status| status.version.clone()),
        Column::new("IN FORCE", |status| format!("{} of {} NICs", status.attached, status.local_nics)),
        Column::new("WAITING FOR", |status| status.waiting.join(", ")),
        Column::new("VPCS", |status| status.vpcs.to_string()),
        Column::new("GROUPS", |status| status.groups.to_string()),
        Column::new("RULES", |status| status.rules.to_string()),
        Column::new("NICS", |status| status.nics.to_string()),
        Column::new("INSTANCES", |status| status.instances.to_string()),
        Column::new("PREFIX LISTS", |status| status.prefix_lists.to_string()),
        Column::new("PORT LISTS", |status| status.port_lists.to_string()),
    ];

    fn id(&self) -> String {
        self.instance.clone()
    }
}

pub(super) fn run(_: &Typed, session: &mut Session<'_>) -> Result<(), Failure> {
    session.show::<Status>(Address::of(&["status"]))
}
