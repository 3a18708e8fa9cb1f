//! Parts of lists of v2.0: up to `limit` objects behind the one whose id is `marker`, or before it, with links to the next part and
//! to the previous one; and the fields that a client asks for. It must never know what it lists.

use serde_json::{Value, json};

use crate::huawei::{
    Call, Fault, Parameter, Response, ids,
    parameters::{Kind, query},
    v1::limit,
};

pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2147483647; default, and 0: all"),
    query("marker", Kind::Text, "id of an object of this list; blank: from the first"),
    query("page_reverse", Kind::Boolean, "the part before the marker; default `false`"),
    query("fields", Kind::Texts, "the fields to show; default: all"),
];

/// A part of `all`, which is in the order of its ids, under this name.
///
/// # Errors
/// If `limit` is malformed, or `marker` is no object of the list.
pub(super) fn page(call: &Call, name: &str, all: &[Value]) -> Result<Response, Fault> {
    let limit = limit(call)?.filter(|limit| *limit > 0);
    let backwards = call.query.boolean("page_reverse").unwrap_or(false);
    let marker = call.query.text("marker").filter(|marker| !marker.is_empty());
    let place = marker.map(|marker| {
        let uuid = ids::uuid(marker).map(|uuid| uuid.to_string());
        let place = uuid.and_then(|uuid| all.iter().position(|one| one["id"] == uuid));
        place.ok_or_else(|| call.malformed("marker", "the id of an object of this list is expected"))
    });
    let place = place.transpose()?;
    let most = limit.unwrap_or(usize::MAX);
    let (first, end) = if backwards {
        let end = place.unwrap_or(all.len());
        (end.saturating_sub(most), end)
    } else {
        let first = place.map_or(0, |place| place + 1);
        (first, first.saturating_add(most).min(all.len()))
    };
    let part = all.get(first..end).unwrap_or_default();
    let mut links = Vec::new();
    if let (Some(_), Some(first_one), Some(last)) = (limit, part.first(), part.last()) {
        if end < all.len() {
            links.push(json!({ "rel": "next", "href": link(call, name, last, false) }));
        }
        if first > 0 {
            links.push(json!({ "rel": "previous", "href": link(call, name, first_one, true) }));
        }
    }
    let mut body = json!({ name: with_fields(call, part) });
    if !links.is_empty() {
        body[format!("{name}_links")] = links.into();
    }
    Ok(Response::of(body))
}

/// The objects with the fields that the query asks for.
fn with_fields(call: &Call, part: &[Value]) -> Vec<Value> {
    let wanted: Vec<&str> = call.query.texts("fields").collect();
    let mut part = part.to_vec();
    if !wanted.is_empty() {
        for fields in part.iter_mut().filter_map(Value::as_object_mut) {
            fields.retain(|name, _| wanted.contains(&name.as_str()));
        }
    }
    part
}

/// The same request for another part: the one behind an object, or before it.
fn link(call: &Call, name: &str, object: &Value, backwards: bool) -> String {
    let mut parameters = vec![("marker", object["id"].as_str().unwrap_or_default())];
    if backwards {
        parameters.push(("page_reverse", "True"));
    }
    call.link(&format!("/v2.0/{}", name.replace('_', "-")), &parameters)
}
