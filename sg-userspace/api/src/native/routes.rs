//! Declares routes: each once, for the router and for the document that describes it.
//!
//! It also reads bodies, refuses unknown parameters and fields, and runs operations idempotently. It must never know an
//! operation. `groups`, `rules`, `nics`, `lists` and `whole` call it.

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, RawPathParams, Request, State},
    http::{
        HeaderMap, Method, Uri,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, on},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, channel::Channel};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sg_api_types::ErrorBody;
use sg_service::{Idempotent, Operation, PageRequest, Refusal, State as Snapshot};
use sg_store::{Export, StoreError};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, RefOr,
        Required, ResponseBuilder,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{ComponentsBuilder, Schema},
    },
};

use super::{Native, caller::Identity, error::Failed};
use crate::{
    listen::{LargeBody, collect, failure},
    media,
};

/// The media type of JSON lines.
const LINES: &str = "application/jsonl";

/// The context of a request, for queries and operations.
#[derive(Debug)]
pub(super) struct RequestContext {
    /// The path parameters, in order.
    path: Vec<String>,
    uri: Uri,
    caller: String,
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

    /// Whether the caller may read and import secrets.
    pub(super) fn is_root(&self) -> bool {
        self.caller == "uid 0"
    }
}

#[derive(Default)]
pub(super) struct Routes {
    router: Router<Native>,
    paths: Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// The description of a route.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: Vec<Parameter>,
    /// The maximum size of the body in bytes, if it exceeds the usual one.
    pub(super) large: Option<usize>,
}

impl Route {
    pub(super) fn get(path: &'static str, summary: &'static str) -> Self {
        Self { method: Method::GET, path, summary, query: Vec::new(), large: None }
    }

    pub(super) fn post(path: &'static str, summary: &'static str) -> Self {
        Self { method: Method::POST, ..Self::get(path, summary) }
    }

    pub(super) fn put(path: &'static str, summary: &'static str) -> Self {
        Self { method: Method::PUT, ..Self::get(path, summary) }
    }

    pub(super) fn patch(path: &'static str, summary: &'static str) -> Self {
        Self { method: Method::PATCH, ..Self::get(path, summary) }
    }

    pub(super) fn delete(path: &'static str, summary: &'static str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path, summary) }
    }

    /// Adds these query parameters.
    pub(super) fn with<Q: IntoParams>(mut self) -> Self {
        self.query.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Accepts bodies of up to this many bytes.
    pub(super) const fn large(mut self, bytes: usize) -> Self {
        self.large = Some(bytes);
        self
    }

    /// Adds the parameters of pagination.
    pub(super) fn paged(self) -> Self {
        self.with::<PageRequest>()
    }
}

/// Parameters of every operation.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, IntoParams)]
#[serde(default)]
struct Trial {
    /// Return the result that the operation would have, without changing anything. Default: false.
    dry_run: bool,
}

/// An operation that is built from a body while it arrives.
pub(super) trait Upload: Default + Send + 'static {
    /// The operation.
    type Operation: Operation + Sync + Clone + Serialize;

    /// Takes the next piece of the body.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failed>;

    /// Ends the body and returns the operation. This may take a while.
    fn finish(self, asked: &RequestContext) -> Result<Self::Operation, Failed>;
}

impl Routes {
    /// A query: a function of a snapshot.
    pub(super) fn ask<T: Serialize + ToSchema + Send + 'static>(
        &mut self,
        route: Route,
        answer: fn(&Native, &Snapshot, &RequestContext) -> Result<T, Failed>,
    ) {
        let known = names(&route);
        self.describe::<T>(&route, None);
        self.serve(route, move |native, request| {
            let known = known.clone();
            async move {
                let (asked, _) = take_apart(request, &known, None).await?;
                // A query may take milliseconds; others are served meanwhile.
                let answered =
                    tokio::task::spawn_blocking(move || answer(&native, &native.service.snapshot(), &asked));
                let answer = answered.await.map_err(|_| Failed::Refused(Refusal::Ending))??;
                Ok(Json(answer).into_response())
            }
        });
    }

    /// A query with its parameters in a body; also a function of a snapshot.
    pub(super) fn question<Q, T>(
        &mut self,
        route: Route,
        answer: fn(&Native, &Snapshot, &Q) -> Result<T, Failed>,
    ) where
        Q: Serialize + DeserializeOwned + ToSchema + Send + 'static,
        T: Serialize + ToSchema + Send + 'static,
    {
        self.describe::<T>(&route, Some(body_of::<Q>()));
        Q::schemas(&mut self.schemas);
        self.serve(route, move |native, request| async move {
            let (_, body) = take_apart(request, &[], Some(JSON)).await?;
            let question: Q = strictly(&body)?;
            let answered =
                tokio::task::spawn_blocking(move || answer(&native, &native.service.snapshot(), &question));
            let answer = answered.await.map_err(|_| Failed::Refused(Refusal::Ending))??;
            Ok(Json(answer).into_response())
        });
    }

    /// An operation with the body `O`; `bind` puts the path parameters into it.
    pub(super) fn change<O>(&mut self, route: Route, bind: fn(&mut O, &RequestContext))
    where
        O: Operation + Sync + Clone + Serialize + DeserializeOwned + ToSchema,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, Some((JSON, body_of::<O>())), move |asked, body| {
            let mut operation: O = strictly(body)?;
            bind(&mut operation, asked);
            Ok(operation)
        });
        O::schemas(&mut self.schemas);
    }

    /// An operation without a body.
    pub(super) fn order<O>(&mut self, route: Route, operation: fn(&RequestContext) -> O)
    where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, None, move |asked, _| Ok(operation(asked)));
    }

    /// An operation whose body is a file, not its JSON form.
    pub(super) fn file<O>(&mut self, route: Route, read: fn(&RequestContext, &str) -> Result<O, Failed>)
    where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, Some((FILE, body_of_text())), move |asked, body| {
            let text = std::str::from_utf8(body);
            read(asked, text.map_err(|error| Failed::Malformed(format!("the body is no UTF-8: {error}")))?)
        });
    }

    /// An operation that is built from lines of text while they arrive.
    pub(super) fn upload<U: Upload>(&mut self, route: Route)
    where
        <U::Operation as Operation>::Output: Serialize + DeserializeOwned + ToSchema,
    {
        let route = route.with::<Trial>();
        let (known, large) = (names(&route), route.large);
        self.describe::<<U::Operation as Operation>::Output>(&route, Some(body_of_text()));
        self.serve(route, move |native, request| {
            let known = known.clone();
            async move {
                let token = token(request.headers())?;
                let Begun { asked, mut body, headers, large } = begin(request, &known, large).await?;
                let mut upload = U::default();
                let mut read = Ok(());
                // What follows an error is read all the same: a client that still sends would not receive the response.
                while let Some(piece) = next(&mut body).await? {
                    if read.is_ok() {
                        read = of_kind(&headers, &piece, Some(FILE)).and_then(|()| upload.push(&piece));
                    }
                }
                read?;
                let made =
                    tokio::task::spawn_blocking(move || upload.finish(&asked).map(|made| (made, asked)));
                let (operation, asked) = made.await.map_err(|_| Failed::Refused(Refusal::Ending))??;
                let response = perform(native, token, &asked, operation).await;
                drop(large);
                response
            }
        });
    }

    /// A query that returns a file, line by line.
    pub(super) fn download(
        &mut self,
        route: Route,
        answer: fn(&Native, &Snapshot, &RequestContext) -> Result<Export, Failed>,
    ) {
        let known = names(&route);
        let text = ContentBuilder::new().schema(Some(String::schema())).build();
        self.describe_as(&route, None, LINES, text);
        self.serve(route, move |native, request| {
            let known = known.clone();
            async move {
                let (asked, _) = take_apart(request, &known, None).await?;
                let made = tokio::task::spawn_blocking(move || {
                    let file = answer(&native, &native.service.snapshot(), &asked)?;
                    let bytes = file.bytes().map_err(|error| Failed::Malformed(error.to_string()))?;
                    Ok::<_, Failed>((file, bytes))
                });
                let (file, bytes) = made.await.map_err(|_| Failed::Refused(Refusal::Ending))??;
                let headers = [(CONTENT_TYPE, LINES.to_owned()), (CONTENT_LENGTH, bytes.to_string())];
                Ok((headers, lines(file)).into_response())
            }
        });
    }

    fn act<O>(
        &mut self,
        route: Route,
        body: Option<(&'static [&'static str], RequestBody)>,
        make: impl Fn(&RequestContext, &[u8]) -> Result<O, Failed> + Clone + Send + Sync + 'static,
    ) where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        let route = route.with::<Trial>();
        let (known, large) = (names(&route), route.large);
        let (kinds, body) = body.unzip();
        self.describe::<O::Output>(&route, body);
        self.serve(route, move |native, request| {
            let (known, make) = (known.clone(), make.clone());
            async move {
                let token = token(request.headers())?;
                let Begun { asked, body, headers, large } = begin(request, &known, large).await?;
                let body = collect(body).await?;
                of_kind(&headers, &body, kinds)?;
                let operation = make(&asked, &body)?;
                drop(body);
                let response = perform(native, token, &asked, operation).await;
                drop(large);
                response
            }
        });
    }

    fn serve<F>(
        &mut self,
        route: Route,
        handler: impl Fn(Native, Request) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<Response, Failed>> + Send + 'static,
    {
        let filter = MethodFilter::try_from(route.method).unwrap_or(MethodFilter::GET);
        let serve = move |State(native): State<Native>, request: Request| {
            let answer = handler(native, request);
            async move { answer.await.unwrap_or_else(Failed::into_response) }
        };
        self.router = std::mem::take(&mut self.router).route(route.path, on(filter, serve));
    }

    fn describe<T: ToSchema>(&mut self, route: &Route, body: Option<RequestBody>) {
        self.describe_as(route, body, "application/json", json_of::<T>());
        T::schemas(&mut self.schemas);
    }

    fn describe_as(&mut self, route: &Route, body: Option<RequestBody>, media: &str, answer: Content) {
        let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = in_path.map(|name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(String::schema()))
                .build()
        });
        let parameters: Vec<Parameter> = in_path.chain(route.query.iter().cloned()).collect();
        let success = ResponseBuilder::new().description("Done.").content(media, answer).build();
        let failure = ResponseBuilder::new()
            .description("Error: nothing was changed.")
            .content("application/json", json_of::<ErrorBody>())
            .build();
        let operation = OperationBuilder::new()
            .operation_id(Some(operation_id(&route.method, route.path)))
            .summary(Some(route.summary))
            .parameters(Some(parameters))
            .request_body(body)
            .response("200", success)
            .response("default", failure)
            .build();
        let method = match route.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::PATCH => HttpMethod::Patch,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let item = PathItem::new(method, operation);
        match self.paths.paths.get_mut(route.path) {
            Some(there) => there.merge_operations(item),
            None => drop(self.paths.paths.insert(route.path.to_owned(), item)),
        }
        ErrorBody::schemas(&mut self.schemas);
    }

    /// The router and its `OpenAPI` document.
    pub(super) fn build(self) -> (Router<Native>, OpenApi) {
        let components = ComponentsBuilder::new().schemas_from_iter(self.schemas).build();
        let info = InfoBuilder::new()
            .title("sgd")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some("Security groups of this host. An object is named by its id or its name."))
            .build();
        let document =
            OpenApiBuilder::new().info(info).paths(self.paths).components(Some(components)).build();
        (self.router, document)
    }
}

/// The operation id of a route: `get_groups_group_rules` for `GET /v1/groups/{group}/rules`.
fn operation_id(method: &Method, path: &str) -> String {
    let parts = path.split('/').skip(2).map(|part| part.trim_matches(|brace| brace == '{' || brace == '}'));
    let parts: Vec<String> = parts.map(|part| part.replace('-', "_")).collect();
    format!("{}_{}", method.as_str().to_lowercase(), parts.join("_"))
}

fn json_of<T: ToSchema>() -> Content {
    ContentBuilder::new().schema(Some(T::schema())).build()
}

fn body_of<T: ToSchema>() -> RequestBody {
    RequestBodyBuilder::new()
        .content("application/json", json_of::<T>())
        .required(Some(Required::True))
        .build()
}

/// The names of the query parameters of a route.
fn names(route: &Route) -> Vec<String> {
    route.query.iter().map(|parameter| parameter.name.clone()).collect()
}

/// The media types of a JSON body.
const JSON: &[&str] = &["application/json"];
/// The media types of a file. The route determines its format, whatever type the client gives.
const FILE: &[&str] =
    &["text/plain", "text/csv", "application/json", "application/jsonl", "application/x-ndjson"];

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

fn body_of_text() -> RequestBody {
    RequestBodyBuilder::new()
        .content("text/plain", ContentBuilder::new().schema(Some(String::schema())).build())
        .required(Some(Required::True))
        .build()
}

/// Runs an operation; with `dry_run`, returns the result that it would have.
async fn perform<O>(
    native: Native,
    token: Option<String>,
    asked: &RequestContext,
    operation: O,
) -> Result<Response, Failed>
where
    O: Operation + Sync + Clone + Serialize,
    O::Output: Serialize + DeserializeOwned,
{
    if asked.query::<Trial>()?.dry_run {
        let tried = tokio::task::spawn_blocking(move || native.service.try_out(&operation));
        let tried = tried.await.map_err(|_| Failed::Refused(Refusal::Ending))??;
        return Ok(Json(tried).into_response());
    }
    let output = match token {
        None => native.service.submit(operation).await?,
        Some(token) => {
            let idempotent = Idempotent::new(&asked.caller, &token, &operation, operation.clone())?;
            native.service.submit(idempotent).await?
        }
    };
    Ok(Json(output).into_response())
}

/// The lines of a file as a body, generated as the client reads them.
fn lines(file: Export) -> Body {
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

/// The next piece of a body.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Failed> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(failure)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The context and the body of a request. The body must be of one of these media types; without `kinds`, it must be empty.
async fn take_apart(
    request: Request<Body>,
    known: &[String],
    kinds: Option<&[&'static str]>,
) -> Result<(RequestContext, Bytes), Failed> {
    let Begun { asked, body, headers, .. } = begin(request, known, None).await?;
    let body = collect(body).await?;
    of_kind(&headers, &body, kinds)?;
    Ok((asked, body))
}

/// Checks that a body, or a piece of one, is of one of these media types. If no body is expected, it must be empty.
fn of_kind(headers: &HeaderMap, body: &[u8], kinds: Option<&[&'static str]>) -> Result<(), Failed> {
    match kinds {
        Some(kinds) if !body.is_empty() => Ok(media::check(headers, kinds)?),
        None if !matches!(body.trim_ascii(), b"" | b"{}") => Err(Failed::Malformed(
            "nobody reads the body of this request: say what it asks in its path and query".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// A request whose body has not been read yet.
struct Begun {
    asked: RequestContext,
    body: Body,
    headers: HeaderMap,
    /// Counts the body as large until it is dropped.
    large: Option<LargeBody>,
}

/// Reads the context of a request, and refuses unknown query parameters.
async fn begin(request: Request<Body>, known: &[String], large: Option<usize>) -> Result<Begun, Failed> {
    let (mut parts, body) = request.into_parts();
    let path = axum::RequestPartsExt::extract::<RawPathParams>(&mut parts).await;
    let path = path.map_err(|error| Failed::Malformed(error.body_text()))?;
    let path = path.iter().map(|(_, part)| part.to_owned()).collect();
    let query = parts.uri.query().unwrap_or_default();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !known.iter().any(|known| *known == name) {
            let name: String = name.chars().take(64).collect();
            return Err(Failed::Malformed(format!(
                "the query has {name:?}; allowed are: {}",
                known.join(", ")
            )));
        }
    }
    let caller = parts.extensions.get::<Identity>().map(|identity| identity.0.clone()).unwrap_or_default();
    // A request that came through no listener has no limit to raise.
    let large = large.and_then(|bytes| Some((bytes, parts.extensions.remove::<LargeBody>()?)));
    if let Some((bytes, handle)) = &large {
        handle.allow(*bytes);
    }
    let large = large.map(|(_, handle)| handle);
    Ok(Begun { asked: RequestContext { path, uri: parts.uri, caller }, body, headers: parts.headers, large })
}

/// Parses JSON. An unknown field is refused: a misspelt change must not look successful.
fn strictly<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<T, Failed> {
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
