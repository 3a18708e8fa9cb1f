//! Pagination in the vendor's two ways: numbered pages, or a token that marks the start of the next part.
//!
//! A token is the id of the last item before that part, with a checksum over it and the action. So a token that this server did not
//! issue, or not for this action, is refused instead of starting somewhere; one whose item is gone by now still holds its place,
//! also after a restart. It is no secret: a client could ask for any place anyway.

use serde_json::{Map, Value};

use crate::{
    ecs::{Call, Fault},
    signature::sha256_hex,
};

/// The hexadecimal digits of a checksum.
const CHECKSUM: usize = 8;
/// The largest number of a page.
const LAST_PAGE: usize = 1_000_000;

/// The token of the part after the item of this id.
pub(in crate::ecs) fn token(action: &str, id: &str) -> String {
    let mut checksum = sha256_hex(format!("{action} {id}").as_bytes());
    checksum.truncate(CHECKSUM);
    format!("{id}.{checksum}")
}

/// The id in the token of a call.
pub(super) fn after(call: &Call) -> Result<Option<&str>, Fault> {
    let Some(given) = call.fields().text("NextToken") else { return Ok(None) };
    let id = given.rsplit_once('.').map(|(id, _)| id);
    id.filter(|id| token(&call.action, id) == given).map(Some).ok_or_else(no_token)
}

/// The refusal of a token that is none.
pub(super) fn no_token() -> Fault {
    Fault::malformed("NextToken", "this server has not issued it for this action")
}

/// A number from 1.
fn within(call: &Call, name: &str, most: usize) -> Result<Option<usize>, Fault> {
    match call.fields().integer::<usize>(name)? {
        None => Ok(None),
        Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
        Some(_) => Err(Fault::malformed(name, &format!("1 to {most} is expected"))),
    }
}

/// The requested part of a list.
#[derive(Clone, Debug)]
pub(super) struct Window<'a> {
    action: &'a str,
    part: Part<'a>,
}

#[derive(Clone, Debug)]
enum Part<'a> {
    /// A page by its number, from 1.
    Numbered { page: usize, size: usize },
    /// The items after an id.
    Following { most: usize, after: Option<&'a str> },
}

impl<'a> Window<'a> {
    /// Reads which part is requested; `largest` is the maximum size.
    pub(super) fn read(call: &'a Call, largest: usize) -> Result<Self, Fault> {
        let (after, most) = (after(call)?, within(call, "MaxResults", largest)?);
        let (size, page) = (within(call, "PageSize", largest)?, within(call, "PageNumber", LAST_PAGE)?);
        let part = if after.is_some() || most.is_some() {
            Part::Following { most: most.unwrap_or(10), after }
        } else {
            Part::Numbered { page: page.unwrap_or(1), size: size.unwrap_or(10) }
        };
        Ok(Self { action: &call.action, part })
    }

    /// Pages by token only; `largest` is the maximum size, and that of a request that says none.
    pub(super) fn following(call: &'a Call, largest: usize) -> Result<Self, Fault> {
        let most = within(call, "MaxResults", largest)?.unwrap_or(largest);
        Ok(Self { action: &call.action, part: Part::Following { most, after: after(call)? } })
    }

    /// Pages by number only; `largest` is the maximum size, `usual` that of a request that says none.
    pub(super) fn numbered(call: &'a Call, largest: usize, usual: usize) -> Result<Self, Fault> {
        let (size, page) = (within(call, "PageSize", largest)?, within(call, "PageNumber", LAST_PAGE)?);
        let part = Part::Numbered { page: page.unwrap_or(1), size: size.unwrap_or(usual) };
        Ok(Self { action: &call.action, part })
    }

    /// That part of `all`, which must be sorted by id, and the fields that describe it in the response.
    pub(super) fn of<'b, T>(&self, all: &'b [T], id: impl Fn(&T) -> String) -> (&'b [T], Map<String, Value>) {
        let mut response = Map::new();
        let mut say = |name: &str, value: Value| drop(response.insert(name.to_owned(), value));
        say("TotalCount", all.len().into());
        let part = match &self.part {
            Part::Numbered { page, size } => {
                say("PageNumber", (*page).into());
                say("PageSize", (*size).into());
                let first = page.saturating_sub(1).saturating_mul(*size).min(all.len());
                &all[first..(first + size).min(all.len())]
            }
            Part::Following { most, after } => {
                let first = after.map_or(0, |after| all.partition_point(|item| *id(item) <= *after));
                let end = (first + most).min(all.len());
                let last = all[first..end].last().filter(|_| end < all.len());
                let next = last.map_or_else(String::new, |item| token(self.action, &id(item)));
                say("NextToken", next.into());
                &all[first..end]
            }
        };
        (part, response)
    }
}
