//! What the APIs write about a request: the entry of a change in the audit trail, and its line in the access log.
//!
//! It must never take a text of a client who is not authenticated, nor a path or a query: an operation is one of a table. The
//! routers of both APIs call it.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sg_audit::{Access, AccessLog, Api, Entry, Limited, Ticket, Trail, Who};

use crate::listen::Peer;

/// The name of an operation that does not exist.
pub(crate) const UNKNOWN: &str = "unknown";
/// The status of a request whose client went away before the response, as others log it.
const GONE: u16 = 499;

/// Where the APIs record requests.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The audit trail.
    pub trail: Trail,
    /// The access log.
    pub access: AccessLog,
    /// Who gets the durations of requests; `None`: nobody.
    pub durations: Option<Arc<dyn Durations>>,
}

/// Takes the durations of requests.
pub trait Durations: Debug + Send + Sync {
    /// The response of a request began after so long. `operation` is one of a table, or `unknown`; `status` is that of HTTP, or
    /// 499 if the client went away before.
    fn took(&self, api: Api, operation: &str, status: u16, time: Duration);
}

/// A change that was requested: whoever refuses it, or runs it, writes its entry.
#[derive(Clone, Debug)]
pub(crate) struct PendingChange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trail: Trail,
    entry: Mutex<Entry>,
    is_written: AtomicBool,
}

impl PendingChange {
    pub(crate) fn new(trail: &Trail, entry: Entry) -> Self {
        let trail = trail.clone();
        Self(Arc::new(Inner { trail, entry: Mutex::new(entry), is_written: AtomicBool::new(false) }))
    }

    /// The object in the path of the request.
    pub(crate) fn aims_at(&self, target: &str) {
        self.0.entry.lock().unwrap_or_else(PoisonError::into_inner).target = Some(target.to_owned());
    }

    /// Why the change is requested.
    pub(crate) fn is_for(&self, reason: Option<String>) {
        self.0.entry.lock().unwrap_or_else(PoisonError::into_inner).reason = reason;
    }

    /// A ticket for an operation. Whoever runs it writes the entry.
    pub(crate) fn ticket(&self) -> Ticket {
        self.0.is_written.store(true, Ordering::Relaxed);
        Ticket::new(self.0.trail.clone(), self.entry())
    }

    /// Writes that it was refused, unless whoever ran it has written an entry.
    pub(crate) async fn refused(&self, code: &str, message: &str) {
        if !self.0.is_written.swap(true, Ordering::Relaxed) {
            Ticket::new(self.0.trail.clone(), self.entry()).refused(code, message).await;
        }
    }

    /// Writes that the role of the caller does not allow it: as [`Self::refused`], but for those that are too many.
    pub(crate) async fn not_allowed(&self, code: &str, message: &str) {
        if !self.0.is_written.swap(true, Ordering::Relaxed) {
            let mut entry = self.entry();
            (entry.code, entry.message) = (Some(code.to_owned()), Some(message.to_owned()));
            self.0.trail.write_limited(Limited::Role, entry).await;
        }
    }

    fn entry(&self) -> Entry {
        self.0.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Recording {
    /// Writes the refusal of a caller who is not known. Its message is left out: it can repeat what the caller sent.
    pub(crate) async fn unknown_caller(&self, mut entry: Entry, code: &str) {
        entry.code = Some(code.to_owned());
        self.trail.write_limited(Limited::Unknown, entry).await;
    }
}

/// What is known of a request so far; an extension of it. Whoever learns more notes it at once: the client may go away before there
/// is a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// None: [`UNKNOWN`].
    operation: Option<String>,
    /// The caller, if it is known.
    who: Option<Who>,
}

impl Facts {
    /// Notes the operation, if it is one of a table, and the caller.
    pub(crate) fn note(&self, operation: Option<String>, who: Who) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Known { operation, who: Some(who) };
    }

    fn take(&self) -> Known {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The code of a refusal; an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct ErrorCode(pub(crate) String);

/// A request as the access log and metrics see it. Dropped without an end, it says that the client went away.
pub(crate) struct Line {
    log: AccessLog,
    durations: Option<Arc<dyn Durations>>,
    began: Instant,
    facts: Facts,
    /// `None` if nobody wants to know.
    access: Option<Access>,
}

impl Line {
    pub(crate) fn begin(recording: &Recording, api: Api, request: &str, peer: Option<Peer>) -> Self {
        let Recording { trail: _, access: log, durations } = recording;
        let access = (log.is_on() || durations.is_some()).then(|| Access {
            time: Timestamp::now(),
            request: request.to_owned(),
            api,
            operation: UNKNOWN.to_owned(),
            status: GONE,
            code: None,
            microseconds: 0,
            who: who(peer),
            from: from(peer),
        });
        let facts = Facts::default();
        Self { log: log.clone(), durations: durations.clone(), began: Instant::now(), facts, access }
    }

    /// Where to note what is known of the request.
    pub(crate) fn facts(&self) -> Facts {
        self.facts.clone()
    }

    pub(crate) fn end(mut self, status: u16, code: Option<ErrorCode>) {
        let Some(access) = &mut self.access else { return };
        access.status = status;
        access.code = code.map(|ErrorCode(code)| code);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(mut access) = self.access.take() {
            let Known { operation, who } = self.facts.take();
            access.operation = operation.unwrap_or(access.operation);
            access.who = who.unwrap_or(access.who);
            let time = self.began.elapsed();
            access.microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            if let Some(durations) = &self.durations {
                durations.took(access.api, &access.operation, access.status, time);
            }
            self.log.note(&access);
        }
    }
}

/// The process at the other end of a socket; nobody, if a request comes from an address.
pub(crate) fn who(peer: Option<Peer>) -> Who {
    match peer {
        Some(Peer::Process { uid, gid, pid }) => Who::process(uid, gid, pid),
        Some(Peer::Address(_)) | None => Who::default(),
    }
}

/// Where a request came from.
pub(crate) fn from(peer: Option<Peer>) -> String {
    match peer {
        Some(Peer::Process { .. }) => "socket".to_owned(),
        Some(Peer::Address(address)) => address.to_string(),
        None => UNKNOWN.to_owned(),
    }
}
