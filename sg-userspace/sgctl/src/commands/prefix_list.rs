//! `sgctl prefix-list`: named lists of prefixes.

use clap::Subcommand;
use ipnet::IpNet;
use sg_api_types::{CreatePrefixList, ListView, ModifyPrefixList};
use sg_records::{Family, PrefixEntry, PrefixList, shortest};

use crate::{
    args::{
        filter::Filter,
        label::{self, LabelChangeArgs, NewLabelArgs},
        values::{named, prefix, write_time},
    },
    client::{address::Address, resource::Resource, session::Session},
    failure::Failure,
    render::{
        output::Yes,
        table::{Column, Render, name_or},
    },
};

/// Prefix lists: named lists of prefixes for use in rules.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List prefix lists.
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
    /// Address family of its entries. Default: that of the first.
    #[arg(long, value_enum, required_unless_present = "entries")]
    family: Option<Family>,
    /// Maximum number of entries; a rule that names the list counts as so many rules. Default: the number given.
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
        Column::new("NAME", |list| name_or(&list.label.name, &list.id)),
        Column::wide("ID", |list| list.id.to_string()),
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
        Column::new("NAME", |view| name_or(&view.list.label.name, &view.list.id)),
        Column::wide("ID", |view| view.list.id.to_string()),
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

impl Resource for PrefixList {
    const COLLECTION: &'static str = "prefix-lists";
    const TARGET: &'static str = "list";
    type Item = ListView<PrefixList>;
    type View = PrefixList;
}

pub(crate) fn run(args: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    match args.verb {
        Verb::List { filter } => session.list::<PrefixList>(filter, |address| address),
        Verb::Show { list } => session.show::<PrefixList>(&list).map(drop),
        Verb::Create(create) => {
            let first = create.entries.first().map_or(Family::V4, |entry| Family::of(entry.cidr));
            let body = CreatePrefixList {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                family: create.family.unwrap_or(first),
                max_entries: create.max_entries.unwrap_or(create.entries.len() as u32),
                entries: create.entries,
            };
            session.create::<PrefixList>("created", &body).map(drop)
        }
        Verb::Modify(modify) => {
            let body = ModifyPrefixList {
                list: String::new(),
                label: modify.label.into_request(),
                max_entries: modify.max_entries,
                add: modify.add,
                remove: modify.remove,
            };
            session.modify::<PrefixList>(&modify.list, &body).map(drop)
        }
        Verb::Delete { lists, yes } => session.delete::<PrefixList>(&lists, yes),
        Verb::Associations { list } => {
            session.referenced(&Address::of(&["prefix-lists", &list, "associations"]))
        }
    }
}
