//! Actions on lists, written once for every kind: `PrefixList` and `PortRangeList` are the vendor's names of the kinds.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use sg_records::{
    Addresses, EntryList, Family, KeyRole, NoExtra, PortEntry, PortSet, PrefixEntry, PrefixFamily,
};
use sg_service::{CreateList, DeleteLists, LabelChange, ModifyList, NewLabel, State, StoredEntry};

use super::{
    action::{Action, ActionFuture},
    common::{region, submit, tags, tags_shown, time},
    filters::has_tags,
    pagination::Window,
    parameter::{
        CLIENT_TOKEN, Parameter, REGION, RESOURCE_GROUP, TAG_FILTER, TAGS, integer, pages, text, texts,
    },
    permission::vendor_range,
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response, params::Fields};

/// The vendor's words for a kind of list.
struct Words {
    id: &'static str,
    name: &'static str,
    list: &'static str,
    lists: &'static str,
    association: &'static str,
    associations: &'static str,
    value: &'static str,
    /// Code and message where a list does not exist.
    not_found: [&'static str; 2],
    /// Whether the actions are of the older form: an array in a response is the only field of an object, entries come with all
    /// fields of their list, and the maximum number of entries cannot change.
    is_old: bool,
}

/// The words of a kind, and the table of its actions.
macro_rules! kind {
    (
        $words:ident, $actions:ident: $entry:ty,
        $list:literal ($noun:literal), value: $value:literal ($form:literal), entries: $entries:literal, is_old: $is_old:literal,
        new: $new:expr, filter: $filter:expr, change: $change:expr
    ) => {
        const $words: Words = Words {
            id: concat!($list, "Id"),
            name: concat!($list, "Name"),
            list: $list,
            lists: concat!($list, "s"),
            association: concat!($list, "Association"),
            associations: concat!($list, "Associations"),
            value: $value,
            not_found: [
                concat!("Invalid", $list, "Id.NotFound"),
                concat!("The specified ", $noun, " does not exist."),
            ],
            is_old: $is_old,
        };

        pub(super) const $actions: &[Action] = &[
            Action {
                name: concat!("Create", $list),
                about: concat!("Creates a ", $noun, "."),
                role: KeyRole::Editor,
                handler: create::<$entry>,
                parameters: &[
                    &[
                        REGION,
                        CLIENT_TOKEN,
                        text(concat!($list, "Name"), "").required(),
                        text("Description", ""),
                    ],
                    $new,
                    &[
                        integer("MaxEntries", "how many entries it may hold at most").required(),
                        text(concat!("Entry.N.", $value), $form).required(),
                        text("Entry.N.Description", ""),
                    ],
                    TAGS,
                    &[RESOURCE_GROUP],
                ],
            },
            Action {
                name: concat!("Describe", $list, "s"),
                about: concat!("Lists ", $noun, "s."),
                role: KeyRole::Viewer,
                handler: describe::<$entry>,
                parameters: &[
                    &[REGION, texts(concat!($list, "Id"), ""), text(concat!($list, "Name"), "")],
                    $filter,
                    TAG_FILTER,
                    pages!(100),
                    &[RESOURCE_GROUP],
                ],
            },
            Action {
                name: concat!("Describe", $list, $entries),
                about: concat!("Shows the entries of a ", $noun, "."),
                role: KeyRole::Viewer,
                handler: describe_entries::<$entry>,
                parameters: &[&[REGION, text(concat!($list, "Id"), "").required()]],
            },
            Action {
                name: concat!("Describe", $list, "Associations"),
                about: concat!("Lists the groups whose rules name a ", $noun, "."),
                role: KeyRole::Viewer,
                handler: describe_associations::<$entry>,
                parameters: &[&[REGION, text(concat!($list, "Id"), "").required()], pages!(100)],
            },
            Action {
                name: concat!("Modify", $list),
                about: concat!("Changes a ", $noun, ", its entries included."),
                role: KeyRole::Editor,
                handler: modify::<$entry>,
                parameters: &[
                    &[
                        REGION,
                        CLIENT_TOKEN,
                        text(concat!($list, "Id"), "").required(),
                        text(concat!($list, "Name"), ""),
                        text("Description", ""),
                    ],
                    $change,
                    &[
                        text(concat!("AddEntry.N.", $value), $form).required(),
                        text("AddEntry.N.Description", ""),
                        text(concat!("RemoveEntry.N.", $value), $form).required(),
                    ],
                ],
            },
            Action {
                name: concat!("Delete", $list),
                about: concat!("Deletes a ", $noun, " that no rule names."),
                role: KeyRole::Editor,
                handler: delete::<$entry>,
                parameters: &[&[REGION, CLIENT_TOKEN, text(concat!($list, "Id"), "").required()]],
            },
        ];
    };
}

kind! {
    PREFIX_LIST, PREFIX_LISTS: PrefixEntry,
    "PrefixList" ("prefix list"), value: "Cidr" ("a prefix, or a range such as `10.0.0.1-10.0.0.9`"), entries: "Attributes", is_old: true,
    new: &[FAMILY.required()], filter: &[FAMILY], change: &[]
}

kind! {
    PORT_LIST, PORT_LISTS: PortEntry,
    "PortRangeList" ("port list"), value: "PortRange" ("`80/80`"), entries: "Entries", is_old: false,
    new: &[], filter: &[], change: &[integer("MaxEntries", "")]
}

const FAMILY: Parameter = text("AddressFamily", "`IPv4` or `IPv6`");

/// A kind of list, as the vendor writes it.
trait VendorEntry: StoredEntry {
    const WORDS: Words;
    const CONTEXT: ErrorContext;

    /// A value, or the code for one that is malformed.
    fn value_of(text: &str) -> Result<Self::Value, &'static str>;

    /// A value in a response.
    fn value_shown(value: &Self::Value) -> String;

    /// Reads the fields that only this kind has. Where all are missing, the result is the default.
    fn extra_of(fields: &Fields<'_>) -> Result<Self::Extra, Fault>;

    /// Reads those fields of a new list.
    fn new_extra_of(fields: &Fields<'_>) -> Result<Self::Extra, Fault>;

    /// Adds those fields to a list in a response.
    fn show_extra(extra: &Self::Extra, shown: &mut Value);
}

impl VendorEntry for PrefixEntry {
    const WORDS: Words = PREFIX_LIST;
    const CONTEXT: ErrorContext = ErrorContext::PrefixList;

    /// An address is a prefix of full length. The service refuses host bits. Ranges, which the vendor does not have, are read as
    /// they are shown, so that whoever sees one can remove it.
    fn value_of(text: &str) -> Result<Addresses, &'static str> {
        text.parse().map_err(|_| "InvalidParameter.CidrMalformed")
    }

    fn value_shown(addresses: &Addresses) -> String {
        addresses.to_string()
    }

    fn extra_of(fields: &Fields<'_>) -> Result<PrefixFamily, Fault> {
        let family = match fields.text(FAMILY.name) {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("ipv4") => Some(Family::V4),
            Some(text) if text.eq_ignore_ascii_case("ipv6") => Some(Family::V6),
            Some(_) => {
                let message = "The specified parameter AddressFamily is not valid: IPv4 or IPv6 is expected.";
                return Err(Fault::bad("InvalidParameter.AddressFamily", message));
            }
        };
        Ok(PrefixFamily { family })
    }

    fn new_extra_of(fields: &Fields<'_>) -> Result<PrefixFamily, Fault> {
        fields.required(FAMILY.name)?;
        Self::extra_of(fields)
    }

    fn show_extra(extra: &PrefixFamily, shown: &mut Value) {
        shown[FAMILY.name] = extra.family.map_or(String::new(), |family| family.to_string()).into();
    }
}

impl VendorEntry for PortEntry {
    const WORDS: Words = PORT_LIST;
    const CONTEXT: ErrorContext = ErrorContext::PortList;

    fn value_of(text: &str) -> Result<PortSet, &'static str> {
        vendor_range(text).map(PortSet::range).ok_or("InvalidParameter.PortRange")
    }

    fn value_shown(ports: &PortSet) -> String {
        let ranges = ports.ranges().iter().map(|range| format!("{}/{}", range.first(), range.last()));
        ranges.collect::<Vec<_>>().join(",")
    }

    fn extra_of(_: &Fields<'_>) -> Result<NoExtra, Fault> {
        Ok(NoExtra {})
    }

    fn new_extra_of(_: &Fields<'_>) -> Result<NoExtra, Fault> {
        Ok(NoExtra {})
    }

    fn show_extra(_: &NoExtra, _: &mut Value) {}
}

fn value<E: VendorEntry>(fields: &Fields<'_>) -> Result<E::Value, Fault> {
    let name = E::WORDS.value;
    E::value_of(fields.required(name)?).map_err(|code| {
        Fault::bad(code, format!("The specified parameter \"{}\" is not valid.", fields.place(name)))
    })
}

fn entries<E: VendorEntry>(fields: &Fields<'_>, name: &str) -> Result<Vec<E>, Fault> {
    let entry = |fields: &Fields<'_>| {
        Ok(E::new(value::<E>(fields)?, fields.text("Description").unwrap_or_default().to_owned()))
    };
    fields.objects(name)?.iter().map(entry).collect()
}

/// An array in a response.
fn array<E: VendorEntry>(element: &str, elements: impl Into<Value>) -> Value {
    let elements = elements.into();
    if E::WORDS.is_old { json!({ (element): elements }) } else { elements }
}

fn create<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let operation = CreateList::<E> {
            label: NewLabel {
                name: fields.required(E::WORDS.name)?.to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region(call)?.to_owned(),
            extra: E::new_extra_of(&fields)?,
            max_entries: fields.integer("MaxEntries")?.ok_or_else(|| Fault::missing("MaxEntries"))?,
            entries: entries(&fields, "Entry")?,
        };
        let list = submit(ecs, call, E::CONTEXT, operation).await?;
        Response::of(&json!({ (E::WORDS.id): list.id }))
    })
}

/// The list that the call names, in its region.
fn list<E: VendorEntry>(state: &State, call: &Call) -> Result<Arc<EntryList<E>>, Fault> {
    let (region, id) = (region(call)?, E::Id::from(call.fields().required(E::WORDS.id)?));
    let found = E::lists(state).get(&id).filter(|list| list.region == region).cloned();
    let [code, message] = E::WORDS.not_found;
    found.ok_or_else(|| Fault::not_found(code, message))
}

/// The groups whose rules name a list.
fn associated<E: VendorEntry>(state: &State, list: &EntryList<E>) -> BTreeSet<String> {
    state.rules_naming(&list.id).map(|rule| rule.group.to_string()).collect()
}

fn describe<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let region = region(call)?;
        let window = Window::read(call, 100)?;
        let (ids, extra) = (fields.list(E::WORDS.id)?, E::extra_of(&fields)?);
        let (name, tagged) = (fields.text(E::WORDS.name), has_tags(&fields)?);
        let state = ecs.service.snapshot();
        let admits = |list: &EntryList<E>| {
            list.region == region
                && (ids.is_empty() || ids.iter().any(|id| **id == *list.id.as_ref()))
                && (extra == E::Extra::default() || list.extra == extra)
                && name.is_none_or(|name| list.label.name == name)
                && tagged(&list.label)
        };
        let found: Vec<_> = E::lists(&state).values().filter(|list| admits(list)).collect();
        let (page, mut response) = window.of(&found, |list| list.id.to_string());
        let lists: Vec<Value> = page
            .iter()
            .map(|list| {
                let mut shown = head(list);
                shown["AssociationCount"] = associated(&state, list).len().into();
                shown["ResourceGroupId"] = "".into();
                shown["Tags"] = array::<E>("Tag", tags_shown(&list.label)["Tag"].take());
                shown
            })
            .collect();
        response.insert(E::WORDS.lists.to_owned(), array::<E>(E::WORDS.list, lists));
        Response::of(&response)
    })
}

fn head<E: VendorEntry>(list: &EntryList<E>) -> Value {
    let mut shown = json!({
        (E::WORDS.id): list.id,
        (E::WORDS.name): list.label.name,
        "MaxEntries": list.max_entries,
        "CreationTime": time(list.label.created),
        "Description": list.label.description,
    });
    E::show_extra(&list.extra, &mut shown);
    shown
}

fn describe_entries<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list::<E>(&ecs.service.snapshot(), call)?;
        let shown = |entry: &E| json!({ (E::WORDS.value): E::value_shown(entry.value()), "Description": entry.description() });
        let entries: Vec<Value> = list.entries.iter().map(shown).collect();
        let mut response = if E::WORDS.is_old { head(&list) } else { json!({ (E::WORDS.id): list.id }) };
        response["Entries"] = array::<E>("Entry", entries);
        Response::of(&response)
    })
}

fn describe_associations<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let list = list::<E>(&state, call)?;
        let window = Window::read(call, 100)?;
        let groups: Vec<String> = associated(&state, &list).into_iter().collect();
        let (page, mut response) = window.of(&groups, Clone::clone);
        let shown: Vec<Value> = page
            .iter()
            .map(|group| json!({ "ResourceId": group, "ResourceType": "securitygroup" }))
            .collect();
        response.insert(E::WORDS.associations.to_owned(), array::<E>(E::WORDS.association, shown));
        Response::of(&response)
    })
}

fn modify<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let list = list::<E>(&ecs.service.snapshot(), call)?;
        let remove: Result<Vec<E::Value>, Fault> =
            fields.objects("RemoveEntry")?.iter().map(value::<E>).collect();
        let operation = ModifyList::<E> {
            list: list.id.to_string(),
            label: LabelChange {
                name: fields.text(E::WORDS.name).map(str::to_owned),
                description: fields.text("Description").map(str::to_owned),
                tags: None,
            },
            max_entries: if E::WORDS.is_old { None } else { fields.integer("MaxEntries")? },
            entries: None,
            add: entries(&fields, "AddEntry")?,
            remove: remove?,
        };
        submit(ecs, call, E::CONTEXT, operation).await?;
        Ok(Response::done())
    })
}

fn delete<'a, E: VendorEntry>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list::<E>(&ecs.service.snapshot(), call)?.id.to_string();
        submit(ecs, call, E::CONTEXT, DeleteLists::<E>::new(vec![list])).await?;
        Ok(Response::done())
    })
}
