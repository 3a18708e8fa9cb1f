//! Parts of lists: up to `limit` objects behind the one whose id is `marker`. What is not in the part is not shown, so it costs little.
//! Here are also the parts of v3, and what it says about them; `v1` and `neutron` have their own forms. It must never know what it
//! lists.
//!
//! The object that a marker names may be gone: its id still says where the next part begins.

use serde_json::{Map, Value};
use sg_records::Uuid;

use super::{
    Call, Fault, Parameter, ids,
    parameters::{Kind, query},
};

/// The maximum number of objects in a response, and the number if the request has no `limit`.
pub(super) const MOST: usize = 2000;

/// The parameters of a list of v3.
pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2000; default 2000"),
    query("marker", Kind::Text, "id of the last object of the part before; blank: from the first"),
];

/// Objects with their ids in this API, in the order of those.
pub(super) type Ordered<T> = Vec<(Uuid, T)>;

/// Objects in the order of their ids.
pub(super) fn ordered<T>(all: impl IntoIterator<Item = T>, id: impl Fn(&T) -> Uuid) -> Ordered<T> {
    let mut all: Ordered<T> = all.into_iter().map(|one| (id(&one), one)).collect();
    all.sort_unstable_by_key(|(id, _)| *id);
    all
}

/// The first of some objects, as the response has them.
pub(super) struct Part {
    /// With their ids.
    pub(super) objects: Vec<(Uuid, Value)>,
    /// Whether there are others.
    pub(super) more: bool,
}

impl Part {
    /// Up to `limit` of the objects that `shown` shows. It shows none that the request does not select.
    pub(super) fn of<'a, T: 'a>(
        all: impl IntoIterator<Item = &'a (Uuid, T)>,
        limit: usize,
        shown: impl Fn(&T) -> Option<Value>,
    ) -> Self {
        let mut part = Self { objects: Vec::new(), more: false };
        for (id, one) in all {
            let Some(shown) = shown(one) else { continue };
            if part.objects.len() >= limit {
                part.more = true;
                break;
            }
            part.objects.push((*id, shown));
        }
        part
    }

    /// The objects without their ids.
    pub(super) fn values(self) -> Vec<Value> {
        self.objects.into_iter().map(|(_, shown)| shown).collect()
    }
}

/// The objects behind the one that `marker` names: all if it is blank.
///
/// # Errors
/// If it is no id.
pub(super) fn behind<'a, T>(call: &Call, all: &'a [(Uuid, T)]) -> Result<&'a [(Uuid, T)], Fault> {
    let Some(marker) = call.query.text("marker").filter(|marker| !marker.is_empty()) else { return Ok(all) };
    let marker =
        ids::uuid(marker).ok_or_else(|| call.malformed("marker", "the id of an object is expected"))?;
    Ok(all.get(all.partition_point(|(id, _)| *id <= marker)..).unwrap_or_default())
}

/// The part that a request wants of `all`, and what v3 says about the part. `shown` is an object as the response has it, or none if
/// the request does not select it.
///
/// # Errors
/// If `limit` or `marker` is malformed.
pub(super) fn page<T>(
    call: &Call,
    all: &[(Uuid, T)],
    shown: impl Fn(&T) -> Option<Value>,
) -> Result<(Vec<Value>, Value), Fault> {
    let limit = match call.query.integer("limit") {
        None => MOST,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= MOST)
            .ok_or_else(|| call.malformed("limit", "0 to 2000 is expected"))?,
    };
    let part = Part::of(behind(call, all)?, limit, shown);
    let mut info = Map::new();
    info.insert("current_count".to_owned(), part.objects.len().into());
    if let (Some((first, _)), Some((last, _))) = (part.objects.first(), part.objects.last()) {
        info.insert("previous_marker".to_owned(), first.to_string().into());
        if part.more {
            info.insert("next_marker".to_owned(), last.to_string().into());
        }
    }
    Ok((part.values(), Value::Object(info)))
}
