//! The table of all operations, and which of them a method and a path mean. It must never look into a query or a body: where
//! several operations have one path, `chosen_by` says which field of the body decides.

use axum::http::Method;
use serde_json::Value;

use super::{Operation, call::PathValues, ecs, identity, neutron, v1, v3};

/// A noun, as a heading, and its operations.
pub type Noun = (&'static str, &'static [Operation]);

/// All operations, in the order of the documentation.
pub const NOUNS: &[Noun] = &[
    ("Security groups (VPC v3)", v3::GROUPS),
    ("Rules (VPC v3)", v3::RULES),
    ("Address groups (VPC v3)", v3::ADDRESS_GROUPS),
    ("Quotas (VPC v3)", v3::QUOTAS),
    ("Ports (VPC v3)", v3::PORTS),
    ("Security groups (VPC v1)", v1::GROUPS),
    ("Rules (VPC v1)", v1::RULES),
    ("Ports (VPC v1)", v1::PORTS),
    ("Quotas (VPC v1)", v1::QUOTAS),
    ("Security groups (Neutron v2.0)", neutron::GROUPS),
    ("Rules (Neutron v2.0)", neutron::RULES),
    ("Ports (Neutron v2.0)", neutron::PORTS),
    ("Servers (ECS v1, Nova v2.1)", ecs::SERVERS),
    ("Interfaces of servers (ECS v1, Nova v2.1)", ecs::INTERFACES),
    ("Groups of servers (Nova v2.1)", ecs::GROUPS),
    ("Tokens", identity::TOKENS),
    ("Projects", identity::PROJECTS),
    ("Versions", identity::VERSIONS),
];

/// The operations of a method and a path; several if the body decides.
#[derive(Debug, Default)]
pub(super) struct Route {
    found: Vec<&'static Operation>,
    pub(super) values: PathValues,
}

impl Route {
    /// The one of the operations that a body means.
    pub(super) fn choose(&self, body: &Value) -> Option<&'static Operation> {
        let has = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
        let chosen = self.found.iter().find(|operation| operation.chosen_by.is_none_or(has));
        chosen.copied().or_else(|| self.first())
    }

    /// One of the operations; none if there is none.
    pub(super) fn first(&self) -> Option<&'static Operation> {
        self.found.first().copied()
    }
}

/// The operations of a method and a path, which is given in parts. Of paths that fit, the one with most fixed parts is meant.
pub(super) fn route(method: &Method, parts: &[String]) -> Route {
    let mut best = Route::default();
    let mut fixed = 0;
    for operation in NOUNS.iter().flat_map(|(_, operations)| *operations) {
        if operation.method != *method {
            continue;
        }
        let Some((count, values)) = fit(operation.path, parts) else { continue };
        if best.found.is_empty() || count > fixed {
            (best.found, best.values, fixed) = (vec![operation], values, count);
        } else if count == fixed {
            best.found.push(operation);
        }
    }
    best
}

/// The number of fixed parts, and the values of the others, if a path fits.
fn fit(template: &'static str, parts: &[String]) -> Option<(usize, PathValues)> {
    let wanted: Vec<&'static str> = template.strip_prefix('/')?.split('/').collect();
    if wanted.len() != parts.len() {
        return None;
    }
    let (mut fixed, mut values) = (0, PathValues::new());
    for (wanted, part) in wanted.into_iter().zip(parts) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !part.is_empty() => drop(values.insert(name, part.clone())),
            None if wanted == part => fixed += 1,
            _ => return None,
        }
    }
    Some((fixed, values))
}
