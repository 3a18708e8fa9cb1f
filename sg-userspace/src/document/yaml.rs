//! Text → tree. Everything that YAML itself can be wrong about ends here.

use serde_saphyr::{
    Error, MessageFormatter, Options, UserMessageFormatter, alias_limits, budget,
    budget::BudgetBreach,
    options,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use super::{
    node::Node,
    outline::Outline,
    place::{KeyPath, Position},
    problem::{Excerpt, Problem},
};

/// A problem of the text.
pub(super) struct BrokenText {
    pub(super) at: Option<Position>,
    pub(super) path: KeyPath,
    pub(super) problem: Problem,
}

/// The limits of a document that is worth reading. They bound time and memory whatever is in it.
///
/// A million prefixes fit; the deepest thing in a policy is the group of a rule's remote, at 6.
fn limits() -> Options {
    options! {
        budget: budget! {
            max_events: 8_000_000,
            max_nodes: 4_000_000,
            max_depth: 16,
            flow_nesting_limit: 16,
            max_documents: 1,
            max_aliases: 10_000,
            max_anchors: 10_000,
            // What aliases repeat is bounded below, so their number alone says nothing.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: 100_000,
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

/// Reads the one document of `text`.
pub(super) fn read(text: &str) -> Result<Node, BrokenText> {
    let node = serde_saphyr::from_str_with_options::<Node>(text, limits());
    let node = node.map_err(|error| translate(text, &error))?;
    if node.is_null() {
        return Err(BrokenText { at: None, path: KeyPath::default(), problem: Problem::Empty });
    }
    Ok(node)
}

/// What the reader of YAML says, in the words of this room.
fn translate(text: &str, error: &Error) -> BrokenText {
    let at = error
        .location()
        .map(|location| Position { line: location.line() as u32, column: location.column() as u32 });
    let outline = at.map(|at| Outline::until(text, at)).unwrap_or_default();
    let message = |error: &Error| {
        let message = UserMessageFormatter.format_message(error);
        message.lines().next().unwrap_or_default().escape_debug().to_string()
    };
    let problem = match root_cause(error) {
        Error::Eof { .. } => Problem::Empty,
        Error::MultipleDocuments { .. } => Problem::SeveralDocuments,
        Error::DuplicateMappingKey { key, .. } => Problem::DuplicateKey {
            key: key.as_deref().map_or_else(|| Excerpt::word("of a mapping"), Excerpt::of),
            first: outline.first_of_key,
        },
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => Problem::SeveralDocuments,
        error @ (Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }) => Problem::TooComplex { limit: message(error) },
        error => Problem::Syntax { message: message(error) },
    };
    BrokenText { at, path: outline.path, problem }
}

/// The error within the wrappings that tell of aliases and snippets.
fn root_cause(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => root_cause(error),
        error => error,
    }
}
