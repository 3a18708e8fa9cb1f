//! The actions: one file a noun, each with a table of its own. An action reads its parameters, calls one operation of
//! the domain and shapes what came of it; it must never know a limit or a refusal of its own making.

mod resources;

use std::pin::Pin;

use super::{Answer, Call, Fault, router::Ecs};

/// What an action is going to answer.
pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fault>> + Send + 'a>>;
/// An action.
pub(super) type Handler = for<'a> fn(&'a Ecs, &'a Call) -> Answering<'a>;

/// The nouns' tables, asked in turn.
const NOUNS: [fn(&str) -> Option<Handler>; 1] = [resources::action];

/// The action of this name.
pub(super) fn action(name: &str) -> Option<Handler> {
    NOUNS.iter().find_map(|noun| noun(name))
}
