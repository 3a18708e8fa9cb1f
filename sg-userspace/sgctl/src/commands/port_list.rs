//! `sgctl port-list`: named lists of ports.

use clap::Subcommand;
use sg_api_types::{CreatePortList, ListView, ModifyPortList};
use sg_records::{PortEntry, PortList, PortSet, PortSetError};

use crate::{
    args::{
        filter::Filter,
        label::{self, LabelChangeArgs, NewLabelArgs},
        values::{named, write_time},
    },
    client::{address::Address, resource::Resource, session::Session},
    failure::Failure,
    render::{
        output::Yes,
        table::{Column, Render, name_or},
    },
};

/// Port lists: named lists of ports for use in rules.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List port lists.
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show a list with its entries.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        list: String,
    },
    /// Create one.
    Create(Create),
    /// Change the given fields; the others are left unchanged. Every rule that names it follows.
    Modify(Modify),
    /// Delete lists that no rule names.
    Delete {
        /// Ids or names.
        #[arg(required = true, value_name = "LIST", value_parser = named())]
        lists: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// List the rules that name a list.
    Associations {
        /// Id or name.
        #[arg(value_parser = named())]
        list: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Maximum number of entries; a rule that names the list counts as so many rules. Default: the number given.
    #[arg(long, value_name = "NUMBER", required_unless_present = "entries")]
    max_entries: Option<u32>,
    /// Ports with a description. May be repeated.
    #[arg(long = "entry", id = "entries", value_name = "PORTS[=TEXT]", value_parser = entry)]
    entries: Vec<PortEntry>,
}

#[derive(Debug, clap::Args)]
struct Modify {
    /// Id or name.
    #[arg(value_parser = named())]
    list: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// Maximum number of entries.
    #[arg(long, value_name = "NUMBER")]
    max_entries: Option<u32>,
    /// Ports to add, with a description. May be repeated. Existing ports get the new description.
    #[arg(long, value_name = "PORTS[=TEXT]", value_parser = entry)]
    add: Vec<PortEntry>,
    /// Ports to remove. May be repeated.
    #[arg(long, value_name = "PORTS")]
    remove: Vec<PortSet>,
}

fn entry(text: &str) -> Result<PortEntry, String> {
    let (set, description) = text.split_once('=').unwrap_or((text, ""));
    let ports = set.parse().map_err(|error: PortSetError| error.to_string())?;
    Ok(PortEntry { ports, description: description.to_owned() })
}

impl Render for PortList {
    const NOUN: &'static str = "port list";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("NAME", |list| name_or(&list.label.name, &list.id)),
        Column::wide("ID", |list| list.id.to_string()),
        Column::number("ENTRIES", |list| list.entries.len().to_string()),
        Column::number("MAX", |list| list.max_entries.to_string()),
        Column::wide("REGION", |list| list.region.clone()),
        Column::wide("TAGS", |list| label::tags(&list.label)),
        Column::wide("CREATED", |list| write_time(list.label.created)),
        Column::wide("DESCRIPTION", |list| list.label.description.clone()),
        Column::alone("PORTS", |list| {
            let line = |entry: &PortEntry| match entry.description.as_str() {
                "" => format!("{}\n", entry.ports),
                text => format!("{} = {text}\n", entry.ports),
            };
            list.entries.iter().map(line).collect()
        }),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.label.name)
    }
}

impl Render for ListView<PortList> {
    const NOUN: &'static str = PortList::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("NAME", |view| name_or(&view.list.label.name, &view.list.id)),
        Column::wide("ID", |view| view.list.id.to_string()),
        Column::number("ENTRIES", |view| view.list.entries.len().to_string()),
        Column::number("MAX", |view| view.list.max_entries.to_string()),
        Column::number("GROUPS", |view| view.associations.to_string()),
        Column::wide("REGION", |view| view.list.region.clone()),
        Column::wide("TAGS", |view| label::tags(&view.list.label)),
        Column::wide("CREATED", |view| write_time(view.list.label.created)),
        Column::wide("DESCRIPTION", |view| view.list.label.description.clone()),
    ];

    fn id(&self) -> String {
        self.list.id()
    }
}

impl Resource for PortList {
    const COLLECTION: &'static str = "port-lists";
    const TARGET: &'static str = "list";
    type Item = ListView<PortList>;
    type View = PortList;
}

pub(crate) fn run(args: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    match args.verb {
        Verb::List { filter } => session.list::<PortList>(filter, |address| address),
        Verb::Show { list } => session.show::<PortList>(&list).map(drop),
        Verb::Create(create) => {
            let body = CreatePortList {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                max_entries: create.max_entries.unwrap_or(create.entries.len() as u32),
                entries: create.entries,
            };
            session.create::<PortList>("created", &body).map(drop)
        }
        Verb::Modify(modify) => {
            let body = ModifyPortList {
                list: String::new(),
                label: modify.label.into_request(),
                max_entries: modify.max_entries,
                add: modify.add,
                remove: modify.remove,
            };
            session.modify::<PortList>(&modify.list, &body).map(drop)
        }
        Verb::Delete { lists, yes } => session.delete::<PortList>(&lists, yes),
        Verb::Associations { list } => {
            session.referenced(&Address::of(&["port-lists", &list, "associations"]))
        }
    }
}
