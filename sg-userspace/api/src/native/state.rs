//! What this API holds between requests: the service if there is one, or the documents of before, the instance of sgd and what is in force for it, how callers
//! are authenticated, wrong secrets. It must never know which routes there are: authentication, requests, routes and the router use
//! it.

use std::sync::Arc;

use sg_agent::{Control, Instance, Origin};
use sg_inspect::last_hits::LastHits;
use sg_observe::history::Observed;
use sg_service::Service;

use super::{documents::Documents, error::Failed, places::Places};
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
    /// The service, which runs operations; `None` under `sgd run`, which has no store and is only looked at.
    pub service: Option<Service>,
    /// The sgd instance whose NICs the status lists.
    pub instance: Instance,
    /// The region that it lists first, for requests that name none.
    pub region: Arc<str>,
    /// What is in force, and when its rules were used.
    pub hits: LastHits,
    /// What is remembered of traffic, and who watches it.
    pub observed: Arc<Observed>,
    /// Who may observe, over all listeners.
    pub places: Arc<Places>,
    /// How callers are authenticated.
    pub caller: Caller,
    /// The count of wrong secrets, over all APIs.
    pub attempts: Arc<Attempts>,
    /// Settles changes that are to be confirmed; `None`: nobody does.
    pub control: Option<Control>,
    /// The documents that were in force, under `sgd run`; `None`: they are not kept.
    pub documents: Option<Documents>,
    /// Where changes and requests are recorded.
    pub recording: Recording,
}

impl Native {
    /// The service.
    ///
    /// # Errors
    /// If there is none, with what to do instead.
    pub(super) fn store(&self) -> Result<&Service, Failed> {
        self.service.as_ref().ok_or_else(|| match &self.hits.in_force().origin {
            Origin::Document { path, owner: _ } => Failed::NoStore { document: Some(path.clone()) },
            Origin::Store => Failed::NoStore { document: None },
        })
    }

    /// The path of the document; empty if there is none.
    pub(super) fn document(&self) -> String {
        match &self.hits.in_force().origin {
            Origin::Document { path, owner: _ } => path.display().to_string(),
            Origin::Store => String::new(),
        }
    }

    /// The documents that were in force.
    ///
    /// # Errors
    /// If they are not kept.
    pub(super) fn documents(&self) -> Result<&Documents, Failed> {
        let none = match self.service {
            Some(_) => "a store has no documents: export it, or go back to it as a whole",
            None => "this sgd keeps no history of documents: see the log of its start",
        };
        self.documents.as_ref().ok_or_else(|| Failed::Malformed(none.to_owned()))
    }
}
