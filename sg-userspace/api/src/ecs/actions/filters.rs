//! What the filters of several lists have in common: tags, addresses, names with a wildcard, and words of which there are a few. A
//! value that can select nothing because it is malformed is refused. This must never know a single action.

use std::net::IpAddr;

use sg_records::Label;

use super::common::tags;
use crate::ecs::{Fault, params::Fields};

/// `Tag.N`: a listed resource has all of them. A key without a value stands for any value.
pub(super) fn has_tags(fields: &Fields<'_>) -> Result<impl Fn(&Label) -> bool + use<>, Fault> {
    let wanted = tags(fields)?;
    Ok(move |label: &Label| {
        let has = |key: &str, value: &str| {
            label.tags.get(key).is_some_and(|found| value.is_empty() || found.as_str() == value)
        };
        wanted.iter().all(|(key, value)| has(key, value))
    })
}

/// One of these words, in any case.
pub(super) fn one_of(
    fields: &Fields<'_>,
    name: &str,
    words: &'static [&'static str],
) -> Result<Option<&'static str>, Fault> {
    let Some(text) = fields.text(name) else { return Ok(None) };
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
    let expected = || Fault::malformed(&fields.place(name), &format!("{} is expected", words.join(", ")));
    found.copied().map(Some).ok_or_else(expected)
}

/// An address in any of its forms.
pub(super) fn address(fields: &Fields<'_>, name: &str) -> Result<Option<IpAddr>, Fault> {
    fields.text(name).map(|text| parsed(fields, name, text)).transpose()
}

/// A list of them; a listed resource has one of them, or the list is empty.
pub(super) fn addresses(fields: &Fields<'_>, name: &str) -> Result<Vec<IpAddr>, Fault> {
    fields.list(name)?.iter().map(|text| parsed(fields, name, text)).collect()
}

fn parsed(fields: &Fields<'_>, name: &str, text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| Fault::malformed(&fields.place(name), "IP addresses are expected"))
}

/// Whether one of the `wanted` addresses is there; also if none is wanted.
pub(super) fn has_one(wanted: &[IpAddr], there: &[IpAddr]) -> bool {
    wanted.is_empty() || there.iter().any(|address| wanted.contains(address))
}

/// Whether a name is `pattern`, in which `*` stands for any text. No name has an asterisk of its own.
pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn an_asterisk_stands_for_any_text() {
        for (pattern, name) in [
            ("web", "web"),
            ("*", ""),
            ("*", "web"),
            ("web*", "web"),
            ("web*", "web1"),
            ("*1", "web1"),
            ("*e*", "web"),
            ("w*b*1", "webbb1"),
            ("**", "x"),
            ("a*a", "aa"),
            ("*ab*ab", "abab"),
        ] {
            assert!(is_like(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("web", "webs"), ("web*", "we"), ("*1", "web12"), ("a*a", "a"), ("*ab*ab", "ab"), ("*x*", "web")]
        {
            assert!(!is_like(pattern, name), "{pattern} {name}");
        }
    }
}
