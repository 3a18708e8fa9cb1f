//! From a request to its response: the one handler of this API. Every request gets a response in the vendor's form, whatever is
//! wrong with it.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    http::{self, Request},
};

use sg_audit::{Api, Entry, Who};
use sg_records::KeyRole;

use super::{
    Action, Call, Ecs, Fault, Response, actions,
    authenticate::authenticate,
    reply::ResponseContext,
    understood,
    wire::{self, Wire},
};
use crate::{
    listen::Claim,
    recording::{self, ErrorCode, Facts, UNKNOWN},
    request_id::{RequestId, with_ids},
};

/// The router of this API. It handles every path and method.
pub fn router(ecs: Ecs) -> Router {
    let recording = ecs.recording.clone();
    let ecs = Arc::new(ecs);
    let router =
        Router::new().fallback(move |Extension(id): Extension<RequestId>, request: Request<Body>| {
            let ecs = Arc::clone(&ecs);
            async move { reply(&ecs, id, request).await }
        });
    with_ids(router, Api::Ecs, &["x-acs-request-id"], recording)
}

async fn reply(ecs: &Ecs, RequestId(request_id): RequestId, request: Request<Body>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let from = recording::from(parts.extensions.get().copied());
    let facts = parts.extensions.get::<Facts>().cloned().unwrap_or_default();
    let mut entry = Entry::new(Api::Ecs, UNKNOWN, Who::default(), from);
    entry.request = Some(request_id.clone());
    let mut context =
        ResponseContext { format: wire::early_format(&parts), host: wire::host(&parts), request_id };
    let result = execute(ecs, Request::from_parts(parts, body), &mut context, &mut entry, &facts).await;
    match result {
        Ok((call, response)) => {
            tracing::debug!("{} by {}", call.action, call.key_id);
            context.succeed(&call.action, response)
        }
        Err(fault) => {
            // Not its message: that of a wrong signature has every parameter.
            tracing::debug!("{} {}", fault.status.as_u16(), fault.code);
            let code = ErrorCode(fault.code.to_string());
            if entry.who.access_key.is_none() {
                ecs.recording.unknown_caller(entry, &code.0).await;
            }
            let mut response = context.fail(fault);
            response.extensions_mut().insert(code);
            response
        }
    }
}

async fn execute(
    ecs: &Ecs,
    request: Request<Body>,
    context: &mut ResponseContext,
    entry: &mut Entry,
    facts: &Facts,
) -> Result<(Call, Response), Fault> {
    let claim = request.extensions().get::<Claim>().cloned();
    let wire = Wire::read(request).await?;
    context.format = wire.format()?;
    // Of the table, not of the request: nobody is authenticated yet.
    let action = wire.action().and_then(actions::action);
    if let Some(action) = action {
        action.name.clone_into(&mut entry.operation);
    }
    let call = authenticate(wire, context.format, &context.request_id, ecs, entry);
    facts.note(action.map(|action| action.name.to_owned()), entry.who.clone());
    let mut call = call?;
    if let Some(claim) = claim {
        claim.accept();
    }
    let action = action.ok_or_else(Fault::unknown_action)?;
    if call.role < action.role {
        let fault = Fault::not_allowed(action.name, action.role, call.role);
        call.change.not_allowed(&fault.code, &fault.message).await;
        return Err(fault);
    }
    match run(ecs, action, &mut call).await {
        Ok(response) => Ok((call, response)),
        Err(fault) => {
            if action.role > KeyRole::Viewer && !call.dry_run {
                call.change.refused(&fault.code, &fault.message).await;
            }
            Err(fault)
        }
    }
}

async fn run(ecs: &Ecs, action: &Action, call: &mut Call) -> Result<Response, Fault> {
    understood::check(action, call)?;
    call.dry_run = action.has_dry_run() && call.fields().boolean("DryRun")?.unwrap_or(false);
    let response = (action.handler)(ecs, call).await?;
    // That of a change is refused by `submit`.
    if call.dry_run { Err(Fault::would_succeed()) } else { Ok(response) }
}
