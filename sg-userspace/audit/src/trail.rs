//! The trail: a handle for everybody who writes to it, a bounded queue, and the thread that alone writes the file.
//!
//! The thread takes all waiting entries together: one write, and one sync if a change is among them. It must never end because of
//! the file, and never keep anybody waiting for longer than one batch.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sg_host::rotated::{RotatedError, RotatedFile, Rotation};
use tokio::sync::{
    mpsc::{Receiver, Sender, channel, error::TrySendError},
    oneshot,
};
use utoipa::ToSchema;

use super::{Api, Entry, HistoryQuery, Outcome, Who, read};

/// Entries that may wait, and entries that are written together.
const QUEUE: usize = 256;
/// Refusals of each [`Limited`] kind that are written in a minute.
const REFUSALS: u32 = 60;
const MINUTE: Duration = Duration::from_mins(1);

type Then = Box<dyn FnOnce() + Send>;

enum Message {
    Write(Box<Entry>, Then),
    End,
}

/// A handle of the trail. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Trail(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    queue: Sender<Message>,
    lost: AtomicU64,
    /// Entries that were lost, of which the trail does not say so yet.
    unsaid: AtomicU64,
    failing: Mutex<Option<String>>,
    unknown: Mutex<Budget>,
    role: Mutex<Budget>,
}

/// Refusals that cost their callers nothing: any number of them could push older entries out. Each kind has its own budget, so that
/// strangers cannot hide what keys try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Nobody knows the caller.
    Unknown,
    /// The role of the caller does not allow the change.
    Role,
}

/// The state of the trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditStatus {
    /// The file. Older ones are beside it.
    pub file: String,
    /// Number of entries since the start that could not be written, or may not be on the disk.
    pub lost: u64,
    /// Why it cannot be written now. Absent if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// How many refusals of a kind are written.
#[derive(Debug, Default)]
struct Budget {
    since: Option<Instant>,
    written: u32,
    missing: u64,
}

impl Budget {
    /// Whether another one may be written; if so, how many were not.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
            (self.since, self.written) = (Some(now), 0);
        }
        if self.written == REFUSALS {
            self.missing += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.missing))
    }
}

impl Trail {
    /// A trail that keeps nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Its file, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|shared| shared.path.as_path())
    }

    /// Its state, if there is one.
    #[must_use]
    pub fn status(&self) -> Option<AuditStatus> {
        let shared = self.0.as_ref()?;
        Some(AuditStatus {
            file: shared.path.display().to_string(),
            lost: shared.lost.load(Ordering::Relaxed),
            failing: shared.failing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// Writes an entry, and calls `then` when it is written, or cannot be. Waits while the queue is full: not for asynchronous
    /// code.
    pub fn write_and(&self, entry: Entry, then: impl FnOnce() + Send + 'static) {
        let Some(shared) = &self.0 else { return then() };
        let message = Message::Write(Box::new(entry.bounded()), Box::new(then));
        if let Err(unsent) = shared.queue.blocking_send(message) {
            shared.drop_unsent(unsent.0);
        }
    }

    /// Writes an entry without waiting. If the queue is full, the entry is lost, and counted.
    pub fn write_soon(&self, entry: Entry) {
        self.send(entry, Box::new(|| ()));
    }

    /// Writes an entry. Returns when it is written, or cannot be. If the queue is full, the entry is lost, and counted. It is
    /// written even if nobody waits for it any more.
    pub async fn write(&self, entry: Entry) {
        let (done, is_done) = oneshot::channel();
        let then = move || {
            // Nobody waits any more: the client is gone.
            let _ = done.send(());
        };
        self.send(entry, Box::new(then));
        // An entry that was lost has dropped its sender.
        let _ = is_done.await;
    }

    /// Writes a refusal of this kind; of those, no more than 60 a minute.
    pub async fn write_limited(&self, kind: Limited, mut entry: Entry) {
        let Some(shared) = &self.0 else { return };
        let budget = match kind {
            Limited::Unknown => &shared.unknown,
            Limited::Role => &shared.role,
        };
        let admitted = budget.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(missing) = admitted {
            entry.missing = missing;
            self.write(entry).await;
        }
    }

    fn send(&self, entry: Entry, then: Then) {
        let Some(shared) = &self.0 else { return then() };
        match shared.queue.try_send(Message::Write(Box::new(entry.bounded()), then)) {
            Ok(()) => {}
            Err(TrySendError::Full(unsent) | TrySendError::Closed(unsent)) => shared.drop_unsent(unsent),
        }
    }
}

impl Shared {
    fn drop_unsent(&self, unsent: Message) {
        let Message::Write(_, then) = unsent else { return };
        self.count_lost(1);
        then();
    }

    fn count_lost(&self, number: u64) {
        self.lost.fetch_add(number, Ordering::Relaxed);
        self.unsaid.fetch_add(number, Ordering::Relaxed);
    }
}

/// The trail and the thread that writes it.
#[derive(Debug)]
pub struct TrailThread {
    trail: Trail,
    thread: JoinHandle<()>,
}

impl TrailThread {
    /// Starts to write the trail at `path`, and makes its directory if it is missing. A file that cannot be written now is no
    /// error: it is reported, counted, and tried again with each entry.
    ///
    /// # Errors
    /// There is no thread.
    pub fn spawn(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let (queue, waiting) = channel(QUEUE);
        let shared = Arc::new(Shared {
            path,
            queue,
            lost: AtomicU64::new(0),
            unsaid: AtomicU64::new(0),
            failing: Mutex::default(),
            unknown: Mutex::default(),
            role: Mutex::default(),
        });
        let mut writer = Writer { shared: Arc::clone(&shared), rotation, file: None, sequence: None };
        writer.begin();
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.serve(waiting))?;
        Ok(Self { trail: Trail(Some(shared)), thread })
    }

    /// A handle of the trail.
    #[must_use]
    pub fn trail(&self) -> Trail {
        self.trail.clone()
    }

    /// Writes what waits, and ends. What is sent later is lost.
    pub fn end(self) {
        if let Some(shared) = &self.trail.0 {
            let _ = shared.queue.blocking_send(Message::End);
        }
        let _ = self.thread.join();
    }
}

/// The one that writes the file.
struct Writer {
    shared: Arc<Shared>,
    rotation: Rotation,
    file: Option<RotatedFile>,
    /// The number of the last entry. `None`: what is in the file could not be read yet.
    sequence: Option<u64>,
}

impl Writer {
    /// Opens the file, to say at the start what is wrong with it.
    fn begin(&mut self) {
        let opened = self.open().map(drop);
        self.report(opened.err().as_ref());
    }

    fn serve(mut self, mut waiting: Receiver<Message>) {
        let mut batch = Vec::with_capacity(QUEUE);
        let mut ends = false;
        while !ends && waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
            let mut entries = Vec::with_capacity(batch.len());
            for message in batch.drain(..) {
                match message {
                    Message::Write(entry, then) => entries.push((*entry, then)),
                    Message::End => ends = true,
                }
            }
            self.write(entries);
        }
    }

    fn write(&mut self, mut batch: Vec<(Entry, Then)>) {
        if batch.is_empty() {
            return;
        }
        let written = self.try_write(&mut batch);
        self.report(written.as_ref().err());
        if written.is_err() {
            self.shared.count_lost(batch.len() as u64);
        }
        for (_, then) in batch {
            then();
        }
    }

    fn try_write(&mut self, batch: &mut [(Entry, Then)]) -> Result<(), RotatedError> {
        let unsaid = self.shared.unsaid.load(Ordering::Relaxed);
        let mut sequence = self.open()?;
        let mut text = Vec::new();
        if unsaid > 0 {
            sequence += 1;
            let mut entry = Entry::new(Api::Sgd, "audit", Who::default(), "sgd");
            (entry.sequence, entry.outcome, entry.missing) = (sequence, Outcome::Lost, unsaid);
            entry.message =
                Some("entries could not be written before this one, or may not be on the disk".to_owned());
            text.extend(entry.line());
        }
        for (entry, _) in &mut *batch {
            sequence += 1;
            entry.sequence = sequence;
            text.extend(entry.line());
        }
        // What fails has its numbers all the same: that they are missing shows it.
        self.sequence = Some(sequence);
        let Some(file) = &mut self.file else { return Ok(()) };
        file.append(&text)?;
        // A refusal has changed nothing: the next sync takes it along.
        if unsaid > 0 || batch.iter().any(|(entry, _)| entry.outcome != Outcome::Refused) {
            file.sync()?;
        }
        self.shared.unsaid.fetch_sub(unsaid, Ordering::Relaxed);
        Ok(())
    }

    /// Opens the file if it is not open; returns the number of the last entry.
    fn open(&mut self) -> Result<u64, RotatedError> {
        let path = &self.shared.path;
        if self.file.is_none() {
            if let Some(directory) = path.parent() {
                // Whether it is there shows when the file is opened.
                let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
            }
            self.file = Some(RotatedFile::open(path, self.rotation)?);
        }
        if let Some(sequence) = self.sequence {
            return Ok(sequence);
        }
        let newest = HistoryQuery { limit: Some(1), ..HistoryQuery::default() };
        let last = match read(path, &newest) {
            Ok(page) => page.items.first().map_or(0, |entry| entry.sequence),
            Err(error) => {
                tracing::warn!("{error}; the entries of the audit trail are numbered from 1");
                0
            }
        };
        self.sequence = Some(last);
        Ok(last)
    }

    /// Logs a failure when it begins and when it is over, and keeps it for the status.
    fn report(&self, failure: Option<&RotatedError>) {
        let mut failing = self.shared.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => {
                let error = error.to_string();
                if failing.as_ref() != Some(&error) {
                    tracing::error!("the audit trail cannot be written, changes go on without it: {error}");
                }
                *failing = Some(error);
            }
            None => {
                if failing.take().is_some() {
                    tracing::warn!("the audit trail is written again; it says how many entries are missing");
                }
            }
        }
    }
}
