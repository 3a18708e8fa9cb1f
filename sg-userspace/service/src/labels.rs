//! Checks and changes names, descriptions and tags; the allowed values are those that the clouds document.
//!
//! It compares no names with each other: `twins` does. Called by the operations that create or change an object, and by
//! `integrity`.

use std::collections::{BTreeMap, HashMap};

use sg_api_types::{LabelChange, NewLabel};
use sg_model::text;
use sg_records::{GroupType, Label, looks_like_id};

use super::{Field, Quota, Refusal, State, Tx, refusal::excerpt};

const LONGEST_NAME: usize = 128;
const LONGEST_DESCRIPTION: usize = 256;
const LONGEST_RULE_DESCRIPTION: usize = 512;
const LONGEST_TAG: usize = 128;
const LONGEST_REGION: usize = 64;
const LONGEST_DOCUMENT_NAME: usize = 64;

/// Which names and descriptions an object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// Those that Alibaba Cloud allows.
    Alibaba,
    /// Those that one of the clouds allows, for objects that the clients of each know.
    EitherCloud,
}

impl Wording {
    /// That of a group of this type.
    pub(super) const fn of_group(kind: GroupType) -> Self {
        match kind {
            GroupType::Basic | GroupType::Enterprise => Self::Alibaba,
            GroupType::Closed => Self::EitherCloud,
        }
    }

    fn name(self, text: &str) -> Result<(), Refusal> {
        let begins = |text: &str| text.chars().next().is_some_and(char::is_alphabetic);
        let fits = |letter: char| letter.is_alphanumeric() || ":_.-".contains(letter);
        let length = text.chars().count();
        let (good, allowed) = match self {
            Self::Alibaba => (
                (2..=LONGEST_NAME).contains(&length) && begins(text) && !is_address(text),
                "2 to 128 letters, digits, `:`, `_`, `.`, `-`, beginning with a letter",
            ),
            Self::EitherCloud => (length <= LONGEST_NAME, "up to 128 letters, digits, `:`, `_`, `.`, `-`"),
        };
        if text.is_empty() || (good && text.chars().all(fits)) {
            return free_name(text);
        }
        Err(Refusal::invalid(Field::Name, text, allowed))
    }

    fn description(self, text: &str) -> Result<(), Refusal> {
        let length = text.chars().count();
        let (good, allowed) = match self {
            Self::Alibaba => (
                (2..=LONGEST_DESCRIPTION).contains(&length) && !is_address(text),
                "2 to 256 characters, not beginning with http:// or https://",
            ),
            Self::EitherCloud => (length <= LONGEST_DESCRIPTION, "up to 256 characters"),
        };
        if text.is_empty() || good {
            return visible(Field::Description, text);
        }
        Err(Refusal::invalid(Field::Description, text, allowed))
    }
}

/// The label of a new object.
pub(super) fn label(tx: &Tx, new: &NewLabel) -> Result<Label, Refusal> {
    label_as(tx, new, Wording::Alibaba)
}

/// The same, with the texts that `wording` allows.
pub(super) fn label_as(tx: &Tx, new: &NewLabel, wording: Wording) -> Result<Label, Refusal> {
    wording.name(&new.name)?;
    wording.description(&new.description)?;
    tags(tx, &new.tags)?;
    Ok(Label {
        name: new.name.clone(),
        description: new.description.clone(),
        tags: new.tags.clone(),
        created: tx.now(),
        updated: tx.now(),
        owner: None,
    })
}

/// The label after a change.
pub(super) fn changed(tx: &Tx, label: &Label, change: &LabelChange) -> Result<Label, Refusal> {
    changed_as(tx, label, change, Wording::Alibaba)
}

/// The same, with the texts that `wording` allows.
pub(super) fn changed_as(
    tx: &Tx,
    label: &Label,
    change: &LabelChange,
    wording: Wording,
) -> Result<Label, Refusal> {
    let mut label = label.clone();
    if let Some(text) = &change.name {
        wording.name(text)?;
        label.name.clone_from(text);
    }
    if let Some(text) = &change.description {
        wording.description(text)?;
        label.description.clone_from(text);
    }
    if let Some(all) = &change.tags {
        tags(tx, all)?;
        label.tags.clone_from(all);
    }
    Ok(label)
}

/// Checks a name that a document may give: any text except one in the form of an id or one that can be mistaken for another.
pub(super) fn free_name(text: &str) -> Result<(), Refusal> {
    if looks_like_id(text) {
        let allowed = "it has the form of an id, and would be taken for one: choose another";
        return Err(Refusal::invalid(Field::Name, text, allowed));
    }
    text::distinct(text).map_err(|error| Refusal::invalid(Field::Name, text, error.to_string()))
}

/// Checks the name of an applied document.
pub(super) fn document_name(text: &str) -> Result<(), Refusal> {
    let named = text.chars().next().is_some_and(char::is_alphabetic)
        && text.len() <= LONGEST_DOCUMENT_NAME
        && text.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
    if named {
        return free_name(text);
    }
    let allowed = "up to 64 letters, digits, `-`, `_`, `.`, beginning with a letter";
    Err(Refusal::invalid(Field::Name, text, allowed))
}

/// Checks that operations could have produced a stored label. The number of tags is not checked, because the quota may have been
/// another one.
pub(super) fn check_stored(label: &Label, wording: Wording) -> Result<(), Refusal> {
    match &label.owner {
        None => {
            wording.name(&label.name)?;
            wording.description(&label.description)?;
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
    text::visible(found).map_err(|error| Refusal::invalid(field, found, error.to_string()))
}

/// Checks the description of a rule.
pub(super) fn rule_description(text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= LONGEST_RULE_DESCRIPTION {
        return visible(Field::RuleDescription, text);
    }
    Err(Refusal::invalid(Field::RuleDescription, text, "up to 512 characters"))
}

/// Checks the description of a list entry or an access key.
pub(super) fn remark(text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= LONGEST_DESCRIPTION {
        return visible(Field::Description, text);
    }
    Err(Refusal::invalid(Field::Description, text, "up to 256 characters"))
}

fn tags(state: &State, tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    Quota::Tags.check("it", tags.len() as u64, state.settings().quotas.tags)?;
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
            let allowed = "1 to 128 characters, not beginning with aliyun, acs:, http:// or https://";
            return Err(Refusal::invalid(Field::TagKey, key, allowed));
        }
        text::distinct(key).map_err(|error| Refusal::invalid(Field::TagKey, key, error.to_string()))?;
        if let Some(other) = looks.insert(text::look(key), key) {
            let allowed = format!("it looks like {:?}, another key here: choose another", excerpt(other));
            return Err(Refusal::invalid(Field::TagKey, key, allowed));
        }
        if value.chars().count() > LONGEST_TAG || is_address(value) {
            let allowed = "up to 128 characters, not beginning with http:// or https://";
            return Err(Refusal::invalid(Field::TagValue, value, allowed));
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
    Err(Refusal::invalid(Field::Region, text, "up to 64 letters, digits, `-`, `_`"))
}

/// The region of objects that are created without one.
pub const DEFAULT_REGION: &str = "local";

fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}
