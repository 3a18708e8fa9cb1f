//! The id of a request: made here, once for every request of every API. It is in a span around all that is done for the request, so
//! in each of its log lines, and in a header of the response.
//!
//! It must never be one that the client chose: clients that are not authenticated would write into the log, and two requests could
//! share an id. The routers of the APIs call it.

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::{Next, from_fn},
};
use sg_audit::Api;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::recording::{Line, Recording};

/// The id of a request, as an extension of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives every request of `router`, which serves `api`, an id and a line in the access log, and every response the headers
/// `headers` with the id.
pub(crate) fn with_ids(
    router: Router,
    api: Api,
    headers: &'static [&'static str],
    recording: Recording,
) -> Router {
    router.layer(from_fn(move |mut request: Request, next: Next| {
        // In the form that the clients of one API expect.
        let id = Uuid::new_v4().to_string().to_uppercase();
        // Of the highest level, so that no `RUST_LOG` keeps its id from a line that it lets through.
        let span = tracing::error_span!("request", %id, api = %api.name());
        let line = Line::begin(&recording, api, &id, request.extensions().get().copied());
        let value = HeaderValue::try_from(&id);
        request.extensions_mut().insert(RequestId(id));
        request.extensions_mut().insert(line.facts());
        let response = async move {
            let mut response = next.run(request).await;
            if let Ok(value) = value {
                let names = headers.iter().map(|name| HeaderName::from_static(name));
                response.headers_mut().extend(names.map(|name| (name, value.clone())));
            }
            let code = response.extensions_mut().remove();
            line.end(response.status().as_u16(), code);
            response
        };
        response.instrument(span)
    }))
}
