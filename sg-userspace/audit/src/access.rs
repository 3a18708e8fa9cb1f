//! The access log: one line for each request to an API, whatever came of it. It is for counting and searching, and is no proof:
//! if the disk is full or the queue is, lines are lost, and counted.
//!
//! It must never contain a path, a query or a text of the client: only the operation, which is one of a table.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use jiff::Timestamp;
use serde::Serialize;
use sg_host::rotated::{RotatedError, RotatedFile, Rotation};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{Api, Who};

/// Lines that may wait.
const QUEUE: usize = 4_096;

/// A request that was responded to.
#[derive(Clone, Debug, Serialize)]
pub struct Access {
    /// When it arrived.
    pub time: Timestamp,
    /// Its id.
    pub request: String,
    /// The API.
    pub api: Api,
    /// The operation or action; `unknown` if there is none of that name.
    pub operation: String,
    /// The HTTP status of the response.
    pub status: u16,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The time until the response began, in microseconds.
    pub microseconds: u64,
    /// Who sent it.
    #[serde(flatten)]
    pub who: Who,
    /// Where it came from.
    pub from: String,
}

/// Where the lines go.
#[derive(Clone, Debug, Default)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To the log, as lines of the target `access`.
    Log,
    /// To a file.
    File(AccessFile),
}

/// The queue of the file's thread.
#[derive(Clone, Debug)]
pub struct AccessFile {
    queue: Sender<Option<Vec<u8>>>,
    lost: Arc<AtomicU64>,
}

impl AccessLog {
    /// Whether anybody wants lines.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Writes a line, without waiting.
    pub fn note(&self, access: &Access) {
        match self {
            Self::Off => {}
            Self::Log => {
                let Access { time: _, request, api, operation, status, code, microseconds, who, from } =
                    access;
                let (api, code) = (api.name(), code.as_deref().unwrap_or_default());
                tracing::info!(
                    target: "access",
                    %request, api, operation, status, code, microseconds, %who, from, "request"
                );
            }
            Self::File(file) => {
                let mut line = serde_json::to_vec(access).unwrap_or_default();
                line.push(b'\n');
                if file.queue.try_send(Some(line)).is_err() {
                    file.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The thread that writes a file of it.
#[derive(Debug)]
pub struct AccessThread {
    file: AccessFile,
    thread: JoinHandle<()>,
}

impl AccessThread {
    /// Starts to write to `path`. If that cannot be opened, this is logged, and tried again with each request.
    ///
    /// # Errors
    /// There is no thread.
    pub fn spawn(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let mut writer = Writer { path, rotation, file: None, is_failing: false };
        let opened = writer.append(&[]);
        writer.report(opened.err().as_ref());
        let (queue, waiting) = channel(QUEUE);
        let file = AccessFile { queue, lost: Arc::default() };
        let lost = Arc::clone(&file.lost);
        let write = move || writer.serve(waiting, &lost);
        let thread = thread::Builder::new().name("access".to_owned()).spawn(write)?;
        Ok(Self { file, thread })
    }

    /// A handle of the log.
    #[must_use]
    pub fn log(&self) -> AccessLog {
        AccessLog::File(self.file.clone())
    }

    /// Writes what waits, and ends.
    pub fn end(self) {
        let _ = self.file.queue.blocking_send(None);
        let _ = self.thread.join();
    }
}

/// The one that writes the file.
struct Writer {
    path: PathBuf,
    rotation: Rotation,
    file: Option<RotatedFile>,
    is_failing: bool,
}

impl Writer {
    fn serve(mut self, mut waiting: Receiver<Option<Vec<u8>>>, lost: &AtomicU64) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
            let ends = batch.iter().any(Option::is_none);
            let lines: Vec<Vec<u8>> = batch.drain(..).flatten().collect();
            let written = self.append(&lines.concat());
            self.report(written.as_ref().err());
            if written.is_err() {
                lost.fetch_add(lines.len() as u64, Ordering::Relaxed);
            } else if let unwritten @ 1.. = lost.swap(0, Ordering::Relaxed) {
                tracing::warn!("the access log has lost {unwritten} lines");
            }
            if ends {
                return;
            }
        }
    }

    /// Appends to the file, and opens it before if it is not open.
    fn append(&mut self, lines: &[u8]) -> Result<(), RotatedError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => RotatedFile::open(&self.path, self.rotation)?,
        };
        self.file.insert(file).append(lines)
    }

    /// Logs a failure when it begins.
    fn report(&mut self, failure: Option<&RotatedError>) {
        if let (Some(error), false) = (failure, self.is_failing) {
            tracing::error!("the access log loses lines, requests go on without it: {error}");
        }
        self.is_failing = failure.is_some();
    }
}
