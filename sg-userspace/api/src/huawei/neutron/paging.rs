//! Parts of lists of v2.0: up to `limit` objects behind the one whose id is `marker`, or before it, with links to the next part and
//! to the previous one, which are there without a `limit`, too; and the fields that a client asks for. It must never know what it
//! lists.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sg_records::Uuid;

use crate::huawei::{
    Call, Fault, Parameter, Response, ids,
    paging::{MOST, Part},
    parameters::{Kind, query},
    v1::limit,
};

pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2147483647; default, maximum of a response, and what 0 is: 2000"),
    query("marker", Kind::Text, "id of an object of this list; blank: from the first"),
    query("page_reverse", Kind::Boolean, "the part before the marker; default `false`"),
    query("fields", Kind::Texts, "the fields to show; default: all"),
];

/// A part of `all`, under this name. `shown` is an object as the response has it, or none if the request does not select it.
///
/// # Errors
/// If `limit` is malformed, or `marker` is no object of the list.
pub(super) fn page<T>(
    call: &Call,
    name: &str,
    all: &[(Uuid, T)],
    shown: impl Fn(&T) -> Option<Value>,
) -> Result<Response, Fault> {
    let limit = limit(call)?.filter(|limit| *limit > 0).unwrap_or(MOST);
    let backwards = call.query.boolean("page_reverse").unwrap_or(false);
    let marker = call.query.text("marker").filter(|marker| !marker.is_empty());
    let place = marker.map(|marker| {
        let place = ids::uuid(marker).and_then(|uuid| all.binary_search_by_key(&uuid, |(id, _)| *id).ok());
        let of_list = |place: &usize| all.get(*place).is_some_and(|(_, one)| shown(one).is_some());
        let wanted = || call.malformed("marker", "the id of an object of this list is expected");
        place.filter(of_list).ok_or_else(wanted)
    });
    let place = place.transpose()?;
    let mut part = if backwards {
        let before = all.get(..place.unwrap_or(all.len())).unwrap_or_default();
        Part::of(before.iter().rev(), limit, shown)
    } else {
        let behind = all.get(place.map_or(0, |place| place + 1)..).unwrap_or_default();
        Part::of(behind, limit, shown)
    };
    // On its other side, a part has the marker at least.
    let (mut has_previous, mut has_next) = (place.is_some(), part.more);
    if backwards {
        part.objects.reverse();
        (has_previous, has_next) = (part.more, place.is_some());
    }
    let mut links = Vec::new();
    if let (Some((first, _)), Some((last, _))) = (part.objects.first(), part.objects.last()) {
        if has_next {
            links.push(json!({ "rel": "next", "href": link(call, name, *last, false) }));
        }
        if has_previous {
            links.push(json!({ "rel": "previous", "href": link(call, name, *first, true) }));
        }
    }
    let mut body = json!({ name: with_fields(call, part.values()) });
    if !links.is_empty() {
        body[format!("{name}_links")] = links.into();
    }
    Ok(Response::of(body))
}

/// The objects with the fields that the query asks for.
fn with_fields(call: &Call, mut part: Vec<Value>) -> Vec<Value> {
    let wanted: BTreeSet<&str> = call.query.texts("fields").collect();
    if !wanted.is_empty() {
        for fields in part.iter_mut().filter_map(Value::as_object_mut) {
            fields.retain(|name, _| wanted.contains(name.as_str()));
        }
    }
    part
}

/// The same request for another part: the one behind an object, or before it.
fn link(call: &Call, name: &str, object: Uuid, backwards: bool) -> String {
    let marker = object.to_string();
    let mut parameters = vec![("marker", marker.as_str())];
    if backwards {
        parameters.push(("page_reverse", "True"));
    }
    call.link(&format!("/v2.0/{}", name.replace('_', "-")), &parameters)
}
