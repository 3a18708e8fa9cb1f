//! Arguments for name, description and tags of everything that has them.

use std::collections::BTreeMap;

use clap::Args;
use sg_api_types::{LabelChange, NewLabel};

/// Of something new.
#[derive(Clone, Debug, Args)]
pub(crate) struct NewLabelArgs {
    /// Name.
    name: Option<String>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Tag. May be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

impl NewLabelArgs {
    pub(crate) fn into_request(self) -> NewLabel {
        NewLabel {
            name: self.name.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            tags: self.tags.into_iter().collect(),
        }
    }
}

/// Of something that is there.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabelChangeArgs {
    /// New name; '' removes it.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// New description; '' removes it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Tag. May be repeated; replaces all tags.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Remove all tags.
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
}

impl LabelChangeArgs {
    pub(crate) fn into_request(self) -> LabelChange {
        let tags: BTreeMap<String, String> = self.tags.into_iter().collect();
        let changed = self.no_tags || !tags.is_empty();
        LabelChange { name: self.name, description: self.description, tags: changed.then_some(tags) }
    }
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err("a tag is KEY=VALUE, or KEY alone".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}
