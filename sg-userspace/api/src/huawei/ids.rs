//! The ids of this API for the ids of the domain: UUIDs. It must never know which objects exist.

use sg_records::{Id, Uuid, uuid_of};

/// An id as clients see it.
pub(super) fn shown<I: Id>(id: &I) -> String {
    uuid_of(id).to_string()
}

/// The UUID that a text is, written as clients see it.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// Whether a text has the form of an id as clients see it.
pub(super) fn has_form(text: &str) -> bool {
    uuid(text).is_some()
}
