//! Pagination in the vendor's two ways: numbered pages, or a token that marks the start of the next part.

use serde_json::{Map, Value};

use crate::ecs::{Fault, params::Fields};

/// The requested part of a list.
#[derive(Clone, Debug)]
pub(super) enum Window {
    /// A page by its number, from 1.
    Numbered { page: usize, size: usize },
    /// The items after an id.
    Following { most: usize, after: Option<String> },
}

impl Window {
    /// Reads which part is requested; `largest` is the maximum size.
    pub(super) fn read(fields: &Fields<'_>, largest: usize) -> Result<Self, Fault> {
        let within = |name: &str, most: usize| match fields.integer::<usize>(name)? {
            None => Ok(None),
            Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
            Some(_) => Err(Fault::malformed(name, &format!("1 to {most} is expected"))),
        };
        let after = fields.text("NextToken").map(str::to_owned);
        let most = within("MaxResults", largest)?;
        if after.is_some() || most.is_some() {
            return Ok(Self::Following { most: most.unwrap_or(10), after });
        }
        let size = within("PageSize", largest)?.unwrap_or(10);
        let page = within("PageNumber", 1_000_000)?.unwrap_or(1);
        Ok(Self::Numbered { page, size })
    }

    /// That part of `all`, which must be sorted by id, and the fields that describe it in the response.
    pub(super) fn of<'a, T>(
        &self,
        all: &'a [T],
        id: impl Fn(&T) -> String,
    ) -> Result<(&'a [T], Map<String, Value>), Fault> {
        let mut response = Map::new();
        let mut say = |name: &str, value: Value| drop(response.insert(name.to_owned(), value));
        say("TotalCount", all.len().into());
        let part = match self {
            Self::Numbered { page, size } => {
                say("PageNumber", (*page).into());
                say("PageSize", (*size).into());
                let first = page.saturating_sub(1).saturating_mul(*size).min(all.len());
                &all[first..(first + size).min(all.len())]
            }
            Self::Following { most, after } => {
                let first = match after {
                    None => 0,
                    Some(after) => {
                        let place = all.partition_point(|item| id(item) <= *after);
                        // A token is an id that existed when it was issued. The object may be gone by now; the form of the id
                        // stays.
                        if !after
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                        {
                            return Err(Fault::malformed("NextToken", "it is none of ours"));
                        }
                        place
                    }
                };
                let end = (first + most).min(all.len());
                let next = all[first..end].last().filter(|_| end < all.len()).map(&id);
                say("NextToken", next.unwrap_or_default().into());
                &all[first..end]
            }
        };
        Ok((part, response))
    }
}
