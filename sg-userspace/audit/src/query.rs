//! Which entries are wanted, and a page of them. The native API reads a query, and `sgctl history` sends one.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Entry, Outcome};

/// The maximum number of entries on one page.
pub const LARGEST_PAGE: usize = 1_000;
/// The number of entries on a page, unless somebody says otherwise.
const PAGE: usize = 100;

/// Selects entries of the audit trail; the newest come first. `who`, `object` and `operation` may contain `*` for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Entries at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Entries before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Entries of this caller: a uid, an access key (also one that was only named), the path of a document, or the address that the
    /// request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Entries about the object with this id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Entries about this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Entries with this outcome: `done`, `refused`, `not_in_force` or `lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Entries with a greater number than this one: what is new since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_than: Option<u64>,
    /// Maximum number of entries on the page. Range: 1 to 1000. Default: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Token of the page: `next` of the previous page. Default: the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A page of the audit trail, the newest entry first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPage {
    /// The entries.
    pub items: Vec<Entry>,
    /// Token of the next page, which has older entries; to be sent as `after`. `null` on the last page.
    pub next: Option<u64>,
    /// Number of lines, of those that were read, that are no entries: what a kill left of a line, or what others wrote.
    #[serde(default)]
    pub unreadable: u64,
}

impl HistoryQuery {
    /// The number of entries on a page.
    pub(crate) fn page(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE)
    }

    /// Whether an entry is wanted.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        let Self { since, until, who, object, operation, outcome, newer_than, limit: _, after } = self;
        since.is_none_or(|since| entry.time >= since)
            && until.is_none_or(|until| entry.time < until)
            && newer_than.is_none_or(|number| entry.sequence > number)
            && after.is_none_or(|number| entry.sequence < number)
            && outcome.is_none_or(|outcome| entry.outcome == outcome)
            && operation.as_ref().is_none_or(|pattern| fits(pattern, &entry.operation))
            && who.as_ref().is_none_or(|pattern| is_by(pattern, entry))
            && object.as_ref().is_none_or(|pattern| is_about(pattern, entry))
    }
}

fn is_by(pattern: &str, entry: &Entry) -> bool {
    let who = &entry.who;
    let names = [&who.access_key, &who.claimed, &who.file];
    names.into_iter().flatten().any(|name| fits(pattern, name))
        || who.uid.is_some_and(|uid| fits(pattern, &uid.to_string()))
        || fits(pattern, &entry.from)
        || entry.from.parse::<SocketAddr>().is_ok_and(|from| fits(pattern, &from.ip().to_string()))
}

fn is_about(pattern: &str, entry: &Entry) -> bool {
    let named = |text: &String| !text.is_empty() && fits(pattern, text);
    entry.target.as_ref().is_some_and(named)
        || entry.objects.iter().any(|object| named(&object.id) || named(&object.name))
}

/// Whether `text` fits `pattern`, in which each `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(place) = rest.find(part) else { return false };
        rest = rest.get(place + part.len()..).unwrap_or_default();
    }
    true
}
