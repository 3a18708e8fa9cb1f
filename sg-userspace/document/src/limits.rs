//! The limits on what a document may hold, which bound the time and memory that any bytes take. `load` counts bytes, `yaml` parses
//! with these options, and messages name the limits. It must never limit what a policy may mean: that is the model's.

use serde_saphyr::{
    Options, alias_limits, budget, options,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};
use thiserror::Error;

/// The maximum size of a document in bytes. A million prefixes take about 20 MB.
pub const MAX_BYTES: u64 = 64 << 20;

/// The maximum nesting of lists and mappings. A policy has at most 6: the remote of a rule is the sixth.
const MAX_DEPTH: usize = 16;

/// The maximum number of values of a document. A million prefixes and their rules fit.
const MAX_NODES: usize = 2_000_000;

/// The maximum total number of values that aliases and merge keys expand to.
const MAX_REPEATED: usize = 100_000;

/// The parser's limits, which bound time and memory for any text.
pub(super) fn parser_options() -> Options {
    options! {
        budget: budget! {
            max_depth: MAX_DEPTH,
            // The scanner, which runs ahead of the tree, counts nesting in brackets by itself.
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            // A list or mapping has two events.
            max_events: 2 * MAX_NODES,
            max_recorded_anchor_events: MAX_REPEATED,
            // What aliases repeat is bounded separately, so their number alone means nothing.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // `yes` and `on` are text, as in YAML 1.2 and JSON.
        strict_booleans: true,
        // A tag such as !include promises something that does not happen here.
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// A limit of the parser that a text reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Limit {
    /// The nesting of lists and mappings.
    #[error("lists and mappings are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// The number of values.
    #[error("it holds more than {MAX_NODES} values")]
    Nodes,
    /// What aliases and merge keys may expand to.
    #[error("its anchors, aliases and merge keys repeat more than {MAX_REPEATED} values; write them out")]
    Repeated,
}
