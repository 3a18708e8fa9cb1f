//! What an action declares: its name, what it does, and every parameter that a request for it may have. `docs/use/ecs-api.md` is
//! written from these declarations. Tests compare them with what the actions read (`ecs/tests/declared.rs`) and with what the
//! vendor's SDKs send (`ecs/tests/sdk.rs`).

use std::pin::Pin;

use sg_records::KeyRole;

use super::parameter::{EVERY, Effect, Parameter};
use crate::ecs::{Call, Ecs, Fault, Response};

/// The future response of an action.
pub(in crate::ecs) type ActionFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send + 'a>>;
pub(in crate::ecs) type Handler = for<'a> fn(&'a Ecs, &'a Call) -> ActionFuture<'a>;

/// An action of the API.
pub struct Action {
    /// `CreateSecurityGroup`.
    pub name: &'static str,
    /// What it does, as a sentence.
    pub about: &'static str,
    /// The role that a key needs for it: the least of those that may.
    pub role: KeyRole,
    pub(in crate::ecs) handler: Handler,
    /// What a request for it may have, in parts that several actions have in common.
    pub parameters: &'static [&'static [Parameter]],
}

impl Action {
    /// All that it declares.
    pub fn declared(&self) -> impl Iterator<Item = &'static Parameter> + Clone + use<> {
        self.parameters.iter().flat_map(|part| part.iter())
    }

    /// The parameter at a place in a request, the numbers of which are written as `N`.
    #[must_use]
    pub fn parameter(&self, place: &str) -> Option<&'static Parameter> {
        self.declared().chain(EVERY).find(|parameter| parameter.is(place))
    }

    /// Whether a request can ask what it would do, and for nothing else.
    #[must_use]
    pub fn has_dry_run(&self) -> bool {
        self.parameter("DryRun").is_some_and(|found| matches!(found.effect, Effect::Acts { .. }))
    }
}
