//! `sgctl port-list`: named lists of ports.

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, write_time},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    output::Yes,
    session::Session,
    table::{Column, Render},
};
use crate::{
    service::{CreatePortList, ListView, ModifyPortList},
    store::{PortEntry, PortList, PortSet, PortSetError},
};

const EXAMPLES: &str = "Examples:
  sgctl port-list create web --max-entries 10 --entry 80,443 --entry 8080-8090='the test servers'
  sgctl port-list modify web --add 8443 --remove 8080-8090
  sgctl rule add web --direction ingress --protocol tcp --ports port-list:web
  sgctl port-list associations web";

/// Port lists: named lists of ports for use in rules.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List port lists.
    List(List),
    /// Show a list with its entries.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        list: String,
    },
    /// Create one.
    #[command(after_long_help = EXAMPLES)]
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
struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Maximum number of entries; a rule that names the list counts as so many rules [default: the number given].
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
        Column::new("ID", |list| list.id.to_string()),
        Column::new("NAME", |list| list.label.name.clone()),
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
        Column::new("ID", |view| view.list.id.to_string()),
        Column::new("NAME", |view| view.list.label.name.clone()),
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

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let lists = Address::of(&["port-lists"]);
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(lists);
            session.list::<ListView<PortList>>(&address, list.length)
        }
        Verb::Show { list } => session.show::<PortList>(Address::of(&["port-lists", &list])),
        Verb::Create(create) => {
            let body = CreatePortList {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                max_entries: create.max_entries.unwrap_or(create.entries.len() as u32),
                entries: create.entries,
            };
            let list: PortList = session.change(Method::POST, lists, &body)?;
            session.output.done("created", &list)
        }
        Verb::Modify(modify) => {
            let body = ModifyPortList {
                list: String::new(),
                label: modify.label.into_request(),
                max_entries: modify.max_entries,
                add: modify.add,
                remove: modify.remove,
            };
            let address = Address::of(&["port-lists", &modify.list]);
            let list: PortList = session.change_one(Method::PATCH, address, "list", &body)?;
            session.output.done("changed", &list)
        }
        Verb::Delete { lists, yes } => session.delete("port list", "port-lists", &lists, yes),
        Verb::Associations { list } => {
            session.referenced(&Address::of(&["port-lists", &list, "associations"]))
        }
    }
}
