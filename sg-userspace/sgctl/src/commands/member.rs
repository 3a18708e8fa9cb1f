//! `sgctl member`: members of groups that are on other hosts, by their addresses.

use std::net::IpAddr;

use clap::Subcommand;
use hyper::Method;
use sg_api_types::ChangeMembers;
use sg_document::Notice;
use sg_model::identifies;
use sg_records::Member;

use crate::{
    args::{Format, Length, named},
    client::Address,
    failure::Failure,
    names::Wanted,
    render::{Column, Render, count},
    session::Session,
};

/// Members of groups on other hosts.
///
/// Members on this host are NICs: see `sgctl nic`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the addresses of a group's members on other hosts.
    List {
        /// Id or name of the group.
        #[arg(value_parser = named())]
        group: String,
        #[command(flatten)]
        length: Length,
    },
    /// Add members by their addresses. Existing ones are not added again.
    #[command(visible_alias = "create")]
    Add(Change),
    /// Remove members by their addresses.
    #[command(visible_alias = "delete")]
    Remove(Change),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Id or name of the group.
    #[arg(value_parser = named())]
    group: String,
    /// IPv4 or IPv6 addresses.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
}

impl Render for Member {
    const NOUN: &'static str = "member";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ADDRESS", |member| member.address.to_string()),
        Column::wide_named("GROUP", |member, names| names.of(&member.group)),
        Column::wide("OWNER", |member| member.owner.clone().unwrap_or_default()),
    ];

    fn id(&self) -> String {
        self.address.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", [&self.group]);
    }
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List { group, length } => {
            session.list_at::<Member>(&Address::of(&["groups", &group, "members"]), length).map(drop)
        }
        Verb::Add(args) => {
            for address in args.addresses.iter().filter(|address| !identifies(**address)) {
                session.output.remark(&format!("warning: {}", Notice::LinkLocalMember { address: *address }));
            }
            let body = ChangeMembers { add: args.addresses, ..ChangeMembers::default() };
            change(&args.group, &body, session)
        }
        Verb::Remove(args) => {
            let body = ChangeMembers { remove: args.addresses, ..ChangeMembers::default() };
            change(&args.group, &body, session)
        }
    }
}

fn change(group: &str, body: &ChangeMembers, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let members: usize =
        session.change_one(Method::POST, Address::of(&["groups", group, "members"]), "group", body)?;
    match session.output.format {
        Format::Table | Format::Wide => {
            session.output.line(&format!("group {group} has {} on other hosts", count(members, "member")))
        }
        Format::Json | Format::Yaml => session.output.data(&serde_json::json!({ "members": members })),
        Format::Name => Ok(()),
    }
}
