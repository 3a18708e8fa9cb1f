//! From a request to its response: the one handler of this API. Every request gets a response in the vendor's form, whatever is
//! wrong with it.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    http::{self, HeaderName, Request},
};

use super::{
    Call, Ecs, Fault, Response, actions,
    authenticate::authenticate,
    reply::ResponseContext,
    wire::{self, Wire},
};
use crate::{
    listen::Claim,
    request_id::{RequestId, with_ids},
};

/// The router of this API. It handles every path and method.
pub fn router(ecs: Ecs) -> Router {
    let ecs = Arc::new(ecs);
    let router =
        Router::new().fallback(move |Extension(id): Extension<RequestId>, request: Request<Body>| {
            let ecs = Arc::clone(&ecs);
            async move { reply(&ecs, id, request).await }
        });
    with_ids(router, "ecs", HeaderName::from_static("x-acs-request-id"))
}

async fn reply(ecs: &Ecs, RequestId(request_id): RequestId, request: Request<Body>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let mut context =
        ResponseContext { format: wire::early_format(&parts), host: wire::host(&parts), request_id };
    let result = execute(ecs, Request::from_parts(parts, body), &mut context).await;
    match result {
        Ok((call, response)) => {
            tracing::debug!("{} by {}", call.action, call.key_id);
            context.succeed(&call.action, response)
        }
        Err(fault) => {
            // Not its message: that of a wrong signature has every parameter.
            tracing::debug!("{} {}", fault.status.as_u16(), fault.code);
            context.fail(fault)
        }
    }
}

async fn execute(
    ecs: &Ecs,
    request: Request<Body>,
    context: &mut ResponseContext,
) -> Result<(Call, Response), Fault> {
    let claim = request.extensions().get::<Claim>().cloned();
    let wire = Wire::read(request).await?;
    context.format = wire.format()?;
    let call = authenticate(wire, context.format, &context.request_id, ecs)?;
    if let Some(claim) = claim {
        claim.accept();
    }
    let action = actions::action(&call.action).ok_or_else(Fault::unknown_action)?;
    if call.role < action.role {
        return Err(Fault::not_allowed(action.name, action.role, call.role));
    }
    if call.is_dry_run() {
        return Err(Fault::malformed(
            "DryRun",
            "this server has no dry runs, and the request would take effect",
        ));
    }
    let response = (action.handler)(ecs, &call).await?;
    Ok((call, response))
}
