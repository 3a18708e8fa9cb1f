//! Checks and changes names, descriptions and tags; the allowed values are those that Alibaba Cloud documents.
//!
//! It compares no names with each other: `twins` does. Called by the operations that create or change an object, and by
//! `integrity`.

use std::collections::{BTreeMap, HashMap};

use sg_api_types::{LabelChange, NewLabel};
use sg_model::text;
use sg_records::{Label, looks_like_id};

use super::{Field, Quota, Refusal, State, Tx};

const LONGEST_NAME: usize = 128;
const LONGEST_DESCRIPTION: usize = 256;
const LONGEST_RULE_DESCRIPTION: usize = 512;
const LONGEST_TAG: usize = 128;
const LONGEST_REGION: usize = 64;
const LONGEST_DOCUMENT_NAME: usize = 64;

/// The label of a new object.
pub(super) fn label(tx: &Tx, new: &NewLabel) -> Result<Label, Refusal> {
    name(&new.name)?;
    description(&new.description)?;
    tags(tx, &new.tags)?;
    Ok(Label {
        name: new.name.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        created: tx.now(),
        owner: None,
    })
}

/// The label after a change.
pub(super) fn changed(tx: &Tx, label: &Label, change: &LabelChange) -> Result<Label, Refusal> {
    let mut label = label.clone();
    if let Some(text) = &change.name {
        name(text)?;
        label.name.clone_from(text);
    }
    if let Some(text) = &change.description {
        description(text)?;
        label.description.clone_from(text);
    }
    if let Some(all) = &change.tags {
        tags(tx, all)?;
        label.tags.clone_from(all);
    }
    Ok(label)
}

fn name(text: &str) -> Result<(), Refusal> {
    let begins = |text: &str| text.chars().next().is_some_and(char::is_alphabetic);
    let fits = |letter: char| letter.is_alphanumeric() || ":_.-".contains(letter);
    let length = text.chars().count();
    let good =
        (2..=LONGEST_NAME).contains(&length) && begins(text) && text.chars().all(fits) && !is_address(text);
    if text.is_empty() || good {
        return free_name(text);
    }
    Err(Refusal::Invalid {
        field: Field::Name,
        found: excerpt(text),
        allowed: "2 to 128 letters, digits, `:`, `_`, `.`, `-`, beginning with a letter".to_owned(),
    })
}

/// Checks a name that a document may give: any text except one in the form of an id or one that can be mistaken for another.
pub(super) fn free_name(text: &str) -> Result<(), Refusal> {
    let invalid = |allowed| Err(Refusal::Invalid { field: Field::Name, found: excerpt(text), allowed });
    if looks_like_id(text) {
        return invalid("it has the form of an id, and would be taken for one: choose another".to_owned());
    }
    text::distinct(text).or_else(|error| invalid(error.to_string()))
}

/// Checks the name of an applied document.
pub(super) fn document_name(text: &str) -> Result<(), Refusal> {
    let named = text.chars().next().is_some_and(char::is_alphabetic)
        && text.len() <= LONGEST_DOCUMENT_NAME
        && text.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
    if named {
        return free_name(text);
    }
    let allowed = "up to 64 letters, digits, `-`, `_`, `.`, beginning with a letter".to_owned();
    Err(Refusal::Invalid { field: Field::Name, found: excerpt(text), allowed })
}

/// Checks that operations could have produced a stored label. The number of tags is not checked, because the quota may have been
/// another one.
pub(super) fn check_stored(label: &Label) -> Result<(), Refusal> {
    match &label.owner {
        None => {
            name(&label.name)?;
            description(&label.description)?;
        }
        Some(owner) => {
            document_name(owner)?;
            free_name(&label.name)?;
            visible(Field::Description, &label.description)?;
        }
    }
    tag_texts(&label.tags)
}

fn visible(field: Field, found: &str) -> Result<(), Refusal> {
    text::visible(found).map_err(|error| Refusal::Invalid {
        field,
        found: excerpt(found),
        allowed: error.to_string(),
    })
}

fn description(text: &str) -> Result<(), Refusal> {
    if text.is_empty() || ((2..=LONGEST_DESCRIPTION).contains(&text.chars().count()) && !is_address(text)) {
        return visible(Field::Description, text);
    }
    Err(Refusal::Invalid {
        field: Field::Description,
        found: excerpt(text),
        allowed: "2 to 256 characters, not beginning with http:// or https://".to_owned(),
    })
}

/// Checks the description of a rule.
pub(super) fn rule_description(text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= LONGEST_RULE_DESCRIPTION {
        return visible(Field::RuleDescription, text);
    }
    let allowed = "up to 512 characters".to_owned();
    Err(Refusal::Invalid { field: Field::RuleDescription, found: excerpt(text), allowed })
}

/// Checks the description of a list entry or an access key.
pub(super) fn remark(text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= LONGEST_DESCRIPTION {
        return visible(Field::Description, text);
    }
    let allowed = "up to 256 characters".to_owned();
    Err(Refusal::Invalid { field: Field::Description, found: excerpt(text), allowed })
}

fn tags(state: &State, tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let allowed = u64::from(state.settings().quotas.tags);
    let needed = tags.len() as u64;
    if needed > allowed {
        return Err(Refusal::TooMany { quota: Quota::Tags, what: "it".to_owned(), needed, allowed });
    }
    tag_texts(tags)
}

fn tag_texts(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let taken = |text: &str| {
        let lower = text.to_lowercase();
        lower.starts_with("aliyun") || lower.starts_with("acs:") || is_address(&lower)
    };
    let mut looks = HashMap::with_capacity(tags.len());
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > LONGEST_TAG || taken(key) {
            return Err(Refusal::Invalid {
                field: Field::TagKey,
                found: excerpt(key),
                allowed: "1 to 128 characters, not beginning with aliyun, acs:, http:// or https://"
                    .to_owned(),
            });
        }
        text::distinct(key).map_err(|error| Refusal::Invalid {
            field: Field::TagKey,
            found: excerpt(key),
            allowed: error.to_string(),
        })?;
        if let Some(other) = looks.insert(text::look(key), key) {
            let allowed = format!("it looks like {:?}, another key here: choose another", excerpt(other));
            return Err(Refusal::Invalid { field: Field::TagKey, found: excerpt(key), allowed });
        }
        if value.chars().count() > LONGEST_TAG || is_address(value) {
            return Err(Refusal::Invalid {
                field: Field::TagValue,
                found: excerpt(value),
                allowed: "up to 128 characters, not beginning with http:// or https://".to_owned(),
            });
        }
        visible(Field::TagValue, value)?;
    }
    Ok(())
}

/// Checks the name of a region; empty means the default region.
pub(super) fn region(text: &str) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() {
        return Ok(DEFAULT_REGION.to_owned());
    }
    if text.len() <= LONGEST_REGION && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    let allowed = "up to 64 letters, digits, `-`, `_`".to_owned();
    Err(Refusal::Invalid { field: Field::Region, found: excerpt(text), allowed })
}

/// The region of objects that are created without one.
pub const DEFAULT_REGION: &str = "local";

fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Shortens a text for a message.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
