//! Actions on port lists. Their responses have plain arrays, unlike those of all older actions.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use sg_records::{PortEntry, PortList, PortListId, PortSet};
use sg_service::{CreatePortList, DeletePortLists, LabelChange, ModifyPortList, NewLabel, State};

use super::{
    ErrorContext,
    action::{Action, ActionFuture, CLIENT_TOKEN, Parameter, REGION, TAGS, integer, pages, text, texts},
    pagination::Window,
    permission::vendor_range,
    region, submit, tags, tags_shown, time,
};
use crate::ecs::{Call, Fault, Response, params::Fields, router::Ecs};

const LIST: Parameter = text("PortRangeListId", "").required();
const ENTRIES: &[Parameter] =
    &[text("Entry.N.PortRange", "`80/80`").required(), text("Entry.N.Description", "")];
const CHANGED_ENTRIES: &[Parameter] = &[
    text("AddEntry.N.PortRange", "`80/80`").required(),
    text("AddEntry.N.Description", ""),
    text("RemoveEntry.N.PortRange", "`80/80`").required(),
];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreatePortRangeList",
        about: "Creates a port list.",
        handler: create,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                text("PortRangeListName", "").required(),
                text("Description", ""),
                integer("MaxEntries", "how many entries it may hold at most").required(),
            ],
            ENTRIES,
            TAGS,
        ],
    },
    Action {
        name: "DescribePortRangeLists",
        about: "Lists port lists.",
        handler: describe,
        parameters: &[
            &[REGION, texts("PortRangeListId", ""), text("PortRangeListName", "")],
            TAGS,
            pages!(100),
        ],
    },
    Action {
        name: "DescribePortRangeListEntries",
        about: "Shows the entries of a port list.",
        handler: describe_entries,
        parameters: &[&[REGION, LIST]],
    },
    Action {
        name: "DescribePortRangeListAssociations",
        about: "Lists the groups whose rules name a port list.",
        handler: describe_associations,
        parameters: &[&[REGION, LIST], pages!(100)],
    },
    Action {
        name: "ModifyPortRangeList",
        about: "Changes a port list, its entries included.",
        handler: modify,
        parameters: &[
            &[
                REGION,
                CLIENT_TOKEN,
                LIST,
                text("PortRangeListName", ""),
                text("Description", ""),
                integer("MaxEntries", ""),
            ],
            CHANGED_ENTRIES,
        ],
    },
    Action {
        name: "DeletePortRangeList",
        about: "Deletes a port list that no rule names.",
        handler: delete,
        parameters: &[&[REGION, CLIENT_TOKEN, LIST]],
    },
];

fn ports(fields: &Fields<'_>) -> Result<PortSet, Fault> {
    let text = fields.required("PortRange")?;
    vendor_range(text).map(PortSet::range).ok_or_else(|| {
        let message = format!("The specified parameter \"{}\" is not valid.", fields.place("PortRange"));
        Fault::bad("InvalidParameter.PortRange", message)
    })
}

fn entries(fields: &Fields<'_>, name: &str) -> Result<Vec<PortEntry>, Fault> {
    let entry = |fields: &Fields<'_>| {
        let description = fields.text("Description").unwrap_or_default().to_owned();
        Ok(PortEntry { ports: ports(fields)?, description })
    };
    fields.objects(name)?.iter().map(entry).collect()
}

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let operation = CreatePortList {
            label: NewLabel {
                name: fields.required("PortRangeListName")?.to_owned(),
                description: fields.text("Description").unwrap_or_default().to_owned(),
                tags: tags(&fields)?,
            },
            region: region(call)?.to_owned(),
            max_entries: fields.integer("MaxEntries")?.ok_or_else(|| Fault::missing("MaxEntries"))?,
            entries: entries(&fields, "Entry")?,
        };
        let list = submit(ecs, call, ErrorContext::PortList, operation).await?;
        Response::of(&json!({ "PortRangeListId": list.id }))
    })
}

/// The list that the call names, in its region.
fn list(state: &State, call: &Call) -> Result<Arc<PortList>, Fault> {
    let (region, id) = (region(call)?, PortListId::from(call.fields().required("PortRangeListId")?));
    let found = state.port_list(&id).filter(|list| list.region == region).cloned();
    let missing =
        || Fault::not_found("InvalidPortRangeListId.NotFound", "The specified port list does not exist.");
    found.ok_or_else(missing)
}

/// The groups whose rules name a list.
fn associated(state: &State, list: &PortListId) -> BTreeSet<String> {
    state.rules_naming_port_list(list).map(|rule| rule.group.to_string()).collect()
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let region = region(call)?;
        let window = Window::read(&fields, 100)?;
        let ids = fields.list("PortRangeListId")?;
        let (name, tags) = (fields.text("PortRangeListName"), tags(&fields)?);
        let state = ecs.service.snapshot();
        let admits = |list: &PortList| {
            list.region == region
                && (ids.is_empty() || ids.iter().any(|id| id == list.id.as_str()))
                && name.is_none_or(|name| list.label.name == name)
                && tags.iter().all(|(key, value)| list.label.tags.get(key) == Some(value))
        };
        let found: Vec<_> = state.port_lists().values().filter(|list| admits(list)).collect();
        let (page, mut answer) = window.of(&found, |list| list.id.to_string())?;
        let lists: Vec<Value> = page
            .iter()
            .map(|list| {
                json!({
                    "PortRangeListId": list.id,
                    "PortRangeListName": list.label.name,
                    "MaxEntries": list.max_entries,
                    "AssociationCount": associated(&state, &list.id).len(),
                    "CreationTime": time(list.label.created),
                    "Description": list.label.description,
                    "ResourceGroupId": "",
                    "Tags": tags_shown(&list.label)["Tag"],
                })
            })
            .collect();
        answer.insert("PortRangeLists".to_owned(), lists.into());
        Response::of(&answer)
    })
}

fn describe_entries<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list(&ecs.service.snapshot(), call)?;
        let shown = |entry: &PortEntry| {
            let ranges = entry.ports.ranges().iter();
            let ranges: Vec<String> =
                ranges.map(|range| format!("{}/{}", range.first(), range.last())).collect();
            json!({ "PortRange": ranges.join(","), "Description": entry.description })
        };
        let entries: Vec<Value> = list.entries.iter().map(shown).collect();
        Response::of(&json!({ "PortRangeListId": list.id, "Entries": entries }))
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
        answer.insert("PortRangeListAssociations".to_owned(), shown.into());
        Response::of(&answer)
    })
}

fn modify<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let list = list(&ecs.service.snapshot(), call)?;
        let remove: Result<Vec<PortSet>, Fault> = fields.objects("RemoveEntry")?.iter().map(ports).collect();
        let operation = ModifyPortList {
            list: list.id.to_string(),
            label: LabelChange {
                name: fields.text("PortRangeListName").map(str::to_owned),
                description: fields.text("Description").map(str::to_owned),
                tags: None,
            },
            max_entries: fields.integer("MaxEntries")?,
            add: entries(&fields, "AddEntry")?,
            remove: remove?,
        };
        submit(ecs, call, ErrorContext::PortList, operation).await?;
        Ok(Response::done())
    })
}

fn delete<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let list = list(&ecs.service.snapshot(), call)?.id.to_string();
        submit(ecs, call, ErrorContext::PortList, DeletePortLists { lists: vec![list] }).await?;
        Ok(Response::done())
    })
}
