//! Serves routes: each is declared once, for the router and for the document that describes it.
//!
//! It must never know an operation. The files of the table, by noun, call it.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::on,
};
use serde::{Serialize, de::DeserializeOwned};
use sg_api_types::ErrorBody;
use sg_audit::Object;
use sg_records::KeyRole;
use sg_service::{Operation, State as Snapshot};
use sg_store::Export;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, ContentBuilder, Header, HeaderBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, RefOr,
        Required, ResponseBuilder,
        path::OperationBuilder,
        request_body::RequestBodyBuilder,
        schema::{ComponentsBuilder, Schema},
    },
};

use super::{
    Native,
    changes::{pending_change, touched},
    error::{Failed, WithStatus as _},
    request::{Begun, PENDING_CHANGE, RequestContext, aside, json, lines, strictly, text},
    route::Route,
};
/// The media type of a JSON body.
const JSON: &str = "application/json";
/// The media type of JSON lines.
const LINES: &str = "application/jsonl";
/// The media type of a file in the document.
const TEXT: &str = "text/plain";
/// The media types of a file. The route determines its format, whatever type the client gives.
const FILE: &[&str] = &[TEXT, "text/csv", JSON, LINES, "application/x-ndjson"];

#[derive(Default)]
pub(super) struct Routes {
    router: Router<Native>,
    operations: BTreeSet<String>,
    /// Each route's operation id, and the role that it declares.
    #[cfg(test)]
    declared: Vec<(String, Option<KeyRole>)>,
    /// The operation ids of changes.
    #[cfg(test)]
    changes: Vec<String>,
    paths: Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// The bodies of a route's request and response.
struct Bodies {
    /// The media types of the request's body, the first of them for the document; empty if it must have none.
    reads: &'static [&'static str],
    read: Content,
    returns: (&'static str, Content),
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Bodies {
    /// A response of JSON.
    fn returning<T: ToSchema>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        Self { reads: &[], read: Content::default(), returns: (JSON, content::<T>()), schemas }
    }

    /// A request of JSON.
    fn reading<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        Self { reads: &[JSON], read: content::<T>(), ..self }
    }

    /// A request with a file.
    fn reading_file(self) -> Self {
        Self { reads: FILE, read: content::<String>(), ..self }
    }
}

/// The header of a response that names the change which is to be confirmed.
fn pending_change_header() -> Header {
    HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some(
            "The change that is to be confirmed, as JSON: `id`, `owner`, `deadline`. Only with `confirm`, if something was changed.",
        ))
        .build()
}

fn content<T: PartialSchema>() -> Content {
    ContentBuilder::new().schema(Some(T::schema())).build()
}

/// An operation that is built from a body while it arrives.
pub(super) trait Upload: Default + Send + 'static {
    /// The operation.
    type Operation: Operation + Sync + Clone + Serialize;

    /// Takes the next piece of the body.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failed>;

    /// Ends the body and returns the operation. This may take a while.
    fn finish(self, context: &RequestContext) -> Result<Self::Operation, Failed>;
}

impl Routes {
    /// A query: a function of a snapshot.
    pub(super) fn ask<T: Serialize + ToSchema + Send + 'static>(
        &mut self,
        route: Route,
        handle: fn(&Native, &Snapshot, &RequestContext) -> Result<T, Failed>,
    ) {
        self.serve(route, Bodies::returning::<T>(), move |native, mut begun| async move {
            begun.read().await?;
            aside(move || handle(&native, &native.store()?.snapshot(), &begun.context)).await.map(json)
        });
    }

    /// A query with its parameters in a body; also a function of a snapshot.
    pub(super) fn question<Q, T>(
        &mut self,
        route: Route,
        handle: fn(&Native, &Snapshot, &Q) -> Result<T, Failed>,
    ) where
        Q: Serialize + DeserializeOwned + ToSchema + Send + 'static,
        T: Serialize + ToSchema + Send + 'static,
    {
        let bodies = Bodies::returning::<T>().reading::<Q>();
        self.serve(route, bodies, move |native, mut begun| async move {
            let body = begun.read().await?;
            let state = native.store()?.snapshot();
            let question: Q = strictly(&body)?;
            aside(move || handle(&native, &state, &question)).await.map(json)
        });
    }

    /// A query of what is in force, which needs no store.
    pub(super) fn look<T: Serialize + ToSchema + Send + 'static>(
        &mut self,
        route: Route,
        handle: fn(&Native, &RequestContext) -> Result<T, Failed>,
    ) {
        self.serve(route, Bodies::returning::<T>(), move |native, mut begun| async move {
            begun.read().await?;
            aside(move || handle(&native, &begun.context)).await.map(json)
        });
    }

    /// A query of what is in force, which needs no store, with its question in a body. It may take seconds: of those that ask at a
    /// time there are few, and who gets no place sends no body.
    pub(super) fn inquire<Q, T>(
        &mut self,
        route: Route,
        handle: fn(&Native, &RequestContext, Q) -> Result<T, Failed>,
    ) where
        Q: Serialize + DeserializeOwned + ToSchema + Send + 'static,
        T: Serialize + ToSchema + Send + 'static,
    {
        let bodies = Bodies::returning::<T>().reading::<Q>();
        self.serve(route, bodies, move |native, mut begun| async move {
            let place = native.places.comparing(begun.context.role(), begun.context.caller())?;
            begun.stand_apart();
            let question: Q = strictly(&begun.read().await?)?;
            let context = begun.into_context();
            aside(move || {
                // Until it is done, even if nobody waits any more.
                let _place = place;
                handle(&native, &context, question)
            })
            .await
            .map(json)
        });
    }

    /// A request about what is in force that changes something in the kernel, with its parameters in a body.
    /// `object` is what changed, for the audit trail.
    pub(super) fn touch<Q, T>(
        &mut self,
        route: Route,
        object: fn(&Q, &T) -> Object,
        handle: fn(&Native, &RequestContext, &Q) -> Result<T, Failed>,
    ) where
        Q: Serialize + DeserializeOwned + ToSchema + Send + 'static,
        T: Serialize + ToSchema + Send + 'static,
    {
        let bodies = Bodies::returning::<T>().reading::<Q>();
        self.serve(route.recorded(), bodies, move |native, mut begun| async move {
            let question: Q = strictly(&begun.read().await?)?;
            let (change, context) = (begun.change(), begun.context.clone());
            aside(move || {
                let result = handle(&native, &context, &question);
                // Here and not behind the `await`, where nobody may be left.
                if let Some(change) = change {
                    touched(&change, &question, result.as_ref().map(|result| object(&question, result)));
                }
                result
            })
            .await
            .map(json)
        });
    }

    /// An operation with the body `O`; `bind` puts the path parameters into it.
    pub(super) fn change<O>(&mut self, route: Route, bind: fn(&mut O, &RequestContext))
    where
        O: Operation + Sync + Clone + Serialize + DeserializeOwned + ToSchema,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, Bodies::returning::<O::Output>().reading::<O>(), move |context, body| {
            let mut operation: O = strictly(body)?;
            bind(&mut operation, context);
            Ok(operation)
        });
    }

    /// An operation without a body.
    pub(super) fn order<O>(&mut self, route: Route, operation: fn(&RequestContext) -> O)
    where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, Bodies::returning::<O::Output>(), move |context, _| Ok(operation(context)));
    }

    /// The same, of an operation that has parameters in the query.
    pub(super) fn order_by_query<O>(
        &mut self,
        route: Route,
        operation: fn(&RequestContext) -> Result<O, Failed>,
    ) where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.act(route, Bodies::returning::<O::Output>(), move |context, _| operation(context));
    }

    /// An operation whose body is a file, not its JSON form.
    pub(super) fn file<O>(&mut self, route: Route, read: fn(&RequestContext, &str) -> Result<O, Failed>)
    where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        let bodies = Bodies::returning::<O::Output>().reading_file();
        self.act(route, bodies, move |context, body| read(context, text(body)?));
    }

    fn act<O>(
        &mut self,
        route: Route,
        bodies: Bodies,
        make: impl FnOnce(&RequestContext, &[u8]) -> Result<O, Failed> + Clone + Send + Sync + 'static,
    ) where
        O: Operation + Sync + Clone + Serialize,
        O::Output: Serialize + DeserializeOwned + ToSchema,
    {
        self.serve(route.changing(), bodies, move |native, mut begun| async move {
            let body = begun.read().await?;
            // Without a store, what is wrong with the request does not matter.
            native.store()?;
            let operation = make(&begun.context, &body)?;
            drop(body);
            begun.perform(native, operation).await
        });
    }

    /// An operation that is built from lines of text while they arrive.
    pub(super) fn upload<U: Upload>(&mut self, route: Route)
    where
        <U::Operation as Operation>::Output: Serialize + DeserializeOwned + ToSchema,
    {
        let bodies = Bodies::returning::<<U::Operation as Operation>::Output>().reading_file();
        self.serve(route.changing(), bodies, move |native, mut begun| async move {
            // Before it receives a gigabyte that nobody wants.
            native.store()?;
            let mut upload = U::default();
            let mut read = Ok(());
            // What follows an error is read all the same: a client that still sends would not receive the response.
            while let Some(piece) = begun.next().await? {
                if read.is_ok() {
                    read = begun.check(&piece).and_then(|()| upload.push(&piece));
                }
            }
            read?;
            let context = begun.context.clone();
            let operation = aside(move || upload.finish(&context)).await?;
            begun.perform(native, operation).await
        });
    }

    /// A query that returns a file, line by line.
    pub(super) fn download(
        &mut self,
        route: Route,
        handle: fn(&Native, &Snapshot, &RequestContext) -> Result<Export, Failed>,
    ) {
        let bodies = Bodies { returns: (LINES, content::<String>()), ..Bodies::returning::<String>() };
        self.serve(route, bodies, move |native, mut begun| async move {
            begun.read().await?;
            let (file, bytes) = aside(move || {
                let file = handle(&native, &native.store()?.snapshot(), &begun.context)?;
                let bytes = file.bytes().map_err(|error| Failed::Malformed(error.to_string()))?;
                Ok((file, bytes))
            })
            .await?;
            let headers = [(CONTENT_TYPE, LINES.to_owned()), (CONTENT_LENGTH, bytes.to_string())];
            Ok((headers, lines(file)).into_response())
        });
    }

    /// A query whose response is a stream of records, one JSON object a line.
    pub(super) fn stream<T: ToSchema>(
        &mut self,
        route: Route,
        handle: fn(&Native, &RequestContext) -> Result<Body, Failed>,
    ) {
        let bodies = Bodies { returns: (LINES, content::<T>()), ..Bodies::returning::<T>() };
        self.serve(route, bodies, move |native, mut begun| async move {
            begun.read().await?;
            let body = aside(move || handle(&native, &begun.context)).await?;
            Ok(([(CONTENT_TYPE, LINES)], body).into_response())
        });
    }

    fn serve<F>(
        &mut self,
        route: Route,
        bodies: Bodies,
        handler: impl FnOnce(Native, Begun) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<Response, Failed>> + Send + 'static,
    {
        let known: Arc<[String]> = route.query.iter().map(|parameter| parameter.name.clone()).collect();
        let (path, filter, large, reads) = (route.path, route.method.1, route.large, bodies.reads);
        // A route that declares no role is open to admins only.
        let needed = route.needs.unwrap_or(KeyRole::Admin);
        let changes: Option<Arc<str>> = route.changes.then(|| route.operation_id().into());
        self.describe(route, bodies);
        let serve = move |State(native): State<Native>, mut request: Request| async move {
            let change = changes.and_then(|operation| pending_change(&native, &request, &operation));
            if let Some(change) = &change {
                request.extensions_mut().insert(change.clone());
            }
            let response = match Begun::of(request, needed, &known, reads, large, &native.region).await {
                Ok(begun) => handler(native, begun).await,
                Err(failed) => Err(failed),
            };
            match response {
                Ok(response) => response,
                Err(failed) => {
                    let is_of_role = matches!(failed, Failed::Role { .. });
                    let (status, body) = failed.body();
                    let (code, message) = (&body.error.code, &body.error.message);
                    match change {
                        Some(change) if is_of_role => change.not_allowed(code, message).await,
                        Some(change) => change.refused(code, message).await,
                        None => {}
                    }
                    body.with_status(status)
                }
            }
        };
        self.router = std::mem::take(&mut self.router).route(path, on(filter, serve));
    }

    /// Each route's operation id, and the role that it declares.
    #[cfg(test)]
    pub(super) fn declared(self) -> Vec<(String, Option<KeyRole>)> {
        self.declared
    }

    /// The operation ids of changes.
    #[cfg(test)]
    pub(super) fn changes(self) -> Vec<String> {
        self.changes
    }

    /// The operation ids of all routes.
    pub(super) fn operations(&self) -> BTreeSet<String> {
        self.operations.clone()
    }

    fn describe(&mut self, route: Route, bodies: Bodies) {
        self.operations.insert(route.operation_id());
        #[cfg(test)]
        {
            self.declared.push((route.operation_id(), route.needs));
            self.changes.extend(route.changes.then(|| route.operation_id()));
        }
        let Bodies { reads, read, returns: (media, returned), schemas } = bodies;
        let success = ResponseBuilder::new().description("Done.").content(media, returned);
        let success =
            if route.is_tried() { success.header(PENDING_CHANGE, pending_change_header()) } else { success };
        let success = success.build();
        let failure = ResponseBuilder::new()
            .description("Error: nothing was changed, unless the message says so.")
            .content(JSON, content::<ErrorBody>())
            .build();
        let body = reads.first().map(|media| {
            RequestBodyBuilder::new().content(*media, read).required(Some(Required::True)).build()
        });
        let operation = OperationBuilder::new()
            .operation_id(Some(route.operation_id()))
            .summary(Some(route.summary))
            .description(route.needs.map(|role| format!("Needs the role `{role}` of an access key.")))
            .parameters(Some(route.parameters()))
            .request_body(body)
            .response("200", success)
            .response("default", failure);
        self.paths.add_path_operation(route.path, vec![route.method.2], operation);
        self.schemas.extend(schemas);
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
