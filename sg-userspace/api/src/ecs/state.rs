//! What this API holds between requests: the domain, the access keys, the clock, nonces and wrong secrets. It must never know
//! which actions there are: authentication, every action and the router use it.

use std::sync::{Arc, Mutex};

use sg_service::Service;

use super::{Nonces, Reports};
use crate::{attempts::Attempts, clock::Clock, keys::AccessKeys, recording::Recording};

/// The state of this API.
pub struct Ecs {
    /// The domain.
    pub service: Service,
    /// The keys whose signatures are accepted.
    pub keys: Arc<dyn AccessKeys>,
    /// The source of the current time.
    pub clock: Clock,
    /// Wrong secrets, over all APIs.
    pub attempts: Arc<Attempts>,
    /// Where changes and requests are recorded.
    pub recording: Recording,
    /// Replay protection.
    pub nonces: Mutex<Nonces>,
    /// The last reports on what reaches a resource.
    pub reports: Mutex<Reports>,
    /// The regions that clients can list; some list them before anything else.
    pub regions: Vec<Region>,
}

/// A region, as clients list it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Region {
    /// `cn-hangzhou`.
    pub id: String,
    /// A text for people.
    pub name: String,
    /// The endpoint of its API: host and port, without a scheme.
    pub endpoint: String,
}
