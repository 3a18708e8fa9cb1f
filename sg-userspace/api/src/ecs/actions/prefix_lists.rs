//! Actions on prefix lists.

use std::{collections::BTreeSet, sync::Arc};

use ipnet::IpNet;
use serde_json::{Value, json};
use sg_records::{Family, PrefixEntry, PrefixList, PrefixListId};
use sg_service::{CreatePrefixList, DeletePrefixLists, LabelChange, ModifyPrefixList, NewLabel, State};

use super::{
    ErrorContext,
    action::{Action, ActionFuture, CLIENT_TOKEN, Parameter, REGION, TAGS, integer, pages, text, texts},
    pagination::Window,
    region, submit, tags, tags_shown, time,
};
use crate::ecs::{Call, Fault, Response, params::Fields, router::Ecs};

const LIST: Parameter = text("PrefixListId", "").required();
const ENTRIES: &[Parameter] = &[text("Entry.N.Cidr", "").required(), text("Entry.N.Description", "")];
const CHANGED_ENTRIES: &[Parameter] = &[
    text("AddEntry.N.Cidr", "").required(),
    text("AddEntry.N.Description", ""),
    text("RemoveEntry.N.Cidr", "").required(),
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreatePrefixList",
        about: "Creates a prefix list.",
        handler: create,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("PrefixListName", "").required(),
                text("Description", ""),
                text("AddressFamily", "`IPv4` or `IPv6`").required(),
                integer("MaxEntries", "how many entries it may hold at most").required(),
            ],
            ENTRIES,
            TAGS,
        ],
    },
    Action {
        name: "DescribePrefixLists",
        about: "Lists prefix lists.",
        handler: describe,
        parameters: &[
            &[
                REGION,
                texts("PrefixListId", ""),
                text("PrefixListName", ""),
                text("AddressFamily", "`IPv4` or `IPv6`"),
            ],
            TAGS,
            pages!(100),
        ],
    },
    Action {
        name: "DescribePrefixListAttributes",
        about: "Shows the entries of a prefix list.",
        handler: describe_attributes,
        parameters: &[&[REGION, LIST]],
    },
    Action {
        name: "DescribePrefixListAssociations",
        about: "Lists the groups whose rules name a prefix list.",
        handler: describe_associations,
        parameters: &[&[REGION, LIST], pages!(100)],
    },
    Action {
        name: "ModifyPrefixList",
        about: "Changes a prefix list, its entries included.",
        handler: modify,
        parameters: &[
            &[REGION, CLIENT_TOKEN, LIST, text("PrefixListName", ""), text("Description", "")],
            CHANGED_ENTRIES,
        ],
    },
    Action {
        name: "DeletePrefixList",
        about: "Deletes a prefix list that no rule names.",
        handler: delete,
        parameters: &[&[REGION, CLIENT_TOKEN, LIST]],
    },
];

fn family(fields: &Fields<'_>) -> Result<Option<Family>, Fault> {
    match fields.text("AddressFamily") {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("ipv4") => Ok(Some(Family::V4)),
        Some(text) if text.eq_ignore_ascii_case("ipv6") => Ok(Some(Family::V6)),
        Some(_) => {
            let message = "The specified parameter AddressFamily is not valid: IPv4 or IPv6 is expected.";
            Err(Fault::bad("InvalidParameter.AddressFamily", message))
        }
    }
}

/// An address is a prefix of full length. The service refuses host bits.
fn cidr(fields: &Fields<'_>) -> Result<IpNet, Fault> {
    let text = fields.required("Cidr")?;
    let net = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    net.ok_or_else(|| {
        let message = format!("The specified parameter \"{}\" is not valid.", fields.place("Cidr"));
        Fault::bad("InvalidParameter.CidrMalformed", message)
    })
}

fn entries(fields: &Fields<'_>, name: &str) -> Result<Vec<PrefixEntry>, Fault> {
    let entry = |fields: &Fields<'_>| {
        let description = fields.text("Description").unwrap_or_default().to_owned();
        Ok(PrefixEntry { cidr: cidr(fields)?, description })
    };
    fields.objects(name)?.iter().map(entry).collect()
}

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let operation = CreatePrefixList {
            label: NewLabel {
                name: fields.required("PrefixListName")?.to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region(call)?.to_owned(),
            family: family(&fields)?.ok_or_else(|| Fault::missing("AddressFamily"))?,
            max_entries: fields.integer("MaxEntries")?.ok_or_else(|| Fault::missing("MaxEntries"))?,
            entries: entries(&fields, "Entry")?,
        };
        let list = submit(ecs, call, ErrorContext::PrefixList, operation).await?;
        Response::of(&json!({ "PrefixListId": list.id }))
    })
}

/// The list that the call names, in its region.
fn list(state: &State, call: &Call) -> Result<Arc<PrefixList>, Fault> {
    let (region, id) = (region(call)?, PrefixListId::from(call.fields().required("PrefixListId")?));
    let found = state.prefix_list(&id).filter(|list| list.region == region).cloned();
    found.ok_or_else(|| {
        Fault::not_found("InvalidPrefixListId.NotFound", "The specified prefix list does not exist.")
    })
}

/// The groups whose rules name a list.
fn associated(state: &State, list: &PrefixListId) -> BTreeSet<String> {
    state.rules_naming_prefix_list(list).map(|rule| rule.group.to_string()).collect()
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let region = region(call)?;
        let window = Window::read(&fields, 100)?;
        let (ids, family) = (fields.list("PrefixListId")?, family(&fields)?);
        let (name, tags) = (fields.text("PrefixListName"), tags(&fields)?);
        let state = ecs.service.snapshot();
        let admits = |list: &PrefixList| {
            list.region == region
                && (ids.is_empty() || ids.iter().any(|id| id == list.id.as_str()))
                && family.is_none_or(|family| list.family == Some(family))
                && name.is_none_or(|name| list.label.name == name)
                && tags.iter().all(|(key, value)| list.label.tags.get(key) == Some(value))
        };
        let found: Vec<_> = state.prefix_lists().values().filter(|list| admits(list)).collect();
        let (page, mut answer) = window.of(&found, |list| list.id.to_string())?;
        let lists: Vec<Value> = page
            .iter()
            .map(|list| {
                let mut shown = head(list);
                shown["AssociationCount"] = associated(&state, &list.id).len().into();
                shown["ResourceGroupId"] = "".into();
                shown["Tags"] = tags_shown(&list.label);
                shown
            })
            .collect();
        answer.insert("PrefixLists".to_owned(), json!({ "PrefixList": lists }));
        Response::of(&answer)
    })
}

fn head(list: &PrefixList) -> Value {
    json!({
        "PrefixListId": list.id,
        "PrefixListName": list.label.name,
        "AddressFamily": list.family.map_or(String::new(), |family| family.to_string()),
        "MaxEntries": list.max_entries,
        "CreationTime": time(list.label.created),
        "Description": list.label.description,
    })
}

fn describe_attributes<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list(&ecs.service.snapshot(), call)?;
        let entries: Vec<Value> = list
            .entries
            .iter()
            .map(|entry| json!({ "Cidr": entry.cidr.to_string(), "Description": entry.description }))
            .collect();
        let mut answer = head(&list);
        answer["Entries"] = json!({ "Entry": entries });
        Response::of(&answer)
    })
}

fn describe_associations<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let list = list(&state, call)?;
        let window = Window::read(&call.fields(), 100)?;
        let groups: Vec<String> = associated(&state, &list.id).into_iter().collect();
        let (page, mut answer) = window.of(&groups, Clone::clone)?;
        let shown: Vec<Value> = page
            .iter()
            .map(|group| json!({ "ResourceId": group, "ResourceType": "securitygroup" }))
            .collect();
        answer.insert("PrefixListAssociations".to_owned(), json!({ "PrefixListAssociation": shown }));
        Response::of(&answer)
    })
}

fn modify<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let list = list(&ecs.service.snapshot(), call)?;
        let remove: Result<Vec<IpNet>, Fault> = fields.objects("RemoveEntry")?.iter().map(cidr).collect();
        let operation = ModifyPrefixList {
            list: list.id.to_string(),
            label: LabelChange {
                name: fields.text("PrefixListName").map(str::to_owned),
                description: fields.text("Description").map(str::to_owned),
                tags: None,
            },
            max_entries: None,
            add: entries(&fields, "AddEntry")?,
            remove: remove?,
        };
        submit(ecs, call, ErrorContext::PrefixList, operation).await?;
        Ok(Response::done())
    })
}

fn delete<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list(&ecs.service.snapshot(), call)?.id.to_string();
        let operation = DeletePrefixLists { lists: vec![list] };
        submit(ecs, call, ErrorContext::PrefixList, operation).await?;
        Ok(Response::done())
    })
}
