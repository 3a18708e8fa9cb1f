//! The client of the native API: HTTP/1.1 over the unix socket or a TCP address of `sgd serve`, one connection for as long as the
//! command runs.
//!
//! It blocks: a command does one thing after the other. It must never know what the bodies mean; the commands do.

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body as _,
    client::conn::http1::{SendRequest, handshake},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use sg_api_types::{ErrorBody, PendingChange};
use sg_guard::Connection;
use sg_host::ssh_session;
use tokio::{
    net::{TcpStream, UnixStream},
    runtime::{Builder, Runtime},
    time,
};
use uuid::Uuid;

use crate::client::{
    error::ClientError,
    lines::Lines,
    moved::{Moved, Pieces},
    server::Server,
};

/// How often a request is retried after its connection broke: `sgd` may just have been restarted.
const RETRIES: u32 = 3;
/// The delay before the first retry; it doubles.
const WAIT: Duration = Duration::from_millis(100);
/// The header with the change that is to be confirmed.
const PENDING_CHANGE: &str = "pending-change";
/// With this header, the server runs a request once, however often it arrives.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request to the server.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    address: String,
    body: Bytes,
    media: &'static str,
    /// Without a token, a request that changes something is sent only once.
    token: Option<String>,
    /// Whether the server guards against what it does, so that the user may insist.
    guarded: bool,
    /// Whether it is in the audit trail, so that the user may say why.
    recorded: bool,
}

impl Call {
    /// A read-only request.
    pub(crate) fn get(address: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            address: address.into(),
            body: Bytes::new(),
            media: "application/json",
            token: None,
            guarded: false,
            recorded: false,
        }
    }

    /// A request that changes something. It carries a token, so a retry cannot run it twice.
    pub(crate) fn change(method: Method, address: impl Into<String>) -> Self {
        let token = Some(Uuid::new_v4().simple().to_string());
        Self { method, token, guarded: true, recorded: true, ..Self::get(address) }
    }

    /// A request with a body that changes nothing which the server guards.
    pub(crate) fn unguarded(self) -> Self {
        Self { guarded: false, ..self }
    }

    /// A question with a body: it changes nothing.
    pub(crate) fn question(self) -> Self {
        Self { recorded: false, ..self.unguarded() }
    }

    /// A request whose response the server must not keep, which it would with a token.
    pub(crate) fn without_token(self) -> Self {
        Self { token: None, ..self }
    }

    /// Sets a body as it is.
    pub(crate) fn with_body(self, body: impl Into<Bytes>, media: &'static str) -> Self {
        Self { body: body.into(), media, ..self }
    }

    /// Sets a value as the body. Null fields are omitted, as they have no meaning: a change has only the fields that change.
    pub(crate) fn with_json(self, value: &impl Serialize) -> Result<Self, ClientError> {
        let mut value = serde_json::to_value(value).map_err(ClientError::Unwritable)?;
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let body = serde_json::to_vec(&value).map_err(ClientError::Unwritable)?;
        Ok(self.with_body(body, "application/json"))
    }

    /// Whether it only asks what it would do.
    fn is_dry_run(&self) -> bool {
        self.address.contains("dry_run=true")
    }

    fn repeatable(&self) -> bool {
        self.method == Method::GET || self.token.is_some()
    }

    fn request(
        &self,
        server: &Server,
        moved: &Arc<Moved>,
        change: &ChangeContext,
    ) -> Result<Request<Pieces>, ClientError> {
        let changes = self.method != Method::GET;
        let mut address = self.address.clone();
        // A dry run of a change that takes itself back is not guarded, as the change is not.
        let is_tried = change.confirm.is_some() && self.is_dry_run();
        let insists = [(change.force || is_tried, "force=true"), (change.skip_tests, "skip_tests=true")];
        let insists = insists.into_iter().filter(|(insisted, _)| self.guarded && *insisted);
        let insists = insists.map(|(_, text)| text.to_owned());
        let confirm = change.confirm.filter(|_| self.guarded && !is_tried);
        let confirm = confirm.map(|seconds| format!("confirm={seconds}"));
        let reason = change.reason.as_ref().filter(|_| self.recorded);
        let reason = reason
            .map(|text| form_urlencoded::Serializer::new(String::new()).append_pair("reason", text).finish());
        for parameter in insists.chain(confirm).chain(reason) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&parameter);
        }
        let mut request =
            Request::builder().method(&self.method).uri(address).header(ACCEPT, "application/json, */*");
        request = match server {
            // A socket has no host, but HTTP/1.1 requires the header.
            Server::Socket(_) => request.header(HOST, "sgd"),
            Server::Tcp(server) => {
                request.header(HOST, server.authority()).header(AUTHORIZATION, server.authorization.clone())
            }
        };
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, self.media);
        }
        if let Some(own) = change.own.as_ref().filter(|_| changes) {
            request = request.header("ssh-connection", own);
        }
        if let Some(token) = &self.token {
            request = request.header(IDEMPOTENCY_KEY, token);
        }
        request.body(Pieces::of(self.body.clone(), moved)).map_err(ClientError::Address)
    }
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    server: Server,
    timeout: Duration,
    /// None once it is dropped.
    runtime: Option<Runtime>,
    moved: Arc<Moved>,
    connection: Option<SendRequest<Pieces>>,
    change: ChangeContext,
    /// The change that is to be confirmed, as the last response named it.
    pending: Option<PendingChange>,
}

/// What is said with every change.
#[derive(Clone, Debug, Default)]
struct ChangeContext {
    /// The SSH connection of the user.
    own: Option<String>,
    /// Whether the user insists.
    force: bool,
    /// In how many seconds it is taken back unless it is confirmed.
    confirm: Option<u32>,
    /// Whether tests may fail afterwards.
    skip_tests: bool,
    /// Why the user makes changes.
    reason: Option<String>,
}

/// A response: its status, its body, and the change that it says is to be confirmed.
type Received = (StatusCode, Bytes, Option<PendingChange>);

impl Client {
    /// A client that is not connected yet. `timeout` is for one response, from the last byte that was sent, and for each part of
    /// it.
    pub(crate) fn new(server: Server, timeout: Duration) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)?;
        // That of a user of another host says nothing here: its server knows this client's address.
        let own = matches!(server, Server::Socket(_)).then(ssh_session::connection).flatten();
        // What the server would not understand says nothing, either.
        let own = own.and_then(|own| own.parse::<Connection>().ok()).map(|own| own.to_string());
        let change = ChangeContext { own, ..ChangeContext::default() };
        let (moved, connection, pending) = (Arc::default(), None, None);
        Ok(Self { server, timeout, runtime: Some(runtime), moved, connection, change, pending })
    }

    /// The same, for a user who insists on changes that are guarded against, or after which tests fail.
    pub(crate) fn forcing(mut self, force: bool, skip_tests: bool) -> Self {
        (self.change.force, self.change.skip_tests) = (force, skip_tests);
        self
    }

    /// The same, for a user whose changes are to be confirmed within so many seconds.
    pub(crate) const fn trying(mut self, seconds: Option<u32>) -> Self {
        self.change.confirm = seconds;
        self
    }

    /// Whether changes are to be confirmed.
    pub(crate) const fn tries(&self) -> bool {
        self.change.confirm.is_some()
    }

    /// The last response named this change in its body.
    pub(crate) fn found_pending(&mut self, pending: Option<PendingChange>) {
        self.pending = pending;
    }

    /// The change that is to be confirmed, as the last response named it.
    pub(crate) const fn take_pending(&mut self) -> Option<PendingChange> {
        self.pending.take()
    }

    /// The same, for a user who says why.
    pub(crate) fn because(mut self, reason: Option<String>) -> Self {
        self.change.reason = reason;
        self
    }

    /// Whether the user insists.
    pub(crate) const fn is_forcing(&self) -> bool {
        self.change.force
    }

    /// How long it waits for a response.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The server.
    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// What to display of the transfer while it lasts.
    pub(crate) fn transferred(&self) -> impl Fn() -> Option<String> + Send + use<> {
        let moved = Arc::clone(&self.moved);
        move || moved.words()
    }

    /// Sends a request and parses the response.
    pub(crate) fn call<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, ClientError> {
        let body = self.raw(call)?;
        // A response without a body is `null`: success, without a result.
        let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
        serde_json::from_slice(&body).map_err(|source| ClientError::Response {
            server: self.server.clone(),
            address: call.address.clone(),
            source,
        })
    }

    /// Sends a request and returns the raw response.
    pub(crate) fn raw(&mut self, call: &Call) -> Result<Bytes, ClientError> {
        let Self { server, timeout, runtime, moved, connection, change, pending } = self;
        let response = runtime.as_ref().ok_or_else(ended)?.block_on(async {
            let mut exchange = pin!(exchange(server, connection, call, moved, change));
            loop {
                let before = moved.bytes();
                match time::timeout(*timeout, exchange.as_mut()).await {
                    Ok(response) => return response,
                    Err(_) if moved.bytes() != before => {}
                    Err(_) => {
                        let changes = call.method != Method::GET;
                        return Err(ClientError::Timeout { seconds: timeout.as_secs(), changes });
                    }
                }
            }
        });
        if matches!(response, Err(ClientError::Timeout { .. })) {
            // The pending response on the connection belongs to no request.
            self.connection = None;
        }
        let (status, body, named) = response?;
        if named.is_some() {
            *pending = named;
        }
        if status.is_success() { Ok(body) } else { Err(refused(&self.server, status, &body)) }
    }

    /// Sends a request whose response is lines, as they come; see [`Lines`].
    pub(crate) fn lines(&mut self, call: &Call) -> Result<Lines<'_>, ClientError> {
        let Self { server, timeout, runtime, moved, connection: _, change, pending: _ } = self;
        let runtime = runtime.as_ref().ok_or_else(ended)?;
        Lines::begin(runtime, server, *timeout, async {
            let broken = |source| ClientError::Broken { server: server.clone(), changes: false, source };
            // A connection of its own: it ends with the stream.
            let mut sender = connect(server).await?;
            let response = sender.send_request(call.request(server, moved, change)?).await.map_err(broken)?;
            let (status, body) = (response.status(), response.into_body());
            if status.is_success() {
                return Ok(body);
            }
            let body = body.collect().await.map_err(broken)?.to_bytes();
            Err(refused(server, status, &body))
        })
    }
}

/// The error of a client that is being dropped.
fn ended() -> ClientError {
    ClientError::Runtime(io::Error::other("the client has ended"))
}

/// A response that is no success, as an error.
fn refused(server: &Server, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(ErrorBody { .. }) if status == StatusCode::UNAUTHORIZED && matches!(server, Server::Tcp(_)) => {
            ClientError::Unauthenticated { server: server.clone() }
        }
        Ok(ErrorBody { error }) => ClientError::Refused { status, error },
        Err(_) => ClientError::NoApi { server: server.clone(), status },
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A name that is looked up is not waited for: a name server that is down would hold the command.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends one request and reads its response; retries if the connection broke and a repetition is harmless.
async fn exchange(
    server: &Server,
    connection: &mut Option<SendRequest<Pieces>>,
    call: &Call,
    moved: &Arc<Moved>,
    change: &ChangeContext,
) -> Result<Received, ClientError> {
    let mut tries = 0;
    loop {
        let broken = match attempt(server, connection, call, moved, change).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        *connection = None;
        let again = match &broken {
            ClientError::Broken { .. } => call.repeatable(),
            // If it was there a moment ago, it is being restarted.
            ClientError::NobodyThere { .. } => tries > 0,
            _ => false,
        };
        if !again || tries == RETRIES {
            return Err(broken);
        }
        time::sleep(WAIT * 2_u32.pow(tries)).await;
        tries += 1;
    }
}

async fn attempt(
    server: &Server,
    connection: &mut Option<SendRequest<Pieces>>,
    call: &Call,
    moved: &Arc<Moved>,
    change: &ChangeContext,
) -> Result<Received, ClientError> {
    let broken = |source| ClientError::Broken { server: server.clone(), changes: !call.repeatable(), source };
    let usable = connection.take_if(|sender| !sender.is_closed());
    let mut sender = match usable {
        Some(sender) => sender,
        None => connect(server).await?,
    };
    sender.ready().await.map_err(broken)?;
    let response: Response<_> =
        sender.send_request(call.request(server, moved, change)?).await.map_err(broken)?;
    let status = response.status();
    let pending = response.headers().get(PENDING_CHANGE);
    let pending = pending.and_then(|pending| serde_json::from_slice(pending.as_bytes()).ok());
    let mut frames = response.into_body();
    moved.begin(frames.size_hint().exact().unwrap_or_default(), false);
    let mut body = BytesMut::new();
    while let Some(frame) = frames.frame().await {
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            moved.add(data.len());
            body.extend_from_slice(&data);
        }
    }
    let body = body.freeze();
    *connection = Some(sender);
    Ok((status, body, pending))
}

async fn connect(server: &Server) -> Result<SendRequest<Pieces>, ClientError> {
    let failed = |error| ClientError::connecting(server, error);
    match server {
        Server::Socket(path) => shake(server, UnixStream::connect(path).await.map_err(failed)?).await,
        Server::Tcp(tcp) => shake(server, TcpStream::connect(tcp.authority()).await.map_err(failed)?).await,
    }
}

async fn shake<S>(server: &Server, stream: S) -> Result<SendRequest<Pieces>, ClientError>
where
    TokioIo<S>: Read + Write + Unpin + Send + 'static,
{
    let broken = |source| ClientError::Broken { server: server.clone(), changes: false, source };
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the connection; the sender reports why it ended.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
