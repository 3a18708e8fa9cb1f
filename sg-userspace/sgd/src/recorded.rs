//! What `sgd` records beside its log: the audit trail of changes, and the access log of requests. It starts and ends what writes
//! them; called by `serve` and by `run`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use sg_api::recording::{Durations, Recording};
use sg_audit::{AccessLog, AccessThread, ROTATION, Rotation, TrailThread};
use sg_metrics::Measured;

/// Arguments about what is recorded.
#[derive(Debug, clap::Args)]
pub(super) struct RecordArguments {
    /// Number of older files of the audit trail, of 16 MiB each, that are kept, compressed.
    #[arg(long, value_name = "N", default_value_t = ROTATION.keep)]
    audit_keep: u32,
    /// Log each request to an API, with its operation, status, duration and caller: `log` adds lines to the log, FILE gets lines of
    /// JSON. Default: off.
    #[arg(long, value_name = "FILE|log")]
    access_log: Option<AccessPlace>,
}

/// Where the access log goes.
#[derive(Clone, Debug)]
pub(super) enum AccessPlace {
    Log,
    File(PathBuf),
}

impl From<OsString> for AccessPlace {
    fn from(text: OsString) -> Self {
        if text == "log" { Self::Log } else { Self::File(text.into()) }
    }
}

/// What writes the trail and the access log.
#[derive(Debug)]
pub(super) struct Recorded {
    trail: TrailThread,
    access: Option<AccessThread>,
    recording: Recording,
}

impl Recorded {
    /// Starts to write both: the trail in `directory`.
    pub(super) fn start(arguments: &RecordArguments, directory: &Path) -> Result<Self> {
        let rotation = Rotation { keep: arguments.audit_keep, ..ROTATION };
        let trail = TrailThread::spawn(directory.join(sg_audit::FILE), rotation)?;
        let (access, log) = match &arguments.access_log {
            None => (None, AccessLog::Off),
            Some(AccessPlace::Log) => (None, AccessLog::Log),
            Some(AccessPlace::File(path)) => {
                let thread = AccessThread::spawn(path.clone(), ROTATION)?;
                let log = thread.log();
                (Some(thread), log)
            }
        };
        let recording = Recording { trail: trail.trail(), access: log, durations: None };
        Ok(Self { trail, access, recording })
    }

    /// What the APIs write to.
    pub(super) fn recording(&self) -> Recording {
        self.recording.clone()
    }

    /// The same, with durations of requests for `measured`.
    pub(super) fn measured(&self, measured: Option<&Measured>) -> Recording {
        let durations = measured.map(|measured| Arc::new(measured.clone()) as Arc<dyn Durations>);
        Recording { durations, ..self.recording() }
    }

    /// Writes what waits, and ends.
    pub(super) fn end(self) {
        let Self { trail, access, recording: _ } = self;
        if let Some(access) = access {
            access.end();
        }
        trail.end();
    }
}
