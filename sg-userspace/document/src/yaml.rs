//! Text → tree. All errors of YAML itself are found here.

use serde_saphyr::{
    Error, ExternalMessageSource, MessageFormatter, UserMessageFormatter, budget::BudgetBreach,
    granit_parser::ErrorKind,
};

use super::{
    limits::{Limit, parser_options},
    node::Node,
    outline::Outline,
    place::{KeyPath, Position},
    problem::Problem,
    words::Excerpt,
};

/// A problem of the text.
pub(super) struct BrokenText {
    pub(super) at: Option<Position>,
    pub(super) path: KeyPath,
    pub(super) problem: Box<Problem>,
}

/// Parses the single document in `text`.
pub(super) fn read(text: &str) -> Result<Node, BrokenText> {
    let node = serde_saphyr::from_str_with_options::<Node>(text, parser_options());
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
