//! Compression of a file that was rotated, in a thread of its own.
//!
//! The compressed file takes its name once it is whole and on the disk; only then is the other removed. So a process that is
//! killed, or a full disk, leaves the file as it was. Called by `RotatedFile`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread::{Builder, JoinHandle},
};

use flate2::{Compression, write::GzEncoder};

/// Compresses `from` to `to`. `None`: there is no thread, and the file stays as it is.
pub(super) fn start(from: PathBuf, to: PathBuf) -> Option<JoinHandle<()>> {
    let work = move || {
        if let Err(error) = compress(&from, &to) {
            tracing::warn!("cannot compress {from:?}, which stays as it is: {error}");
        }
    };
    Builder::new().name("compress".into()).spawn(work).ok()
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let done = write(from, &unfinished)
        .and_then(|()| fs::rename(&unfinished, to))
        .and_then(|()| fs::remove_file(from));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done
}

fn write(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    // What a killed process has left.
    match fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut encoder = GzEncoder::new(new, Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()
}
