//! A request that was authenticated and compared with its operation.

use std::{collections::BTreeMap, fmt};

use axum::http::HeaderMap;
use serde_json::Value;
use sg_records::KeyRole;

use super::{
    Declaration, Fault,
    parameters::{Fields, Query},
    problem::{Problem, Subject},
    project::Project,
};
use crate::{listen::Peer, recording::PendingChange};

/// The values of the parameters in a path.
pub(super) type PathValues = BTreeMap<&'static str, String>;

/// A request with a valid signature or token, or of an operation that needs none.
pub struct Call {
    /// The operation.
    pub operation: Declaration,
    /// The project that it is for.
    pub(super) project: Project,
    /// The access key that signed it; blank if the operation needs none.
    pub key_id: String,
    /// What that key may do.
    pub role: KeyRole,
    /// The id of the response, also in the log.
    pub request_id: String,
    /// The change that it asks for, for the audit trail. Queries have one, too: nobody writes it.
    pub(crate) change: PendingChange,
    /// The host that the client addresses.
    pub(super) host: String,
    pub(super) peer: Option<Peer>,
    pub(super) headers: HeaderMap,
    pub(super) values: PathValues,
    pub(super) query: Query,
    pub(super) body: Value,
}

/// Without headers and body: they may have a token or a secret.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("operation", &self.operation.name).finish_non_exhaustive()
    }
}

impl Call {
    /// The fields of the body.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::of(&self.body)
    }

    /// The value of a parameter in the path; blank if the path has none of this name.
    #[must_use]
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The same request at `path`, with these parameters in place of those of its query that have their names, and of `page_reverse`.
    pub(super) fn link(&self, path: &str, changed: &[(&str, &str)]) -> String {
        let is_kept = |name: &str| name != "page_reverse" && !changed.iter().any(|(other, _)| *other == name);
        let kept = self.query.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all = kept.filter(|(name, _)| is_kept(name)).chain(changed.iter().copied());
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        format!("{}{path}?{query}", self.origin())
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where the client finds this server: scheme and host of its own URL. Nobody but the client itself gets to see it.
    pub(super) fn origin(&self) -> String {
        let by_tls =
            self.header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        format!("{}://{}", if by_tls { "https" } else { "http" }, self.host)
    }

    /// Whether the client asks what the request would do, and not for it to be done.
    pub(super) fn is_dry_run(&self) -> bool {
        let declares = |name: &str| self.operation.declared().any(|parameter| parameter.name == name);
        declares("dry_run") && self.fields().boolean("dry_run") == Some(true)
    }

    /// An object that does not exist.
    pub(super) fn not_found(&self, subject: Subject, what: &str, id: &str) -> Fault {
        let id: String = id.chars().take(64).collect();
        self.fault(Problem::NotFound(subject), format!("{what} {id} could not be found."))
    }

    /// A malformed parameter.
    pub(super) fn malformed(&self, name: &str, wanted: &str) -> Fault {
        Fault::malformed(self.operation, name, wanted)
    }

    pub(super) fn fault(&self, problem: Problem, message: String) -> Fault {
        Fault::of(self.operation, problem, message)
    }
}
