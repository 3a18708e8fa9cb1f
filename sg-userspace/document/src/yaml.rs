//! Text → tree. All errors of YAML itself are found here.

use serde_saphyr::{
    Error, ExternalMessageSource, MessageFormatter, Options, UserMessageFormatter, alias_limits, budget,
    budget::BudgetBreach,
    granit_parser::ErrorKind,
    options,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use super::{
    node::Node,
    outline::Outline,
    place::{KeyPath, Position},
    problem::{Limit, Problem},
    words::Excerpt,
};

/// A problem of the text.
pub(super) struct BrokenText {
    pub(super) at: Option<Position>,
    pub(super) path: KeyPath,
    pub(super) problem: Box<Problem>,
}

/// The maximum nesting of lists and mappings. A policy has at most 6: the remote of a rule is the sixth.
pub(super) const MAX_DEPTH: usize = 16;

/// The maximum number of values of a document. A million prefixes and their rules fit.
pub(super) const MAX_NODES: usize = 2_000_000;

/// The maximum total number of values that aliases and merge keys expand to.
pub(super) const MAX_REPEATED: usize = 100_000;

/// The parser's limits, which bound time and memory for any text.
fn options() -> Options {
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

/// Parses the single document in `text`.
pub(super) fn read(text: &str) -> Result<Node, BrokenText> {
    let node = serde_saphyr::from_str_with_options::<Node>(text, options());
    let node = node.map_err(|error| translate(text, &error))?;
    if node.is_null() {
        return Err(BrokenText { at: None, path: KeyPath::default(), problem: Problem::Empty.into() });
    }
    Ok(node)
}

/// Translates an error of the YAML parser into one of this crate.
fn translate(text: &str, error: &Error) -> BrokenText {
    let at = error
        .location()
        .map(|location| Position { line: location.line() as u32, column: location.column() as u32 });
    let outline = at.map(|at| Outline::until(text, at)).unwrap_or_default();
    let problem = match root_cause(error) {
        Error::Eof { .. } => Problem::Empty,
        Error::MultipleDocuments { .. } => Problem::SeveralDocuments,
        Error::DuplicateMappingKey { key, .. } => Problem::DuplicateKey {
            key: key.as_deref().map_or_else(|| Excerpt::word("of a mapping"), Excerpt::key),
            first: outline.first_of_key,
        },
        error if is_too_deep(error) => Problem::TooComplex(Limit::Depth),
        Error::Budget { breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }, .. } => {
            Problem::TooComplex(Limit::Nodes)
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => Problem::TooComplex(Limit::Repeated),
        error => {
            // One line, whatever the document put into it.
            let message = UserMessageFormatter.format_message(error).replace(char::is_control, " ");
            Problem::Syntax { message }
        }
    };
    // A text that cannot be parsed may not be a policy at all.
    BrokenText { at, path: outline.path.in_plain_words(), problem: problem.into() }
}

/// The innermost error, without the wrappers that describe aliases and snippets.
fn root_cause(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => root_cause(error),
        error => error,
    }
}

/// Whether nesting is too deep, which the tree and the scanner before it report differently.
fn is_too_deep(error: &Error) -> bool {
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => true,
        Error::ExternalMessage { source, .. } => {
            matches!(&**source, ExternalMessageSource::Parser(error) if *error.kind() == ErrorKind::RecursionLimitExceeded)
        }
        _ => false,
    }
}
