//! `sgctl group`: security groups themselves.

mod copy;
mod file;

use clap::Subcommand;
use hyper::Method;
use sg_api_types::{CreateGroup, DeleteGroups, GroupTemplate, GroupView, ModifyGroup, Reference};
use sg_records::{Action, Group, GroupType, Label};

use crate::{
    args::{Filter, LabelChangeArgs, NewLabelArgs, named, word, write_ids, yes_no},
    client::Address,
    failure::Failure,
    names::{Names, Wanted},
    render::{Column, Render, Yes, name_or},
    resource::Resource,
    session::Session,
};
use copy::{CloneArgs, RestoreArgs};
use file::{ExportArgs, ImportArgs};

/// Security groups: named sets of rules for the NICs that hold them.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List groups.
    List(List),
    /// Show a group.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        group: String,
    },
    /// Create a group, without rules or with those of a template.
    Create(Create),
    /// Change a group. Unspecified fields are left unchanged.
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
    /// List the groups whose rules name this group.
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
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means without a VPC.
    #[arg(long)]
    vpc: Option<String>,
    /// Only of this type.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<GroupType>,
    /// Only groups that this NIC or instance holds.
    #[arg(long, value_name = "TARGET")]
    held_by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region; with --vpc the VPC's region. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC. Default: the classic network; a closed group belongs to its region, and NICs of every VPC may hold it.
    #[arg(long)]
    vpc: Option<String>,
    /// Type; a NIC holds groups of one type only.
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "basic")]
    kind: GroupType,
    /// Whether members can reach each other. Default: accept for basic, never for enterprise and closed.
    #[arg(long, value_enum)]
    inner_access: Option<InnerAccess>,
    /// Rules that the group begins with.
    #[arg(long, value_enum, value_name = "TEMPLATE", default_value = "none")]
    template: Template,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Modify {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Template {
    /// No rules
    None,
    /// Those of the clouds' consoles: web, SSH, RDP and ping from every IPv4 address; closed: from itself, and everything outbound
    Standard,
}

impl From<Template> for GroupTemplate {
    fn from(template: Template) -> Self {
        match template {
            Template::None => Self::None,
            Template::Standard => Self::Standard,
        }
    }
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
    const LABEL: Option<fn(&Self) -> &Label> = Some(|group| &group.label);

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Render for GroupView {
    const NOUN: &'static str = "group";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("TYPE", |view| word(&view.group.kind)),
        Column::named("VPC", |view, names| {
            if view.group.is_regional() { "(every)".to_owned() } else { names.all(&view.group.vpc) }
        }),
        Column::new("INNER-ACCESS", |view| inner_access(&view.group)),
        Column::number("RULES", |view| view.rules.to_string()),
        Column::number("NICS", |view| view.nics.to_string()),
        Column::number("ELSEWHERE", |view| view.remote_members.to_string()),
        Column::wide("ROOM", |view| view.room.to_string()),
        Column::wide("REGION", |view| view.group.region.clone()),
        Column::wide("DEFAULT", |view| yes_no(view.group.default)),
        Column::wide("OWNER", |view| view.group.label.owner.clone().unwrap_or_default()),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|view| &view.group.label);

    fn id(&self) -> String {
        self.group.id.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("vpcs", &self.group.vpc);
    }
}

impl Render for Reference {
    const NOUN: &'static str = "reference";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("GROUP", |reference| name_or(&reference.name, &reference.group)),
        Column::wide("ID", |reference| reference.group.to_string()),
        Column::number("RULES", |reference| reference.rules.len().to_string()),
        Column::wide("RULE-IDS", |reference| write_ids(&reference.rules)),
    ];

    fn id(&self) -> String {
        self.group.to_string()
    }
}

impl Resource for Group {
    const COLLECTION: &'static str = "groups";
    const TARGET: &'static str = "group";
    type Item = GroupView;
    type View = GroupView;
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => session.list::<Group>(list.filter, |address| {
            let address = address.with_some("vpc", list.vpc).with_some("type", list.kind);
            address.with_some("target", list.held_by)
        }),
        Verb::Show { group } => session.show::<Group>(&group).map(drop),
        Verb::Create(create) => {
            let body = CreateGroup {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                vpc: create.vpc,
                kind: create.kind,
                inner_access: create.inner_access.map(is_accept),
                template: create.template.into(),
            };
            session.create::<Group>("created", &body).map(drop)
        }
        Verb::Modify(modify) => {
            let body = ModifyGroup {
                group: String::new(),
                label: modify.label.into_request(),
                inner_access: modify.inner_access.map(is_accept),
            };
            session.modify::<Group>(&modify.group, &body).map(drop)
        }
        Verb::Delete { groups, yes } => {
            session.output.without_table()?;
            session.output.confirm(&format!("Delete group {}?", groups.join(", ")), yes.yes)?;
            let body = DeleteGroups { groups };
            let deleted: Vec<String> =
                session.change(Method::POST, Address::of(&["groups", "delete"]), &body)?;
            session.output.done_ids("deleted", "group", &deleted)
        }
        Verb::Clone(args) => args.run(session),
        Verb::Restore(args) => args.run(session),
        Verb::References { group } => session.referenced(&Address::of(&["groups", &group, "references"])),
        Verb::Export(args) => args.run(session),
        Verb::Import(args) => args.run(session),
    }
}

impl Session<'_> {
    /// Lists the groups at an address.
    pub(crate) fn referenced(&mut self, address: &Address) -> Result<(), Failure> {
        let references: Vec<Reference> = self.get(address.clone())?;
        self.output.many(&references, &Names::default())
    }
}
