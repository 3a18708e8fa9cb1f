//! `sgctl group`: security groups themselves.

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, word, write_time, yes_no},
    failure::Failure,
    group_copy::{CloneArgs, RestoreArgs},
    group_file::{ExportArgs, ImportArgs},
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    names::Wanted,
    output::Yes,
    session::Session,
    table::{Column, Render},
};
use crate::{
    service::{CreateGroup, DeleteGroups, GroupView, ModifyGroup},
    store::{Action, Group, GroupType},
};

const EXAMPLES: &str = "Examples:
  sgctl group create web --vpc prod --description 'public web servers'
  sgctl group modify web --inner-access drop
  sgctl group clone web web-test --vpc test
  sgctl group restore web --from web-test --preview
  sgctl group export web rules.csv
  sgctl group delete web-test";

/// Security groups: named sets of rules for the NICs that hold them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List groups.
    List(List),
    /// Show one.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        group: String,
    },
    /// Create a group without rules.
    Create(Create),
    /// Change the given fields; the others are left unchanged.
    Modify(Modify),
    /// Delete groups that have no members and that no rule of another group names. All are deleted, or none.
    Delete {
        /// Ids or names.
        #[arg(required = true, value_name = "GROUP", value_parser = named())]
        groups: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Create a group with the rules of another.
    Clone(CloneArgs),
    /// Copy the rules of another group into a group.
    Restore(RestoreArgs),
    /// List the groups whose rules name a group.
    References {
        /// Id or name.
        #[arg(value_parser = named())]
        group: String,
    },
    /// Export the rules of a group to a file.
    Export(ExportArgs),
    /// Import rules from a file into a group.
    Import(ImportArgs),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only of this type.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<GroupType>,
    /// Only groups that this NIC or instance holds.
    #[arg(long, value_name = "TARGET")]
    held_by: Option<String>,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region; with --vpc the VPC's region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC [default: the classic network].
    #[arg(long)]
    vpc: Option<String>,
    /// Type; a NIC holds groups of one type only.
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "basic")]
    kind: GroupType,
    /// Whether members can reach each other [default: accept for basic, never for enterprise].
    #[arg(long, value_enum)]
    inner_access: Option<InnerAccess>,
}

#[derive(Debug, clap::Args)]
struct Modify {
    /// Id or name.
    #[arg(value_parser = named())]
    group: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// Whether members can reach each other.
    #[arg(long, value_enum)]
    inner_access: Option<InnerAccess>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InnerAccess {
    Accept,
    Drop,
}

fn is_accept(access: InnerAccess) -> bool {
    access == InnerAccess::Accept
}

fn inner_access(group: &Group) -> String {
    word(if group.inner_access { &Action::Accept } else { &Action::Drop })
}

/// As operations return it; it is displayed as a [`GroupView`].
impl Render for Group {
    const NOUN: &'static str = "group";
    const COLUMNS: &'static [Column<Self>] = &[];

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.label.name)
    }
}

impl Render for GroupView {
    const NOUN: &'static str = "group";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |view| view.group.id.to_string()),
        Column::new("NAME", |view| view.group.label.name.clone()),
        Column::new("TYPE", |view| word(&view.group.kind)),
        Column::named("VPC", |view, names| names.all(&view.group.vpc)),
        Column::new("INNER-ACCESS", |view| inner_access(&view.group)),
        Column::number("RULES", |view| view.rules.to_string()),
        Column::number("NICS", |view| view.nics.to_string()),
        Column::number("ELSEWHERE", |view| view.remote_members.to_string()),
        Column::wide("ROOM", |view| view.room.to_string()),
        Column::wide("REGION", |view| view.group.region.clone()),
        Column::wide("DEFAULT", |view| yes_no(view.group.default)),
        Column::wide("OWNER", |view| view.group.label.owner.clone().unwrap_or_default()),
        Column::wide("TAGS", |view| label::tags(&view.group.label)),
        Column::wide("CREATED", |view| write_time(view.group.label.created)),
        Column::wide("DESCRIPTION", |view| view.group.label.description.clone()),
    ];

    fn id(&self) -> String {
        self.group.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.group.label.name)
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("vpcs", &self.group.vpc);
    }
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let groups = Address::of(&["groups"]);
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(groups).with_some("vpc", list.vpc);
            let address = address.with_some("type", list.kind).with_some("target", list.held_by);
            session.list::<GroupView>(&address, list.length)
        }
        Verb::Show { group } => session.show::<GroupView>(Address::of(&["groups", &group])),
        Verb::Create(create) => {
            let body = CreateGroup {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                vpc: create.vpc,
                kind: create.kind,
                inner_access: create.inner_access.map(is_accept),
            };
            let group: Group = session.change(Method::POST, groups, &body)?;
            session.output.done("created", &group)
        }
        Verb::Modify(modify) => {
            let body = ModifyGroup {
                group: String::new(),
                label: modify.label.into_request(),
                inner_access: modify.inner_access.map(is_accept),
            };
            let address = Address::of(&["groups", &modify.group]);
            let group: Group = session.change_one(Method::PATCH, address, "group", &body)?;
            session.output.done("changed", &group)
        }
        Verb::Delete { groups, yes } => {
            session.output.confirm(&format!("Delete group {}?", groups.join(", ")), yes.yes)?;
            let body = DeleteGroups { groups };
            let deleted: Vec<String> =
                session.change(Method::POST, Address::of(&["groups", "delete"]), &body)?;
            session.output.done_ids("deleted", "group", &deleted)
        }
        Verb::Clone(typed) => typed.run(session),
        Verb::Restore(typed) => typed.run(session),
        Verb::References { group } => session.referenced(&Address::of(&["groups", &group, "references"])),
        Verb::Export(typed) => typed.run(session),
        Verb::Import(typed) => typed.run(session),
    }
}
