//! Address groups of v3: prefix lists.

use std::{collections::HashMap, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::{Family, KeyRole, ListEntry as _, PrefixEntry, PrefixFamily, PrefixList, uuid_of};
use sg_service::{
    CreateList, DeleteLists, LabelChange, ModifyList, NewLabel, Operation as Change, Refusal, State, Tx,
    list_associations,
};

use super::common::{
    DRY_RUN, ENTERPRISE_PROJECT, description, enterprise_project, name, submit, tags_shown, time,
};
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response, ids, objects,
    operation::Outcome,
    paging::{PAGE, ordered, page},
    parameters::{Fields, Kind, body, query},
    problem::Subject,
    selection::Selection,
};

const ALL: &str = "/v3/{project_id}/vpc/address-groups";
const ONE: &str = "/v3/{project_id}/vpc/address-groups/{address_group_id}";
const FORCED: &str = "/v3/{project_id}/vpc/address-groups/{address_group_id}/force";
const DEPENDENCY: &str = "/v3/{project_id}/vpc/list-address-groups-dependency";

/// The capacity of a new address group that says none.
const CAPACITY: u32 = 20;

const OF_PROJECT: Parameter = query(
    "enterprise_project_id",
    Kind::Text,
    "`0`, which every address group is in, or `all_granted_eps`; none is in another one",
);

/// What a new and a changed address group have.
const CONTENT: &[Parameter] = &[
    DRY_RUN,
    body("address_group", Kind::Object, "").required(),
    body("address_group.description", Kind::Text, "up to 255 characters without `<` and `>`"),
    body(
        "address_group.ip_set",
        Kind::Texts,
        "all entries: addresses, prefixes, ranges `a-b`; those that there are keep their remarks",
    ),
    body("address_group.ip_extra_set", Kind::Objects, "all entries with remarks, in place of `ip_set`"),
    body("address_group.ip_extra_set[].ip", Kind::Text, "an address, a prefix, a range `a-b`").required(),
    body("address_group.ip_extra_set[].remarks", Kind::Text, "default: none"),
];

pub(in crate::huawei) const ADDRESS_GROUPS: &[Operation] = &[
    Operation {
        name: "ListAddressGroup",
        method: Method::GET,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Lists address groups.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            PAGE,
            &[
                query("id", Kind::Texts, "one of these"),
                query("name", Kind::Texts, "one of these"),
                query("description", Kind::Texts, "one of these"),
                query("ip_version", Kind::Integer, "`4` or `6`"),
                OF_PROJECT,
            ],
        ],
    },
    Operation {
        name: "CreateAddressGroup",
        method: Method::POST,
        path: ALL,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Creates an address group.",
        role: Some(KeyRole::Editor),
        handler: create,
        parameters: &[
            CONTENT,
            &[
                body("address_group.name", Kind::Text, "1 to 64 letters, digits, `_`, `-`, `.`").required(),
                body("address_group.ip_version", Kind::Integer, "`4` or `6`").required(),
                body("address_group.max_capacity", Kind::Integer, "number of entries at most; default 20"),
                body("address_group.enterprise_project_id", Kind::Text, "`0`, which everything is in"),
            ],
        ],
    },
    Operation {
        name: "ShowAddressGroup",
        method: Method::GET,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Shows an address group.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "UpdateAddressGroup",
        method: Method::PUT,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Changes an address group. Entries that are given replace all that there are.",
        role: Some(KeyRole::Editor),
        handler: update,
        parameters: &[
            CONTENT,
            &[
                body("address_group.name", Kind::Text, "1 to 64 letters, digits, `_`, `-`, `.`"),
                body("address_group.max_capacity", Kind::Integer, "number of entries at most"),
            ],
        ],
    },
    Operation {
        name: "DeleteAddressGroup",
        method: Method::DELETE,
        path: ONE,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Deletes an address group that no rule names.",
        role: Some(KeyRole::Editor),
        handler: delete,
        parameters: &[],
    },
    Operation {
        name: "DeleteIpAddressGroupForce",
        method: Method::DELETE,
        path: FORCED,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Deletes an address group with the rules that name it, also those that deny. Refused where one is of a document.",
        role: Some(KeyRole::Editor),
        handler: delete_with_rules,
        parameters: &[],
    },
    Operation {
        name: "ListAddressGroupsDependency",
        method: Method::GET,
        path: DEPENDENCY,
        chosen_by: None,
        dialect: Dialect::V3,
        subject: Subject::AddressGroup,
        about: "Lists the groups whose rules name an address group.",
        role: Some(KeyRole::Viewer),
        handler: dependency,
        parameters: &[PAGE, &[query("id", Kind::Text, "default: of all address groups"), OF_PROJECT]],
    },
];

fn here<'a>(state: &'a State, call: &'a Call) -> impl Iterator<Item = &'a Arc<PrefixList>> {
    state.prefix_lists().values().filter(|list| list.region == call.project.region)
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let selection = Selection::of(call);
        let all = ordered(here(&state, call), |list| uuid_of(&list.id));
        let (lists, info) = page(call, &all, |list| selection.admit(shown(list)))?;
        Ok(Response::of(json!({ "address_groups": lists, "page_info": info })))
    })
}

/// An address group. A list of an applied document can have entries of both families: then it has no version.
fn shown(list: &PrefixList) -> Value {
    let addresses = |entry: &PrefixEntry| PrefixEntry::show(entry.value());
    let all: Vec<String> = list.entries.iter().map(addresses).collect();
    let extra: Vec<Value> = list
        .entries
        .iter()
        .map(|entry| json!({ "ip": addresses(entry), "remarks": entry.description }))
        .collect();
    json!({
        "id": ids::shown(&list.id),
        "name": list.label.name,
        "description": list.label.description,
        "max_capacity": list.max_entries,
        "ip_version": list.extra.family.map(|family| match family { Family::V4 => 4, Family::V6 => 6 }),
        "ip_set": all,
        "ip_extra_set": extra,
        "tenant_id": sg_records::project_id(&list.region),
        "enterprise_project_id": ENTERPRISE_PROJECT,
        "created_at": time(list.label.created),
        "updated_at": time(list.label.updated),
        "status": "NORMAL",
        "status_message": "",
        "tags": tags_shown(&list.label),
    })
}

fn one(list: &PrefixList) -> Value {
    json!({ "address_group": shown(list) })
}

/// The address group that the path names.
fn find<'a>(state: &'a State, call: &Call) -> Result<&'a Arc<PrefixList>, Fault> {
    let id = call.value("address_group_id");
    objects::address_group(state, call, id)
        .ok_or_else(|| call.not_found(Subject::AddressGroup, "Address group", id))
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move { Ok(Response::of(one(find(&huawei.service.snapshot(), call)?))) })
}

fn create<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("address_group");
        enterprise_project(call, &fields)?;
        let family = match fields.integer("ip_version") {
            Some(4) => Family::V4,
            Some(6) => Family::V6,
            _ => return Err(call.malformed(&fields.place("ip_version"), "4 or 6 is expected")),
        };
        let operation = CreateList::<PrefixEntry> {
            label: NewLabel {
                name: name(call, &fields)?.unwrap_or_default(),
                description: description(call, &fields)?.unwrap_or_default(),
                ..NewLabel::default()
            },
            region: call.project.region.clone(),
            extra: PrefixFamily { family: Some(family) },
            max_entries: capacity(call, &fields)?.unwrap_or(CAPACITY),
            entries: entries(call, &fields)?.unwrap_or_default(),
        };
        submit(huawei, call, operation, |list| Response::created(one(&list))).await
    })
}

fn update<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let fields = call.fields().object("address_group");
        let list = find(&huawei.service.snapshot(), call)?.id.to_string();
        call.change.aims_at(&list);
        let change = ModifyList::<PrefixEntry> {
            list,
            label: LabelChange {
                name: name(call, &fields)?,
                description: description(call, &fields)?,
                tags: None,
            },
            max_entries: capacity(call, &fields)?,
            entries: entries(call, &fields)?,
            ..ModifyList::default()
        };
        let operation = ChangeAddressGroup { change, keeps_remarks: fields.texts("ip_set").is_some() };
        submit(huawei, call, operation, |list| Response::of(one(&list))).await
    })
}

/// Changes an address group.
struct ChangeAddressGroup {
    change: ModifyList<PrefixEntry>,
    /// The new entries were given without remarks: those that there are keep theirs, which another API may have set.
    keeps_remarks: bool,
}

impl Change for ChangeAddressGroup {
    type Output = PrefixList;

    fn run(&self, tx: &mut Tx) -> Result<PrefixList, Refusal> {
        let mut change = self.change.clone();
        if self.keeps_remarks {
            let there = &tx.find_list::<PrefixEntry>(&change.list)?.entries;
            let remarks: HashMap<_, &str> =
                there.iter().map(|entry| (entry.value(), entry.description())).collect();
            for entry in change.entries.iter_mut().flatten() {
                let kept = remarks.get(entry.value()).map(|remark| (*remark).to_owned());
                *entry = PrefixEntry::new(*entry.value(), kept.unwrap_or_default());
            }
        }
        change.run(tx)
    }
}

fn capacity(call: &Call, fields: &Fields<'_>) -> Result<Option<u32>, Fault> {
    let Some(number) = fields.integer("max_capacity") else { return Ok(None) };
    let wanted = || call.malformed(&fields.place("max_capacity"), "a number of entries is expected");
    u32::try_from(number).map(Some).map_err(|_| wanted())
}

/// All entries of a request, in one of two forms; none if the request has neither.
fn entries(call: &Call, fields: &Fields<'_>) -> Result<Option<Vec<PrefixEntry>>, Fault> {
    let entry = |place: String, text: &str, remarks: &str| match PrefixEntry::parse(text) {
        Ok(addresses) => Ok(PrefixEntry::new(addresses, remarks.to_owned())),
        Err(why) => Err(call.malformed(&place, &why)),
    };
    match (fields.texts("ip_set"), fields.objects("ip_extra_set")) {
        (Some(_), Some(_)) => {
            let wanted = "either ip_set or ip_extra_set is expected";
            Err(call.malformed(&fields.place("ip_extra_set"), wanted))
        }
        (Some(all), None) => {
            let place = |number: usize| format!("{}[{number}]", fields.place("ip_set"));
            let all = all.iter().enumerate().map(|(number, text)| entry(place(number), text, ""));
            all.collect::<Result<_, _>>().map(Some)
        }
        (None, Some(all)) => {
            let all = all.iter().map(|one| {
                let text = one.text("ip").unwrap_or_default();
                entry(one.place("ip"), text, one.text("remarks").unwrap_or_default())
            });
            all.collect::<Result<_, _>>().map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn delete<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    deleted(huawei, call, false)
}

fn delete_with_rules<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    deleted(huawei, call, true)
}

fn deleted<'a>(huawei: &'a Huawei, call: &'a Call, with_rules: bool) -> Outcome<'a> {
    Box::pin(async move {
        let list = find(&huawei.service.snapshot(), call)?.id.to_string();
        call.change.aims_at(&list);
        let operation = DeleteLists::<PrefixEntry>::new(vec![list]).with_rules(with_rules);
        submit(huawei, call, operation, |_| Response::no_content()).await
    })
}

fn dependency<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let state = huawei.service.snapshot();
        let depending = |list: &PrefixList| {
            // The list is of the same state, so it is there.
            let by = list_associations::<PrefixEntry>(&state, list.id.as_str()).unwrap_or_default();
            let groups = by.iter().filter_map(|by| state.group(&by.group));
            let dependency: Vec<Value> = groups
                .map(|group| {
                    json!({
                        "type": "security_group",
                        "instance_id": ids::shown(&group.id),
                        "instance_name": group.label.name,
                    })
                })
                .collect();
            json!({
                "id": ids::shown(&list.id),
                "enterprise_project_id": ENTERPRISE_PROJECT,
                "dependency": dependency,
            })
        };
        let selection = Selection::of(call);
        let all = ordered(here(&state, call), |list| uuid_of(&list.id));
        let (lists, info) = page(call, &all, |list| selection.admit(depending(list)))?;
        Ok(Response::of(json!({ "address_groups": lists, "page_info": info })))
    })
}
