//! A request of this API, from its head to the response: its context, its body, and the operation that it asks for.
//!
//! It refuses unknown parameters and fields, and runs operations idempotently. It must never know an operation. `routes` calls it.

use std::sync::Arc;

use axum::{
    Json, RequestPartsExt as _,
    body::Body,
    extract::{Query, RawPathParams, Request},
    http::{HeaderMap, HeaderName, Uri, request::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, channel::Channel};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sg_agent::Confirm;
use sg_audit::{Api, Entry};
use sg_model::{LONGEST_CONFIRM, SHORTEST_CONFIRM};
use sg_records::KeyRole;
use sg_service::{Connection, Guarded, Idempotent, Insists, NoConnection, Operation, OwnConnection, Refusal};
use sg_store::{Export, StoreError};
use tracing::Span;
use utoipa::IntoParams;

use super::{Native, caller::Identity, error::Failed, reason::Why};
use crate::{
    listen::{LargeBody, Local, Peer, collect, failure},
    media,
    recording::PendingChange,
};

/// The context of a request, for queries and operations.
#[derive(Clone, Debug)]
pub(super) struct RequestContext {
    /// The path parameters, in order.
    path: Vec<String>,
    uri: Uri,
    caller: Identity,
    /// The caller's own connections to this host, which a change must not take away.
    connections: Vec<OwnConnection>,
    /// The region that the server lists first.
    region: Arc<str>,
}

impl RequestContext {
    /// The first path parameter.
    pub(super) fn path(&self) -> String {
        self.path.first().cloned().unwrap_or_default()
    }

    /// Parses the query parameters.
    pub(super) fn query<Q: DeserializeOwned>(&self) -> Result<Q, Failed> {
        let query = Query::<Q>::try_from_uri(&self.uri);
        query.map(|Query(query)| query).map_err(|error| Failed::Malformed(error.body_text()))
    }

    /// The query parameters, in order.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    /// Refuses a caller without this role.
    pub(super) fn check(&self, needed: KeyRole) -> Result<(), Failed> {
        self.caller.check(needed)
    }

    /// The role of the caller.
    pub(super) const fn role(&self) -> KeyRole {
        self.caller.role
    }

    /// The name of the caller: `uid 0` or `key ak-…`.
    pub(super) fn caller(&self) -> &str {
        &self.caller.name
    }

    /// The region that the server lists first.
    pub(super) fn first_region(&self) -> String {
        self.region.to_string()
    }

    /// Whether the caller insists on the change.
    pub(super) fn is_forced(&self) -> bool {
        self.query::<Trial>().is_ok_and(|trial| trial.force)
    }

    /// Whether the change is to be confirmed, so that it takes itself back.
    pub(super) fn is_tried(&self) -> bool {
        self.query::<Trial>().is_ok_and(|trial| trial.confirm.is_some())
    }

    /// How the change is to be confirmed, if it is.
    fn confirm(&self, trial: &Trial) -> Result<Option<Confirm>, Failed> {
        let Some(seconds) = trial.confirm else { return Ok(None) };
        if !(SHORTEST_CONFIRM..=LONGEST_CONFIRM).contains(&seconds) {
            return Err(Failed::Malformed(format!(
                "confirm: {seconds} is not {SHORTEST_CONFIRM} to {LONGEST_CONFIRM} seconds"
            )));
        }
        if trial.dry_run {
            return Err(Failed::Malformed(
                "confirm: a dry run changes nothing that could be confirmed; leave out one of confirm and dry_run"
                    .to_owned(),
            ));
        }
        Ok(Some(Confirm { seconds, owner: self.caller.name.clone() }))
    }

    /// An operation, guarded as the caller wants it; whether nothing of it is to be done; and how it is to be confirmed, if it is.
    pub(super) fn guarded<O>(&self, operation: O) -> Result<(Guarded<O>, bool, Option<Confirm>), Failed> {
        let trial = self.query::<Trial>()?;
        let confirm = self.confirm(&trial)?;
        // A change that is tried takes itself back.
        let is_guarded = !trial.force && confirm.is_none();
        let connections = if is_guarded { self.connections.clone() } else { Vec::new() };
        let guarded = Guarded::new(operation, connections).insisting(trial.insists());
        Ok((guarded, trial.dry_run, confirm))
    }

    /// An entry for the history of a change that the audit trail has otherwise.
    pub(super) fn entry(&self, operation: &str) -> Result<Entry, Failed> {
        let mut entry = Entry::new(Api::Native, operation, self.caller.who.clone(), "");
        entry.reason = Why::of(&self.uri)?;
        Ok(entry)
    }

    /// Whether the caller may read and import secrets.
    pub(super) fn is_root(&self) -> bool {
        self.caller.name == "uid 0"
    }
}

/// Parameters of every operation.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub(super) struct Trial {
    /// Return the result that the operation would have, without changing anything. Default: false.
    pub(super) dry_run: bool,
    /// Make the change even if the caller's own connection, or what a document keeps, would not be accepted any more. The
    /// caller's connections are that of a TCP client, and the one in the header `SSH-Connection`. Default: false.
    pub(super) force: bool,
    /// Take the change back after so many seconds, 5 to 86400, unless it is confirmed. The header `Pending-Change` of the response
    /// has its id and deadline. The caller's connection, and what a document keeps, are not guarded then. Default: it stays.
    pub(super) confirm: Option<u32>,
    /// Make the change even if tests that every change is asked fail afterwards; the audit trail says so. Default: false.
    pub(super) skip_tests: bool,
}

impl Trial {
    /// On what the caller insists. A change that is tried takes itself back.
    const fn insists(self) -> Insists {
        Insists { force: self.force || self.confirm.is_some(), skip_tests: self.skip_tests }
    }
}

/// The header of a response that has the change which is to be confirmed, as JSON.
pub(super) const PENDING_CHANGE: &str = "Pending-Change";

/// A request whose body has not been read yet.
pub(super) struct Begun {
    pub(super) context: RequestContext,
    /// The change that it asks for, for the audit trail.
    change: Option<PendingChange>,
    /// The idempotency key.
    token: Option<String>,
    headers: HeaderMap,
    /// The media types that its body may have; if there are none, it must be empty.
    kinds: &'static [&'static str],
    body: Body,
    /// Counts the body as large until it is dropped.
    large: Option<LargeBody>,
}

impl Begun {
    /// Reads the context of a request. Refuses callers without the role `needed`, and query parameters that are not `known`.
    pub(super) async fn of(
        request: Request,
        needed: KeyRole,
        known: &[String],
        kinds: &'static [&'static str],
        large: Option<usize>,
        region: &Arc<str>,
    ) -> Result<Self, Failed> {
        let (mut parts, body) = request.into_parts();
        let path = parts
            .extract::<RawPathParams>()
            .await
            .map(|path| path.iter().map(|(_, part)| part.to_owned()).collect::<Vec<String>>());
        let change = parts.extensions.remove::<PendingChange>();
        if let (Some(change), Some(target)) = (&change, path.iter().flatten().next()) {
            change.aims_at(target);
        }
        let caller = parts.extensions.get::<Identity>().cloned();
        let caller = caller.ok_or(Failed::Forbidden("this request came through no listener"))?;
        caller.check(needed)?;
        let path = path.map_err(|error| Failed::Malformed(error.body_text()))?;
        let query = parts.uri.query().unwrap_or_default();
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|known| *known == name) {
                let name: String = name.chars().take(64).collect();
                let known = known.join(", ");
                return Err(Failed::Malformed(format!("the query has {name:?}; allowed are: {known}")));
            }
        }
        if let Some(change) = &change {
            change.is_for(Why::of(&parts.uri)?);
        }
        let token = token(&parts.headers)?;
        // A request that came through no listener has no limit to raise.
        let large = large.and_then(|bytes| Some((bytes, parts.extensions.remove::<LargeBody>()?)));
        if let Some((bytes, handle)) = &large {
            handle.allow(*bytes);
        }
        let connections = own_connections(&parts)?;
        let context =
            RequestContext { path, uri: parts.uri, caller, connections, region: Arc::clone(region) };
        let large = large.map(|(_, handle)| handle);
        Ok(Self { context, change, token, headers: parts.headers, kinds, body, large })
    }

    /// Lets its body be large without being the listener's large one. The request must have a place of which there are few.
    pub(super) fn stand_apart(&self) {
        if let Some(large) = &self.large {
            large.stand_apart();
        }
    }

    /// The context alone, after the body was read: nothing counts as large any more.
    pub(super) fn into_context(self) -> RequestContext {
        self.context
    }

    /// The change that it asks for, unless it is a dry run.
    pub(super) fn change(&self) -> Option<PendingChange> {
        self.change.clone()
    }

    /// Reads the whole body.
    pub(super) async fn read(&mut self) -> Result<Bytes, Failed> {
        let body = collect(std::mem::take(&mut self.body)).await?;
        self.check(&body)?;
        Ok(body)
    }

    /// Reads the next piece of the body.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(failure)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Checks that a body, or a piece of one, is of an expected kind.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), Failed> {
        match self.kinds {
            [] if !matches!(body.trim_ascii(), b"" | b"{}") => Err(Failed::Malformed(
                "nobody reads the body of this request: say what it asks in its path and query".to_owned(),
            )),
            [_, ..] if !body.is_empty() => Ok(media::check(&self.headers, self.kinds)?),
            _ => Ok(()),
        }
    }

    /// Runs an operation; with `dry_run`, returns the result that it would have.
    pub(super) async fn perform<O>(self, native: Native, operation: O) -> Result<Response, Failed>
    where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned,
    {
        let Self { context, change, token, large, .. } = self;
        let ticket = || change.as_ref().map(PendingChange::ticket).ok_or(Failed::Refused(Refusal::Ending));
        let (guarded, is_dry_run, confirm) = context.guarded(operation.clone())?;
        if is_dry_run {
            return aside(move || Ok(native.store()?.try_out(&guarded)?)).await.map(json);
        }
        let (output, pending) = match token {
            None => native.store()?.submit_until(ticket()?, guarded, confirm).await?,
            Some(token) => {
                let name = &context.caller.name;
                // A change that stays is not a repetition of one that is to be confirmed.
                let idempotent = match &confirm {
                    None => Idempotent::new(name, &token, &operation, guarded)?,
                    Some(confirm) => Idempotent::new(name, &token, &(&operation, confirm.seconds), guarded)?,
                };
                native.store()?.submit_until(ticket()?, idempotent, confirm).await?
            }
        };
        drop(large);
        let mut response = json(output);
        if let Some(pending) = pending.and_then(|pending| serde_json::to_string(&pending).ok()?.parse().ok())
        {
            response.headers_mut().insert(HeaderName::from_static("pending-change"), pending);
        }
        Ok(response)
    }
}

/// The connections of a caller: that of a TCP client, and the one over which it says that its user came here.
fn own_connections(parts: &Parts) -> Result<Vec<OwnConnection>, Failed> {
    let mut connections = Vec::new();
    let extensions = &parts.extensions;
    if let (Some(Peer::Address(remote)), Some(Local(local))) = (extensions.get(), extensions.get()) {
        connections.push(("your connection to the API", Connection::new(*remote, *local)));
    }
    let mut own = parts.headers.get_all("ssh-connection").iter();
    if let Some(text) = own.next() {
        if own.next().is_some() {
            return Err(Failed::Malformed(
                "the request has several SSH-Connection headers: send one".to_owned(),
            ));
        }
        let text = text.to_str().unwrap_or_default();
        let connection = text.parse().map_err(|error: NoConnection| {
            Failed::Malformed(format!("the header SSH-Connection has {text:?}: {error}"))
        })?;
        connections.push(("your SSH connection", connection));
    }
    Ok(connections)
}

/// The idempotency key of a request.
fn token(headers: &HeaderMap) -> Result<Option<String>, Failed> {
    let malformed = |what: &str| Failed::Malformed(format!("the request has {what}"));
    let mut tokens = headers.get_all("idempotency-key").iter();
    let Some(token) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err(malformed("several Idempotency-Key headers: send one"));
    }
    let token = token.to_str().map_err(|_| malformed("an Idempotency-Key that is not ASCII"))?;
    Ok(Some(token.to_owned()))
}

/// Does what may take milliseconds, while other requests are served.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let request = Span::current();
    let done = tokio::task::spawn_blocking(move || request.in_scope(work));
    done.await.map_err(|_| Failed::Refused(Refusal::Ending))?
}

pub(super) fn json(response: impl Serialize) -> Response {
    Json(response).into_response()
}

/// The lines of a file as a body, generated as the client reads them.
pub(super) fn lines(file: Export) -> Body {
    const PIECE: usize = 64 << 10;
    let (mut sender, body) = Channel::<Bytes, StoreError>::new(2);
    tokio::spawn(async move {
        let mut piece = Vec::with_capacity(PIECE * 2);
        for line in file {
            match line {
                Ok(line) => piece.extend_from_slice(&line),
                Err(error) => return sender.abort(error),
            }
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE * 2));
                // The client is gone.
                let Ok(()) = sender.send_data(full.into()).await else { return };
            }
        }
        let _ = sender.send_data(piece.into()).await;
    });
    Body::new(body)
}

pub(super) fn text(body: &[u8]) -> Result<&str, Failed> {
    std::str::from_utf8(body).map_err(|error| Failed::Malformed(format!("the body is no UTF-8: {error}")))
}

/// Parses JSON. An unknown field is refused: a misspelt change must not look successful.
pub(super) fn strictly<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<T, Failed> {
    let empty = body.iter().all(u8::is_ascii_whitespace);
    let written: Value = if empty { Value::Object(serde_json::Map::new()) } else { read(body)? };
    let Value::Object(fields) = &written else {
        return Err(Failed::Malformed("a JSON object is expected".to_owned()));
    };
    let given: Vec<String> = fields.keys().cloned().collect();
    // From the text and not from the parsed value, which has lost duplicate keys.
    let value = if empty { serde_json::from_value(written) } else { serde_json::from_slice(body) };
    let value: T = value.map_err(|error| Failed::Malformed(error.to_string()))?;
    let understood = serde_json::to_value(&value).unwrap_or_default();
    let is_known = |key: &String| understood.get(key).is_some();
    if let Some(unknown) = given.iter().find(|key| !is_known(key)) {
        let names: Vec<&str> = understood
            .as_object()
            .map(|fields| fields.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let near = names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
        let near = near.filter(|near| strsim::jaro_winkler(near, unknown) > 0.7);
        let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        return Err(Failed::Malformed(format!("unknown field {unknown:?}{hint}")));
    }
    Ok(value)
}

fn read(body: &[u8]) -> Result<Value, Failed> {
    serde_json::from_slice(body).map_err(|error| Failed::Malformed(format!("this is no JSON: {error}")))
}
