//! Which objects a list has, and how many.

use clap::Args;

/// What names, places and tags must be.
#[derive(Clone, Debug, Args)]
pub(crate) struct Filter {
    /// Only these ids or names; `*` matches anything
    #[arg(long, value_name = "NAME,…")]
    pub(crate) name: Option<String>,
    /// Only in this region
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Only with this tag; may be repeated
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<String>,
    /// Only what belongs to this applied document
    #[arg(long, value_name = "DOCUMENT")]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) length: Length,
}

/// How much of a list.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Length {
    /// Maximum number to list. Default: 1000
    #[arg(long, value_name = "N", default_value_t = 1000, hide_default_value = true, conflicts_with = "all")]
    limit: usize,
    /// List all, without a maximum
    #[arg(long)]
    all: bool,
}

impl Length {
    /// The maximum number to list.
    pub(crate) const fn most(self) -> usize {
        if self.all { usize::MAX } else { self.limit }
    }
}
