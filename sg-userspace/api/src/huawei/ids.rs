//! The ids of this API for the ids of the domain. It must never know which objects exist.

use std::fmt::Display;

/// An id as clients see it.
pub(super) fn shown(id: &impl Display) -> String {
    id.to_string()
}

/// Whether a text has the form of an id as clients see it.
pub(super) fn has_form(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
