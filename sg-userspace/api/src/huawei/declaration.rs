//! What of an operation a request is compared with, and what a refusal says of it. It must never know how an operation runs.

use super::{Dialect, Parameter, problem::Subject};

/// What an operation declares.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// `CreateSecurityGroup`.
    pub name: &'static str,
    /// Its version.
    pub dialect: Dialect,
    /// What it is about, for the codes of refusals.
    pub(super) subject: Subject,
    /// What it reads, in parts that several operations have in common.
    pub parameters: &'static [&'static [Parameter]],
}

impl Declaration {
    /// All parameters that it reads, refused ones included.
    pub fn declared(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.parameters.iter().flat_map(|part| part.iter())
    }
}
