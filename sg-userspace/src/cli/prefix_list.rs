//! `sgctl prefix-list`: named lists of prefixes.

use clap::Subcommand;
use hyper::Method;
use ipnet::IpNet;

use super::{
    address::Address,
    args::{named, prefix, write_time},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    output::Yes,
    session::Session,
    table::{Column, Render},
};
use crate::{
    service::{CreatePrefixList, ListView, ModifyPrefixList},
    store::{Family, PrefixEntry, PrefixList, shortest},
};

const EXAMPLES: &str = "Examples:
  sgctl prefix-list create office --max-entries 10 --entry 203.0.113.0/24 --entry 198.51.100.7='the old line'
  sgctl prefix-list modify office --add 192.0.2.0/24 --remove 198.51.100.7
  sgctl rule add web --direction ingress --protocol tcp --ports 22 --remote prefix-list:office
  sgctl prefix-list associations office";

/// Prefix lists: named lists of prefixes for use in rules.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List prefix lists.
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
    /// Address family of its entries [default: that of the first].
    #[arg(long, value_enum, required_unless_present = "entries")]
    family: Option<Family>,
    /// Maximum number of entries; a rule that names the list counts as so many rules [default: the number given].
    #[arg(long, value_name = "NUMBER", required_unless_present = "entries")]
    max_entries: Option<u32>,
    /// Prefix with a description. May be repeated.
    #[arg(long = "entry", id = "entries", value_name = "PREFIX[=TEXT]", value_parser = entry)]
    entries: Vec<PrefixEntry>,
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
    /// Prefix to add, with a description. May be repeated. An existing one gets the new description.
    #[arg(long, value_name = "PREFIX[=TEXT]", value_parser = entry)]
    add: Vec<PrefixEntry>,
    /// Prefix to remove. May be repeated.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    remove: Vec<IpNet>,
}

fn entry(text: &str) -> Result<PrefixEntry, String> {
    let (net, description) = text.split_once('=').unwrap_or((text, ""));
    Ok(PrefixEntry { cidr: prefix(net)?, description: description.to_owned() })
}

fn family(list: &PrefixList) -> String {
    list.family.map_or_else(|| "both".to_owned(), |family| family.to_string())
}

impl Render for PrefixList {
    const NOUN: &'static str = "prefix list";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |list| list.id.to_string()),
        Column::new("NAME", |list| list.label.name.clone()),
        Column::new("FAMILY", family),
        Column::number("ENTRIES", |list| list.entries.len().to_string()),
        Column::number("MAX", |list| list.max_entries.to_string()),
        Column::wide("REGION", |list| list.region.clone()),
        Column::wide("TAGS", |list| label::tags(&list.label)),
        Column::wide("CREATED", |list| write_time(list.label.created)),
        Column::wide("DESCRIPTION", |list| list.label.description.clone()),
        Column::alone("PREFIXES", |list| {
            let line = |entry: &PrefixEntry| match entry.description.as_str() {
                "" => format!("{}\n", shortest(entry.cidr)),
                text => format!("{} = {text}\n", shortest(entry.cidr)),
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

impl Render for ListView<PrefixList> {
    const NOUN: &'static str = PrefixList::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |view| view.list.id.to_string()),
        Column::new("NAME", |view| view.list.label.name.clone()),
        Column::new("FAMILY", |view| family(&view.list)),
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
    let lists = Address::of(&["prefix-lists"]);
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(lists);
            session.list::<ListView<PrefixList>>(&address, list.length)
        }
        Verb::Show { list } => session.show::<PrefixList>(Address::of(&["prefix-lists", &list])),
        Verb::Create(create) => {
            let first = create.entries.first().map_or(Family::V4, |entry| Family::of(entry.cidr));
            let body = CreatePrefixList {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                family: create.family.unwrap_or(first),
                max_entries: create.max_entries.unwrap_or(create.entries.len() as u32),
                entries: create.entries,
            };
            let list: PrefixList = session.change(Method::POST, lists, &body)?;
            session.output.done("created", &list)
        }
        Verb::Modify(modify) => {
            let body = ModifyPrefixList {
                list: String::new(),
                label: modify.label.into_request(),
                max_entries: modify.max_entries,
                add: modify.add,
                remove: modify.remove,
            };
            let address = Address::of(&["prefix-lists", &modify.list]);
            let list: PrefixList = session.change_one(Method::PATCH, address, "list", &body)?;
            session.output.done("changed", &list)
        }
        Verb::Delete { lists, yes } => session.delete("prefix list", "prefix-lists", &lists, yes),
        Verb::Associations { list } => {
            session.referenced(&Address::of(&["prefix-lists", &list, "associations"]))
        }
    }
}
