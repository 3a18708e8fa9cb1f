//! What this API holds between requests: the service, the instance of sgd, how callers are authenticated, wrong secrets. It must
//! never know which routes there are: authentication, requests, routes and the router use it.

use std::sync::Arc;

use sg_agent::Instance;
use sg_service::Service;

use crate::{attempts::Attempts, recording::Recording};

/// How callers are authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// By the unix socket, which already admitted them; the kernel gives their uid.
    Socket,
    /// By the id and secret of an access key in the request.
    AccessKey,
}

/// The state of this API.
#[derive(Clone, Debug)]
pub struct Native {
    /// The service, which runs operations.
    pub service: Service,
    /// The sgd instance whose NICs the status lists.
    pub instance: Instance,
    /// How callers are authenticated.
    pub caller: Caller,
    /// The count of wrong secrets, over all APIs.
    pub attempts: Arc<Attempts>,
    /// Where changes and requests are recorded.
    pub recording: Recording,
}
