//! From a request to its response: the one handler of this API. Every request gets a response in the vendor's form, whatever is
//! wrong with it.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    http::{self, Method, Request},
};
use serde_json::Value;
use sg_audit::{Api, Entry, Who};
use sg_records::{GroupId, KeyRole, PrefixListId, RuleId, id_of};
use sg_service::State;
use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::Span;

use super::{
    Call, Dialect, Fault, Huawei, Operation, Response,
    authenticate::{Caller, authenticate},
    call::PathValues,
    compare, ids,
    problem::Problem,
    project::{self, Project},
    reply,
    route::route,
    wire::Wire,
};
use crate::{
    listen::Claim,
    recording::{self, ErrorCode, Facts, PendingChange, UNKNOWN},
    request_id::{RequestId, with_ids},
};

/// The router of this API. It handles every path and method.
pub fn router(huawei: Huawei) -> Router {
    let recording = huawei.recording.clone();
    let huawei = Arc::new(huawei);
    let router =
        Router::new().fallback(move |Extension(id): Extension<RequestId>, request: Request<Body>| {
            let huawei = Arc::clone(&huawei);
            async move { reply(&huawei, id, request).await }
        });
    // Clients of OpenStack show the second.
    with_ids(router, Api::Huawei, &["x-request-id", "x-openstack-request-id"], recording)
}

async fn reply(
    huawei: &Arc<Huawei>,
    RequestId(id): RequestId,
    request: Request<Body>,
) -> http::Response<Body> {
    let from = recording::from(request.extensions().get().copied());
    let facts = request.extensions().get::<Facts>().cloned().unwrap_or_default();
    let mut entry = Entry::new(Api::Huawei, UNKNOWN, Who::default(), from);
    entry.request = Some(id.clone());
    match execute(huawei, request, &id, &mut entry, &facts).await {
        Ok((dialect, response)) => response.write(dialect, &id),
        Err(fault) => {
            tracing::debug!("{} {}", fault.status.as_u16(), fault.code);
            let code = ErrorCode(fault.code.to_string());
            if let Some(key) = &fault.claimed {
                entry.who = Who::claiming(key);
                facts.note(Some(entry.operation.clone()), entry.who.clone());
            }
            if entry.who.access_key.is_none() {
                huawei.recording.unknown_caller(entry, &code.0).await;
            }
            let mut response = reply::refused(&fault, &id);
            response.extensions_mut().insert(code);
            response
        }
    }
}

async fn execute(
    huawei: &Arc<Huawei>,
    request: Request<Body>,
    id: &str,
    entry: &mut Entry,
    facts: &Facts,
) -> Result<(Dialect, Response), Fault> {
    let claim = request.extensions().get::<Claim>().cloned();
    let wire = Wire::read(request).await?;
    let route = route(&wire.method, &wire.parts);
    // Of the table, not of the request: nobody is authenticated yet.
    if let Some(operation) = route.first() {
        entry.operation = operation.recorded_name();
    }
    let needs_key = route.first().is_none_or(|operation| operation.role.is_some());
    let caller = if needs_key { Some(authenticate(&wire, huawei, entry)) } else { None };
    facts.note(route.first().map(Operation::recorded_name), entry.who.clone());
    let caller = caller.transpose()?;
    if let Some(claim) = claim.filter(|_| caller.is_some()) {
        claim.accept();
    }
    let body = wire.json();
    let operation = match &body {
        Ok(body) => route.choose(body),
        Err(_) => route.first(),
    };
    let operation = operation.ok_or_else(Fault::no_operation)?;
    entry.operation = operation.recorded_name();
    facts.note(Some(operation.recorded_name()), entry.who.clone());
    let change = PendingChange::new(&huawei.recording.trail, entry.clone());
    if let Some(target) = target(&huawei.service.snapshot(), operation, &route.values) {
        change.aims_at(&target);
    }
    allowed(operation, caller.as_ref(), &change).await?;
    let call = match call(huawei, operation, wire, (route.values, body), caller, id, change.clone()) {
        Ok(call) => call,
        Err(fault) => {
            if operation.role > Some(KeyRole::Viewer) {
                change.refused(&fault.code, &fault.message).await;
            }
            return Err(fault);
        }
    };
    let response = run(huawei, operation, &Arc::new(call)).await?;
    if let Some(key) = &response.issued_to {
        facts.note(Some(operation.recorded_name()), Who::key(key));
    }
    Ok((operation.dialect, response))
}

/// Refuses what the role of the caller does not allow, before anything else of the request is looked at.
async fn allowed(
    operation: &Operation,
    caller: Option<&Caller>,
    change: &PendingChange,
) -> Result<(), Fault> {
    if let (Some(needed), Some(caller)) = (operation.role, caller)
        && caller.role < needed
    {
        let fault = Fault::not_allowed(operation.declaration(), needed, caller.role);
        change.not_allowed(&fault.code, &fault.message).await;
        return Err(fault);
    }
    Ok(())
}

/// The object that the path of a request names last, as the domain calls it. A text that is no id of this server is none: nothing of
/// it belongs into the audit trail.
fn target(state: &State, operation: &Operation, values: &PathValues) -> Option<String> {
    let name = operation.path.rsplit('/').find_map(|part| part.strip_prefix('{')?.strip_suffix('}'))?;
    let uuid = ids::uuid(values.get(name).filter(|_| name != "project_id")?)?;
    let nic = || state.nic_by_uuid(uuid).map(|nic| nic.id.to_string());
    let instance = || state.instance_by_uuid(uuid).map(|instance| instance.id.to_string());
    let group = || id_of::<GroupId>(uuid).map(|id| id.to_string());
    let rule = || id_of::<RuleId>(uuid).map(|id| id.to_string());
    let list = || id_of::<PrefixListId>(uuid).map(|id| id.to_string());
    nic().or_else(instance).or_else(group).or_else(rule).or_else(list)
}

/// The call that a request is, which nothing is known to be wrong with but what its parameters say.
fn call(
    huawei: &Huawei,
    operation: &Operation,
    wire: Wire,
    (values, body): (PathValues, Result<Value, Fault>),
    caller: Option<Caller>,
    request_id: &str,
    change: PendingChange,
) -> Result<Call, Fault> {
    let project = match &caller {
        Some(caller) => {
            let header = wire.header("x-project-id");
            let token = caller.project.as_ref().map(|project| project.id.as_str());
            let path = values.get("project_id").map(String::as_str);
            let named = path.into_iter().chain(header).chain(token);
            project::only(&huawei.region, &huawei.service.snapshot(), named)
                .map_err(|(problem, message)| Fault::of(operation.declaration(), problem, message))?
        }
        // Which projects there are, only callers learn.
        None if values.get("project_id").is_none_or(|id| project::is_id(id)) => Project::of(&huawei.region),
        None => {
            let wanted = "32 hexadecimal digits are expected";
            return Err(Fault::malformed(operation.declaration(), "project_id", wanted));
        }
    };
    let host = wire.host();
    let caller =
        caller.unwrap_or_else(|| Caller { key_id: String::new(), role: KeyRole::Viewer, project: None });
    Ok(Call {
        operation: operation.declaration(),
        project,
        key_id: caller.key_id,
        role: caller.role,
        request_id: request_id.to_owned(),
        change,
        host,
        peer: wire.peer,
        headers: wire.headers,
        values,
        query: wire.query,
        body: body?,
    })
}

async fn run(
    huawei: &Arc<Huawei>,
    operation: &'static Operation,
    call: &Arc<Call>,
) -> Result<Response, Fault> {
    let result = match compare::check(call.operation, &call.query, &call.body) {
        Ok(()) => handle(huawei, operation, call).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &result
        && operation.role > Some(KeyRole::Viewer)
        && !call.is_dry_run()
    {
        call.change.refused(&fault.code, &fault.message).await;
    }
    result
}

/// Runs an operation. A query may look at every object, which takes milliseconds: then other requests are served meanwhile.
async fn handle(
    huawei: &Arc<Huawei>,
    operation: &'static Operation,
    call: &Arc<Call>,
) -> Result<Response, Fault> {
    if operation.method != Method::GET {
        return (operation.handler)(huawei, call).await;
    }
    let declaration = call.operation;
    let (huawei, call) = (Arc::clone(huawei), Arc::clone(call));
    let (runtime, request) = (Handle::current(), Span::current());
    let done =
        spawn_blocking(move || request.in_scope(|| runtime.block_on((operation.handler)(&huawei, &call))));
    done.await.map_err(|_| {
        Fault::of(
            declaration,
            Problem::Unavailable,
            "The server is ending: send the request again.".to_owned(),
        )
    })?
}
