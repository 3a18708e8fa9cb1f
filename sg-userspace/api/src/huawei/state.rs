//! What this API holds between requests: the domain, the access keys, the clock, tokens and wrong secrets. It must never know which
//! operations there are: authentication, every operation and the router use it.

use std::sync::Arc;

use sg_service::Service;

use super::Tokens;
use crate::{attempts::Attempts, clock::Clock, keys::AccessKeys, recording::Recording};

/// The state of this API.
pub struct Huawei {
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
    /// The tokens that were issued since the start.
    pub tokens: Tokens,
    /// The region whose project is meant if a request names none.
    pub region: String,
}
