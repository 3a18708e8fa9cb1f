//! Long lists: fetched page by page, up to the requested number.

use clap::Args;
use serde::de::DeserializeOwned;

use super::{
    address::Address, client::Call, failure::Failure, output::count, session::Session, table::Render,
};
use crate::service::{LARGEST_PAGE, Page};

/// What names, places and tags must be.
#[derive(Clone, Debug, Args)]
pub(super) struct Filter {
    /// Only these ids or names; `*` matches anything.
    #[arg(long, value_name = "NAME,…")]
    name: Option<String>,
    /// Only in this region.
    #[arg(long)]
    region: Option<String>,
    /// Only with this tag. May be repeated.
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    tags: Vec<String>,
    /// Only what belongs to this applied document.
    #[arg(long, value_name = "DOCUMENT")]
    owner: Option<String>,
}

impl Filter {
    /// An address with this filter in its query.
    pub(super) fn of(self, address: Address) -> Address {
        let address = address.with_some("name", self.name).with_some("region", self.region);
        address.with_list("tag", &self.tags).with_some("owner", self.owner)
    }
}

/// How much of a list.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Length {
    /// Maximum number to list.
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "all")]
    limit: usize,
    /// List all, without a maximum.
    #[arg(long)]
    all: bool,
}

impl Session<'_> {
    /// Lists what is at an address.
    pub(super) fn list<T: Render + DeserializeOwned>(
        &mut self,
        address: &Address,
        length: Length,
    ) -> Result<(), Failure> {
        let most = if length.all { usize::MAX } else { length.limit };
        let (things, total) = self.pages::<T>(address, most)?;
        let names = self.names_for(&things)?;
        self.output.many(&things, &names)?;
        let more = total.saturating_sub(things.len());
        if things.len() >= most && more > 0 {
            self.output.remark(&format!(
                "{} not listed; --all or a greater --limit lists more",
                count(more, T::NOUN)
            ));
        }
        Ok(())
    }

    /// At most `most` objects at an address, and their total number.
    pub(super) fn pages<T: DeserializeOwned>(
        &mut self,
        address: &Address,
        most: usize,
    ) -> Result<(Vec<T>, usize), Failure> {
        let progress = self.output.progress("reading");
        let (mut things, mut after) = (Vec::new(), None);
        loop {
            let limit = (most - things.len()).clamp(1, LARGEST_PAGE);
            let page = address.clone().with("limit", limit).with_some("after", after.as_ref());
            let page: Page<T> = self.client.call(&Call::get(page))?;
            // A server that repeats a page must not loop forever.
            let ends = page.items.is_empty() || page.next.is_none() || page.next == after;
            things.extend(page.items);
            things.truncate(most);
            progress.say(format!("reading {} of {}", things.len(), page.total));
            if ends || things.len() >= most {
                return Ok((things, page.total));
            }
            after = page.next;
        }
    }
}
