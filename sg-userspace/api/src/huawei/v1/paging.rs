//! Parts of lists of v1: up to `limit` objects behind the one whose id is `marker`, and nothing about them. Clients go on until a
//! part is empty. It must never know what it lists.

use serde_json::{Value, json};
use sg_records::Uuid;

use crate::huawei::{
    Call, Fault, Parameter, Response,
    paging::{MOST, Part, behind},
    parameters::{Kind, query},
};

pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2147483647; default, and maximum of a response: 2000"),
    query("marker", Kind::Text, "id of the last object of the part before; blank: from the first"),
];

/// A part of `all`, under this name. `shown` is an object as the response has it, or none if the request does not select it.
///
/// # Errors
/// If `limit` or `marker` is malformed.
pub(super) fn page<T>(
    call: &Call,
    name: &str,
    all: &[(Uuid, T)],
    shown: impl Fn(&T) -> Option<Value>,
) -> Result<Response, Fault> {
    let limit = limit(call)?.unwrap_or(MOST);
    let part = Part::of(behind(call, all)?, limit, shown).values();
    Ok(Response::of(json!({ name: part })))
}

/// The maximum number of objects, if the query says one.
///
/// # Errors
/// If it is out of bounds.
pub(in crate::huawei) fn limit(call: &Call) -> Result<Option<usize>, Fault> {
    let limit = call.query.integer("limit").map(|limit| i32::try_from(limit).and_then(usize::try_from));
    let limit = limit.transpose().map_err(|_| call.malformed("limit", "0 to 2147483647 is expected"))?;
    Ok(limit.map(|limit| limit.min(MOST)))
}
