//! The native API: JSON over the unix socket of `sgd serve`, and over TCP for requests that carry an access key. `sgd run` serves
//! the part that needs no store, for reading: what is in force.
//!
//! ```text
//! request ── caller ──► routes ──► change: body ─► operation ─► service, idempotent with a token
//!            identity   one table  query: parameters ─► function of a snapshot
//! ```
//!
//! * `state`: what the API holds between requests.
//! * `request`: the context and the body of a request, and its operation.
//! * `caller`: who sends a request, and whether it may.
//! * `route`, `routes`: how a route is declared. A declaration is both served and described: the router and the `OpenAPI` document
//!   (`GET /v1/openapi.json`) come from the same table, so neither has a route that the other lacks.
//! * `groups`, `rules`, `nics`, `lists`, `in_force`, `diff`, `search`, `policy_tests`, `pending`, `candidate`, `observe`, `whole`, `history`: the
//!   table, by noun. Every reference may be an id or a name.
//! * `unused`: rules, and when they were used.
//! * `policy_changes`: the history of changes of the policy, and going back.
//! * `documents`: the documents that were in force.
//! * `compared`: the policies that a request compares; `host`: what the devices of this host are.
//! * `changes`: what the audit trail has of a change; `reason`: why it is made.
//! * `places`: how many clients may observe or compare at a time.
//! * `error`: how a refusal is reported.
//!
//! This API must never decide what is allowed: the service does. On the socket, the caller is a user whom the kernel identifies;
//! over TCP it is an access key, sent as HTTP Basic (id and secret). Nothing is encrypted there, so addresses other than loopback
//! need a proxy with TLS in front of them.

mod caller;
mod candidate;
mod changes;
mod compared;
mod diff;
mod documents;
mod error;
mod groups;
mod history;
mod host;
mod in_force;
mod lists;
mod nics;
mod observe;
mod pending;
mod places;
mod policy_changes;
mod policy_tests;
mod reason;
mod request;
mod route;
mod routes;
mod rules;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod unused;
mod whole;

use std::sync::Arc;

use axum::Router;

use sg_audit::Api;

use super::request_id::with_ids;
pub use documents::Documents;
pub use places::Places;
use routes::Routes;
pub use state::{Caller, Native};

/// The path of the `OpenAPI` document.
const DOCUMENT: &str = "/v1/openapi.json";

/// The router of this API.
pub fn router(native: Native) -> Router {
    let table = table();
    let mut operations = table.operations();
    operations.insert(route::operation_id("get", DOCUMENT));
    let (router, document) = table.build();
    let document = Arc::new(document);
    let described = move || {
        let document = Arc::clone(&document);
        async move { axum::Json(serde_json::to_value(&*document).unwrap_or_default()) }
    };
    let recording = native.recording.clone();
    let router = router
        .route(DOCUMENT, axum::routing::get(described))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(axum::middleware::from_fn_with_state((native.clone(), Arc::new(operations)), caller::identify))
        .with_state(native);
    with_ids(router, Api::Native, &["x-request-id"], recording)
}

/// The `OpenAPI` document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    table().build().1
}

fn table() -> Routes {
    let mut routes = Routes::default();
    groups::declare(&mut routes);
    rules::declare(&mut routes);
    nics::declare(&mut routes);
    observe::declare(&mut routes);
    lists::declare(&mut routes);
    in_force::declare(&mut routes);
    pending::declare(&mut routes);
    candidate::declare(&mut routes);
    whole::declare(&mut routes);
    diff::declare(&mut routes);
    search::declare(&mut routes);
    policy_tests::declare(&mut routes);
    history::declare(&mut routes);
    policy_changes::declare(&mut routes);
    routes
}
