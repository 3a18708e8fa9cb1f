//! The description of a route: its method and path, who may call it, and its parameters.
//!
//! It must never know what a route does: `routes` serves it. The files of the table, by noun, declare it.

use axum::routing::MethodFilter;
use sg_records::KeyRole;
use sg_service::PageRequest;
use utoipa::{
    IntoParams, PartialSchema as _,
    openapi::{
        HttpMethod, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use super::{changes::Why, request::Trial};

/// The description of a route.
pub(super) struct Route {
    pub(super) method: (&'static str, MethodFilter, HttpMethod),
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// The role that an access key needs for it. One that declares none is for admins: a test names it.
    pub(super) needs: Option<KeyRole>,
    /// Whether it changes something, unless it is a dry run.
    pub(super) changes: bool,
    pub(super) query: Vec<Parameter>,
    /// The maximum size of the body in bytes, if it exceeds the usual one.
    pub(super) large: Option<usize>,
}

impl Route {
    const fn new(
        method: (&'static str, MethodFilter, HttpMethod),
        path: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method, path, summary, needs: None, changes: false, query: Vec::new(), large: None }
    }

    pub(super) const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(("get", MethodFilter::GET, HttpMethod::Get), path, summary)
    }

    pub(super) const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(("post", MethodFilter::POST, HttpMethod::Post), path, summary)
    }

    pub(super) const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(("put", MethodFilter::PUT, HttpMethod::Put), path, summary)
    }

    pub(super) const fn patch(path: &'static str, summary: &'static str) -> Self {
        Self::new(("patch", MethodFilter::PATCH, HttpMethod::Patch), path, summary)
    }

    pub(super) const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(("delete", MethodFilter::DELETE, HttpMethod::Delete), path, summary)
    }

    /// Declares the role that an access key needs for it: the least of those that may.
    pub(super) const fn needs(mut self, role: KeyRole) -> Self {
        self.needs = Some(role);
        self
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

    /// Marks it as a change, which is in the audit trail.
    pub(super) fn recorded(self) -> Self {
        Self { changes: true, ..self.with::<Why>() }
    }

    /// Marks it as a change that has dry runs.
    pub(super) fn changing(self) -> Self {
        self.with::<Trial>().recorded()
    }

    /// Adds the parameters of pagination.
    pub(super) fn paged(self) -> Self {
        self.with::<PageRequest>()
    }

    /// The operation id: `get_groups_group_rules` for `GET /v1/groups/{group}/rules`.
    pub(super) fn operation_id(&self) -> String {
        operation_id(self.method.0, self.path)
    }

    /// The parameters in the path and in the query.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let in_path = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = in_path.map(|name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(String::schema()))
                .build()
        });
        in_path.chain(self.query.iter().cloned()).collect()
    }
}

/// The operation id of the route with this method and path.
pub(super) fn operation_id(method: &str, path: &str) -> String {
    let parts = path.split('/').skip(2).map(|part| part.trim_matches(['{', '}']).replace('-', "_"));
    std::iter::once(method.to_ascii_lowercase()).chain(parts).collect::<Vec<_>>().join("_")
}
