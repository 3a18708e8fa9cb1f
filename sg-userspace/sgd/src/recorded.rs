//! What `sgd` records beside its log: the audit trail of changes, and the access log of requests. It starts and ends what writes them; called by
//! `serve` and by `run`.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sg_api::recording::Recording;
use sg_audit::{AccessLog, AccessThread, ROTATION, Rotation, TrailThread};

/// Arguments about the audit trail.
#[derive(Debug, clap::Args)]
pub(super) struct TrailArguments {
    /// Number of older files of the audit trail, of 16 MiB each, that are kept, compressed.
    #[arg(long, value_name = "N", default_value_t = ROTATION.keep)]
    audit_keep: u32,
}

impl TrailArguments {
    /// Starts to write the trail in `directory`.
    pub(super) fn start(&self, directory: &Path) -> io::Result<TrailThread> {
        TrailThread::spawn(directory.join(sg_audit::FILE), Rotation { keep: self.audit_keep, ..ROTATION })
    }
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
    /// Starts to write both.
    pub(super) fn start(trail: TrailThread, access: Option<&AccessPlace>) -> Result<Self> {
        let (access, log) = match access {
            None => (None, AccessLog::Off),
            Some(AccessPlace::Log) => (None, AccessLog::Log),
            Some(AccessPlace::File(path)) => {
                let thread = AccessThread::spawn(path.clone(), ROTATION);
                let thread = thread.with_context(|| format!("no access log at {}", path.display()))?;
                let log = thread.log();
                (Some(thread), log)
            }
        };
        let recording = Recording { trail: trail.trail(), access: log };
        Ok(Self { trail, access, recording })
    }

    /// What the APIs write to.
    pub(super) fn recording(&self) -> Recording {
        self.recording.clone()
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
