//! `sgctl prefix-list` and `sgctl port-list`: named lists, the same commands for every kind.

use std::fmt::Debug;

use clap::Subcommand;
use sg_api_types::{CreateList, ListView, ModifyList};
use sg_records::{EntryList, Family, Label, ListEntry, NoExtra, PortEntry, PrefixEntry, PrefixFamily};

use crate::{
    args::{Filter, LabelChangeArgs, NewLabelArgs, named},
    client::Address,
    failure::Failure,
    render::{Column, Render, Yes, plural},
    resource::Resource,
    session::Session,
};

/// A kind of list as a noun of `sgctl`.
pub(crate) trait ListNoun: ListEntry {
    /// The arguments for the fields that only lists of this kind have.
    type ExtraArgs: clap::Args + Debug;

    const COLLECTION: &'static str;
    const ABOUT: &'static str;
    /// A value in a help text, at the start of a sentence.
    const VALUE: &'static str;
    /// The placeholder for a value, and for a value with a description.
    const VALUE_NAMES: [&'static str; 2];
    /// The title of a list's values.
    const VALUES: &'static str;
    /// The title of the fields that only lists of this kind have.
    const EXTRA: Option<&'static str>;

    /// These fields of a new list.
    fn extra(args: Self::ExtraArgs, entries: &[Self]) -> Self::Extra;

    fn write_extra(extra: &Self::Extra) -> String;
}

/// The family of a prefix list.
#[derive(Debug, clap::Args)]
pub(crate) struct FamilyArg {
    /// Address family of its entries. Default: that of the first.
    #[arg(long, value_enum, required_unless_present = "entries")]
    family: Option<Family>,
}

impl ListNoun for PrefixEntry {
    type ExtraArgs = FamilyArg;

    const COLLECTION: &'static str = "prefix-lists";
    const ABOUT: &'static str = "Prefix lists: named lists of prefixes and ranges for use in rules";
    const VALUE: &'static str = "Prefix or range such as 10.0.0.1-10.0.0.9";
    const VALUE_NAMES: [&'static str; 2] = ["ADDRESSES", "ADDRESSES[=TEXT]"];
    const VALUES: &'static str = "ADDRESSES";
    const EXTRA: Option<&'static str> = Some("FAMILY");

    fn extra(args: FamilyArg, entries: &[Self]) -> PrefixFamily {
        let first = || entries.first().map(|entry| Family::of(entry.addresses));
        PrefixFamily { family: args.family.or_else(first) }
    }

    fn write_extra(extra: &PrefixFamily) -> String {
        extra.family.map_or_else(|| "both".to_owned(), |family| family.to_string())
    }
}

impl ListNoun for PortEntry {
    type ExtraArgs = ();

    const COLLECTION: &'static str = "port-lists";
    const ABOUT: &'static str = "Port lists: named lists of ports for use in rules";
    const VALUE: &'static str = "Ports";
    const VALUE_NAMES: [&'static str; 2] = ["PORTS", "PORTS[=TEXT]"];
    const VALUES: &'static str = "PORTS";
    const EXTRA: Option<&'static str> = None;

    fn extra((): (), _: &[Self]) -> NoExtra {
        NoExtra {}
    }

    fn write_extra(_: &NoExtra) -> String {
        String::new()
    }
}

#[derive(Debug, clap::Args)]
#[command(about = E::ABOUT)]
pub(crate) struct Args<E: ListNoun> {
    #[command(subcommand)]
    verb: Verb<E>,
}

#[derive(Debug, Subcommand)]
enum Verb<E: ListNoun> {
    #[command(about = format!("List {}", plural(E::NOUN)))]
    List {
        #[command(flatten)]
        filter: Filter,
    },
    #[command(about = format!("Show a {} with its entries", E::NOUN))]
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        list: String,
    },
    #[command(about = format!("Create a {}", E::NOUN))]
    Create(Create<E>),
    #[command(about = format!(
        "Change a {}. Unspecified fields are left unchanged. Every rule that names it follows", E::NOUN
    ))]
    Modify(Modify<E>),
    #[command(about = format!("Delete {}, which no rule may name without --with-rules", plural(E::NOUN)))]
    Delete {
        /// Ids or names.
        #[arg(required = true, value_name = "LIST", value_parser = named())]
        lists: Vec<String>,
        /// Also delete the rules that name them, in every group.
        #[arg(long)]
        with_rules: bool,
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = format!("List the groups whose rules name a {}", E::NOUN))]
    Associations {
        /// Id or name.
        #[arg(value_parser = named())]
        list: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create<E: ListNoun> {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region. Default: local.
    #[arg(long)]
    region: Option<String>,
    #[command(flatten)]
    extra: E::ExtraArgs,
    /// Maximum number of entries; a rule that names the list counts as so many rules. Default: the number given.
    #[arg(long, value_name = "NUMBER", required_unless_present = "entries")]
    max_entries: Option<u32>,
    #[arg(
        long = "entry",
        id = "entries",
        value_name = E::VALUE_NAMES[1],
        value_parser = entry::<E>,
        help = format!("{} with a description. May be repeated", E::VALUE)
    )]
    entries: Vec<E>,
}

#[derive(Debug, clap::Args)]
struct Modify<E: ListNoun> {
    /// Id or name.
    #[arg(value_parser = named())]
    list: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// Maximum number of entries.
    #[arg(long, value_name = "NUMBER")]
    max_entries: Option<u32>,
    #[arg(
        long = "entry",
        id = "entries",
        value_name = E::VALUE_NAMES[1],
        value_parser = entry::<E>,
        conflicts_with_all = ["add", "remove"],
        help = format!("{} with a description, in place of all entries there are. May be repeated", E::VALUE)
    )]
    entries: Option<Vec<E>>,
    #[arg(
        long,
        value_name = E::VALUE_NAMES[1],
        value_parser = entry::<E>,
        help = format!("{} to add, with a description. May be repeated. An existing entry gets the new description", E::VALUE)
    )]
    add: Vec<E>,
    #[arg(
        long,
        value_name = E::VALUE_NAMES[0],
        value_parser = E::parse,
        help = format!("{} to remove. May be repeated", E::VALUE)
    )]
    remove: Vec<E::Value>,
}

fn entry<E: ListNoun>(text: &str) -> Result<E, String> {
    let (value, description) = text.split_once('=').unwrap_or((text, ""));
    Ok(E::new(E::parse(value)?, description.to_owned()))
}

impl<E: ListNoun> Render for EntryList<E> {
    const NOUN: &'static str = <E as ListEntry>::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::optional(E::EXTRA, |list| E::write_extra(&list.extra)),
        Column::number("ENTRIES", |list| list.entries.len().to_string()),
        Column::number("MAX", |list| list.max_entries.to_string()),
        Column::wide("REGION", |list| list.region.clone()),
        Column::alone(E::VALUES, |list| {
            let line = |entry: &E| match (E::show(entry.value()), entry.description()) {
                (value, "") => format!("{value}\n"),
                (value, text) => format!("{value} = {text}\n"),
            };
            list.entries.iter().map(line).collect()
        }),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|list| &list.label);

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl<E: ListNoun> Render for ListView<EntryList<E>> {
    const NOUN: &'static str = <E as ListEntry>::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::optional(E::EXTRA, |view| E::write_extra(&view.list.extra)),
        Column::number("ENTRIES", |view| view.list.entries.len().to_string()),
        Column::number("MAX", |view| view.list.max_entries.to_string()),
        Column::number("GROUPS", |view| view.associations.to_string()),
        Column::wide("REGION", |view| view.list.region.clone()),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|view| &view.list.label);

    fn id(&self) -> String {
        self.list.id()
    }
}

impl<E: ListNoun> Resource for EntryList<E> {
    const COLLECTION: &'static str = <E as ListNoun>::COLLECTION;
    const TARGET: &'static str = "list";
    type Item = ListView<Self>;
    type View = Self;
}

pub(crate) fn run<E: ListNoun>(args: Args<E>, session: &mut Session<'_>) -> Result<(), Failure> {
    match args.verb {
        Verb::List { filter } => session.list::<EntryList<E>>(filter, |address| address),
        Verb::Show { list } => session.show::<EntryList<E>>(&list).map(drop),
        Verb::Create(create) => {
            let body = CreateList::<E> {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                extra: E::extra(create.extra, &create.entries),
                max_entries: create.max_entries.unwrap_or(create.entries.len() as u32),
                entries: create.entries,
            };
            session.create::<EntryList<E>>("created", &body).map(drop)
        }
        Verb::Modify(modify) => {
            let body = ModifyList::<E> {
                list: String::new(),
                label: modify.label.into_request(),
                max_entries: modify.max_entries,
                entries: modify.entries,
                add: modify.add,
                remove: modify.remove,
            };
            session.modify::<EntryList<E>>(&modify.list, &body).map(drop)
        }
        Verb::Delete { lists, with_rules: true, yes } => {
            let and = ", and the rules that name it";
            session.delete_with::<EntryList<E>>(&lists, yes, and, |address| address.with("with_rules", true))
        }
        Verb::Delete { lists, with_rules: false, yes } => session.delete::<EntryList<E>>(&lists, yes),
        Verb::Associations { list } => {
            session.referenced(&Address::of(&[E::COLLECTION, &list, "associations"]))
        }
    }
}
