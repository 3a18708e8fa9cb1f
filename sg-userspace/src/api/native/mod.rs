//! The native API: JSON over the unix socket of `sgd serve`, and over TCP for requests that carry an access key.
//!
//! ```text
//! request ── caller ──► routes ──► change: body ─► operation ─► service, once where it has a token
//!            who asks   one table  ask:    query ─► function of a snapshot
//! ```
//!
//! * `routes`: how a route is declared. What is declared is both served and described: the router and the `OpenAPI` document
//!   (`GET /v1/openapi.json`) come of the same table, so neither can know what the other does not.
//! * `groups`, `rules`, `nics`, `lists`, `whole`: the table, by noun. Ids and names are taken alike.
//! * `error`: what a refusal is called here.
//!
//! This face must never decide what may be: that is the service's. On the socket the caller is a user whom the
//! kernel knows; over TCP it is an access key, sent as HTTP Basic (id and secret). Nothing is encrypted there, so
//! other addresses than loopback ones need a proxy with TLS before them.

mod caller;
mod error;
mod groups;
mod lists;
mod nics;
mod routes;
mod rules;
#[cfg(test)]
mod tests;
mod whole;

use std::sync::Arc;

use axum::Router;

pub use caller::Caller;
pub use error::{ErrorBody, ErrorDetail};
pub use whole::Status;

use super::attempts::Attempts;
use crate::{agent::Instance, service::Service};
use routes::Routes;

/// What this face knows.
#[derive(Clone, Debug)]
pub struct Native {
    /// The domain.
    pub service: Service,
    /// Whose NICs are told of in the status.
    pub instance: Instance,
    /// How callers are known.
    pub caller: Caller,
    /// Wrong secrets, over all faces.
    pub attempts: Arc<Attempts>,
}

/// The router of this face.
pub fn router(native: Native) -> Router {
    let (router, document) = table().build();
    let document = Arc::new(document);
    let described = move || {
        let document = Arc::clone(&document);
        async move { axum::Json(serde_json::to_value(&*document).unwrap_or_default()) }
    };
    router
        .route("/v1/openapi.json", axum::routing::get(described))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(axum::middleware::from_fn_with_state(native.clone(), caller::identify))
        .with_state(native)
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
    lists::declare(&mut routes);
    whole::declare(&mut routes);
    routes
}
