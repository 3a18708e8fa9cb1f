//! Servers: lists and single ones, as ECS v1 and as Nova v2.1 show them. A server here is an instance that was registered, so it is
//! always active, and it has no flavor, image or disks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::http::Method;
use serde_json::{Map, Value, json};
use sg_records::{GroupId, Instance, KeyRole, Nic, Uuid, uuid_of};
use sg_service::{HostDevices, Service, State};

use super::find;
use crate::huawei::{
    Call, Dialect, Fault, Huawei, Operation, Parameter, Response,
    compare::{MAX_VALUES, TOO_MANY},
    ids,
    operation::Outcome,
    parameters::{Kind, header, query},
    ports,
    problem::Subject,
    v3::time,
};

/// What every server is.
const ACTIVE: &str = "ACTIVE";
/// The number of servers in a response if the request has no `limit`.
const DEFAULT: usize = 25;
/// The maximum of `limit`.
const MOST: usize = 1000;
/// Why servers are not selected by it.
const NOT_KNOWN: &str = "this server does not know it";

const FILTERS: &[Parameter] = &[
    query("name", Kind::Text, "a part of the name"),
    query("ip", Kind::Text, "a part of an IPv4 address"),
    query("status", Kind::Text, "`ACTIVE`, which every server is"),
    query("tags", Kind::Text, "tags that a server has, separated by commas: `KEY` or `KEY=VALUE`"),
    query("not-tags", Kind::Text, "tags that it has not, written likewise"),
    query("flavor", Kind::Text, NOT_KNOWN).refused(),
    query("reservation_id", Kind::Text, NOT_KNOWN).refused(),
];

const MICROVERSION: &[Parameter] =
    &[header("OpenStack-API-Version", "the fields are the same for all of them")];

pub(in crate::huawei) const SERVERS: &[Operation] = &[
    Operation {
        name: "ListServersDetails",
        method: Method::GET,
        path: "/v1/{project_id}/cloudservers/detail",
        chosen_by: None,
        dialect: Dialect::Ecs,
        subject: Subject::Server,
        about: "Lists servers: the instances of the region.",
        role: Some(KeyRole::Viewer),
        handler: list,
        parameters: &[
            FILTERS,
            &[
                query("ip_eq", Kind::Text, "an IPv4 address"),
                query("server_id", Kind::Text, "ids of servers, separated by commas"),
                query(
                    "enterprise_project_id",
                    Kind::Text,
                    "`0`, which everything is in, or `all_granted_eps`",
                ),
                query("limit", Kind::Integer, "0 to 1000; default 25"),
                query("offset", Kind::Integer, "the number of the page, from 1; default 1"),
                query("marker", Kind::Text, "id of the last server of the page before, instead of `offset`"),
            ],
        ],
    },
    Operation {
        name: "ShowServer",
        method: Method::GET,
        path: "/v1/{project_id}/cloudservers/{server_id}",
        chosen_by: None,
        dialect: Dialect::Ecs,
        subject: Subject::Server,
        about: "Shows a server.",
        role: Some(KeyRole::Viewer),
        handler: show,
        parameters: &[],
    },
    Operation {
        name: "NovaListServersDetails",
        method: Method::GET,
        path: "/v2.1/{project_id}/servers/detail",
        chosen_by: None,
        dialect: Dialect::Nova,
        subject: Subject::Server,
        about: "Lists servers: the instances of the region.",
        role: Some(KeyRole::Viewer),
        handler: nova_list,
        parameters: &[
            FILTERS,
            MICROVERSION,
            &[
                query("limit", Kind::Integer, "0 to 1000; default 1000"),
                query("marker", Kind::Text, "id of the last server of the page before"),
                query("changes-since", Kind::Text, NOT_KNOWN).refused(),
                query("image", Kind::Text, NOT_KNOWN).refused(),
                query("sort_key", Kind::Text, "servers are in the order of their ids").refused(),
            ],
        ],
    },
    Operation {
        name: "NovaShowServer",
        method: Method::GET,
        path: "/v2.1/{project_id}/servers/{server_id}",
        chosen_by: None,
        dialect: Dialect::Nova,
        subject: Subject::Server,
        about: "Shows a server.",
        role: Some(KeyRole::Viewer),
        handler: nova_show,
        parameters: &[MICROVERSION],
    },
];

/// The state, and what the devices of its NICs are.
struct Seen {
    state: Arc<State>,
    devices: HostDevices,
}

impl Seen {
    fn of(service: &Service) -> Self {
        Self { state: service.snapshot(), devices: service.devices() }
    }
}

/// The fields that ECS and Nova show alike.
fn common(call: &Call, seen: &Seen, server: &Instance) -> Map<String, Value> {
    let nics = find::interfaces(&seen.state, server);
    let nics: Vec<Nic> = nics.into_iter().map(|nic| seen.devices.view(nic).nic).collect();
    let mut networks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for nic in &nics {
        for address in &nic.addresses {
            let mac = nic.senders.mac.map(|mac| mac.to_string()).unwrap_or_default();
            networks.entry(ports::network(nic)).or_default().push(json!({
                "addr": address,
                "version": if address.is_ipv4() { "4" } else { "6" },
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": mac,
                "OS-EXT-IPS:port_id": uuid_of(&nic.id).to_string(),
                "primary": nic.primary,
            }));
        }
    }
    let shown = json!({
        "id": uuid_of(&server.id).to_string(),
        "name": server.label.name,
        "description": server.label.description,
        "status": ACTIVE,
        "tenant_id": call.project.id,
        "created": time(server.label.created),
        "updated": time(server.label.updated),
        "addresses": networks,
        "metadata": { "vpc_id": server.vpc.as_ref().map(|vpc| uuid_of(vpc).to_string()).unwrap_or_default() },
        "OS-EXT-AZ:availability_zone": server.region,
        "OS-EXT-STS:vm_state": "active",
        "tags": server.label.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
    });
    match shown {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The groups of all interfaces of a server, each once, in the order of the interfaces.
fn groups(state: &State, server: &Instance) -> Vec<(GroupId, String)> {
    let mut all: Vec<(GroupId, String)> = Vec::new();
    for id in find::interfaces(state, server).iter().flat_map(|nic| &nic.groups) {
        if !all.iter().any(|(other, _)| other == id) {
            let name = state.group(id).map(|group| group.label.name.clone()).unwrap_or_default();
            all.push((id.clone(), name));
        }
    }
    all
}

/// A server as ECS shows it.
fn ecs(call: &Call, seen: &Seen, server: &Instance) -> Value {
    let mut shown = common(call, seen, server);
    let groups = groups(&seen.state, server).into_iter();
    let groups = groups.map(|(id, name)| json!({ "id": uuid_of(&id).to_string(), "name": name }));
    shown.insert("security_groups".to_owned(), groups.collect());
    shown.insert("enterprise_project_id".to_owned(), "0".into());
    Value::Object(shown)
}

/// A server as Nova shows it.
fn nova(call: &Call, seen: &Seen, server: &Instance) -> Value {
    let mut shown = common(call, seen, server);
    let groups = groups(&seen.state, server).into_iter().map(|(_, name)| json!({ "name": name }));
    shown.insert("security_groups".to_owned(), groups.collect());
    Value::Object(shown)
}

/// Whether a server has a tag: `KEY` or `KEY=VALUE`.
fn is_tagged(server: &Instance, wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(key, value)| (key, Some(value)));
    server.label.tags.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

/// The values of a filter that are separated by commas.
///
/// # Errors
/// If there are too many.
fn values<'a>(call: &'a Call, name: &'a str) -> Result<Option<BTreeSet<&'a str>>, Fault> {
    let Some(text) = call.query.text(name) else { return Ok(None) };
    let values: BTreeSet<&str> = text.split(',').map(str::trim).collect();
    if values.len() > MAX_VALUES {
        return Err(call.malformed(name, TOO_MANY));
    }
    Ok(Some(values))
}

/// The servers that the filters which both versions have select, in the order of their ids.
fn selected<'a>(seen: &'a Seen, call: &Call) -> Result<Vec<&'a Arc<Instance>>, Fault> {
    let query = &call.query;
    let (name, part, status) = (query.text("name"), query.text("ip"), query.text("status"));
    let (tags, other_tags) = (values(call, "tags")?, values(call, "not-tags")?);
    let (tags, other_tags) = (tags.unwrap_or_default(), other_tags.unwrap_or_default());
    let mut found: Vec<&Arc<Instance>> = seen
        .state
        .instances()
        .values()
        .filter(|server| {
            server.region == call.project.region
                && name.is_none_or(|name| server.label.name.contains(name))
                && status.is_none_or(|status| status.eq_ignore_ascii_case(ACTIVE))
                && tags.iter().all(|tag| is_tagged(server, tag))
                && !other_tags.iter().any(|tag| is_tagged(server, tag))
                && part.is_none_or(|part| has_address(seen, server, |text| text.contains(part)))
        })
        .collect();
    found.sort_by_cached_key(|server| uuid_of(&server.id));
    Ok(found)
}

/// Whether one of the IPv4 addresses of a server is wanted.
fn has_address(seen: &Seen, server: &Instance, is_wanted: impl Fn(&str) -> bool) -> bool {
    let nics = seen.state.nics_of_instance(&server.id);
    nics.flat_map(|nic| seen.devices.addresses_of(nic).into_owned())
        .any(|address| address.is_ipv4() && is_wanted(&address.to_string()))
}

/// The maximum number of servers in a response.
fn limit(call: &Call, default: usize) -> Result<usize, Fault> {
    let Some(limit) = call.query.integer("limit") else { return Ok(default) };
    let limit = usize::try_from(limit).ok().filter(|limit| *limit <= MOST);
    limit.ok_or_else(|| call.malformed("limit", "0 to 1000 is expected"))
}

/// The number of servers up to the one that `marker` names.
fn behind(call: &Call, found: &[&Arc<Instance>]) -> Result<Option<usize>, Fault> {
    let Some(marker) = call.query.text("marker").filter(|marker| !marker.is_empty()) else { return Ok(None) };
    let id = ids::uuid(marker).ok_or_else(|| call.malformed("marker", "the id of a server is expected"))?;
    Ok(Some(found.partition_point(|server| uuid_of(&server.id) <= id)))
}

fn list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let seen = Seen::of(&huawei.service);
        let query = &call.query;
        let exact = query.text("ip_eq");
        let ids = values(call, "server_id")?;
        let ids = ids.map(|ids| ids.into_iter().filter_map(ids::uuid).collect::<BTreeSet<Uuid>>());
        let in_project =
            query.text("enterprise_project_id").is_none_or(|id| ["0", "all_granted_eps"].contains(&id));
        let mut found = selected(&seen, call)?;
        found.retain(|server| {
            in_project
                && exact.is_none_or(|address| has_address(&seen, server, |text| text == address))
                && ids.as_ref().is_none_or(|ids| ids.contains(&uuid_of(&server.id)))
        });
        let limit = limit(call, DEFAULT)?;
        let page = query.integer("offset").unwrap_or(1);
        let page = usize::try_from(page).ok().filter(|page| *page >= 1);
        let page = page.ok_or_else(|| call.malformed("offset", "a page from 1 on is expected"))?;
        let first = behind(call, &found)?.unwrap_or_else(|| (page - 1).saturating_mul(limit));
        let servers: Vec<Value> =
            found.iter().skip(first).take(limit).map(|server| ecs(call, &seen, server)).collect();
        Ok(Response::of(json!({ "count": found.len(), "servers": servers })))
    })
}

fn nova_list<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let seen = Seen::of(&huawei.service);
        let found = selected(&seen, call)?;
        let limit = limit(call, MOST)?;
        let first = behind(call, &found)?.unwrap_or_default();
        let part = found.iter().skip(first).take(limit);
        let servers: Vec<Value> = part.map(|server| nova(call, &seen, server)).collect();
        let mut body = json!({ "servers": servers });
        if let Some(last) = servers.last().filter(|_| first + servers.len() < found.len()) {
            let path = format!("/v2.1/{}/servers/detail", call.project.id);
            let marker = last["id"].as_str().unwrap_or_default();
            body["servers_links"] =
                json!([{ "rel": "next", "href": call.link(&path, &[("marker", marker)]) }]);
        }
        Ok(Response::of(body))
    })
}

fn show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let seen = Seen::of(&huawei.service);
        let server = ecs(call, &seen, find::server(&seen.state, call)?);
        Ok(Response::of(json!({ "server": server })))
    })
}

fn nova_show<'a>(huawei: &'a Huawei, call: &'a Call) -> Outcome<'a> {
    Box::pin(async move {
        let seen = Seen::of(&huawei.service);
        let server = nova(call, &seen, find::server(&seen.state, call)?);
        Ok(Response::of(json!({ "server": server })))
    })
}
