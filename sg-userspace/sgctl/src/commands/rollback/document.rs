//! The document of `sgd run`, written back to its file as it was after an earlier change. The agent reads it, and decides whether it is
//! put in force; if not, the file has its former text again. It must never lose what somebody has edited. `rollback` calls it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use sg_api_types::{ChangeView, DocumentText, Status};

use super::{Args, show};
use crate::{client::Address, commands::changes::newest, failure::Failure, session::Session};

/// How often the agent is asked whether it has read the document.
const PAUSE: Duration = Duration::from_millis(100);

/// A document that is to be written.
struct WriteBack {
    change: u64,
    /// Where symbolic links lead.
    target: PathBuf,
    /// What the file says now.
    found: Vec<u8>,
    wanted: String,
    /// The number of the document in force.
    last: u64,
}

/// What the agent did last.
#[derive(PartialEq)]
struct Seen {
    applied: Option<Timestamp>,
    refused: Option<(Timestamp, String)>,
}

pub(super) fn write_back(
    args: &Args,
    change: u64,
    path: &Path,
    last: &ChangeView,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let text = |number: u64| Address::of(&["changes", &number.to_string(), "text"]);
    let wanted: DocumentText = session.get(text(change))?;
    let last = last.change.number;
    let in_force: DocumentText = session.get(text(last))?;
    let target =
        fs::canonicalize(path).with_context(|| path.display().to_string()).map_err(Failure::Input)?;
    let found = fs::read(&target).with_context(|| target.display().to_string()).map_err(Failure::Input)?;
    let (is_written, is_in_force) = (found == wanted.text.as_bytes(), wanted.text == in_force.text);
    let file = target.display().to_string();
    if is_written && is_in_force {
        return session.output.line(&format!("nothing to change: the document is that of change {change}"));
    }
    if is_written {
        return Err(Failure::other(anyhow!(
            "{file} has the document of change {change} already, and it is not in force: it was refused, or not confirmed. After \
             SIGHUP the agent reads it again"
        )));
    }
    if !is_in_force {
        show(change, session)?;
    }
    if found != in_force.text.as_bytes() && !session.client.is_forcing() {
        return Err(Failure::guarded(anyhow!(
            "{file} is not what is in force: it was edited since, or refused, or not confirmed. Save what you need of it, and say \
             --force"
        )));
    }
    if args.dry_run {
        let text = format!("the document of change {change} would be written to {file}");
        return session.output.line(&text);
    }
    let question = format!("Write the document of change {change} to {file}?");
    session.output.confirm(&question, args.yes.yes)?;
    let back = WriteBack { change, target, found, wanted: wanted.text, last };
    let known = Seen::now(session)?;
    // The question may have stood there for a while.
    back.still_has(&back.found)?;
    back.write(back.wanted.as_bytes())?;
    if is_in_force {
        known.changes(session)?;
        let text = format!("{file} says again what is in force: the document of change {change}");
        return session.output.line(&text);
    }
    back.is_in_force(&known, session)
}

impl Seen {
    fn now(session: &mut Session<'_>) -> Result<Self, Failure> {
        let Status { applied, refused, .. } = session.get(Address::of(&["status"]))?;
        let refused = refused.map(|refused| (refused.at, refused.reason));
        Ok(Self { applied: applied.map(|applied| applied.at), refused })
    }

    /// Waits until the agent has done something since.
    fn changes(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        // It may have read it before it was asked what it has done last.
        let until = Instant::now() + session.client.timeout().min(Duration::from_secs(5));
        while Self::now(session)? == *self && Instant::now() < until {
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl WriteBack {
    /// Refuses to write over what somebody has edited since.
    fn still_has(&self, text: &[u8]) -> Result<(), Failure> {
        let file = self.target.display();
        let found = fs::read(&self.target).with_context(|| file.to_string()).map_err(Failure::Input)?;
        if found == text {
            return Ok(());
        }
        Err(Failure::guarded(anyhow!(
            "{file} was edited meanwhile, and is left as it is: look at it, and try again"
        )))
    }

    fn write(&self, text: &[u8]) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::other(anyhow!("cannot write {}: {error}", self.target.display()));
        replace(&self.target, text).map_err(failed)
    }

    /// Waits until the document is in force, or refused.
    fn is_in_force(&self, known: &Seen, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self { change, target, .. } = self;
        let until = Instant::now() + session.client.timeout();
        loop {
            let newest = newest(session, 1, 0)?.items.into_iter().next();
            if let Some(newest) = newest.filter(|newest| newest.change.number > self.last) {
                if session.output.format.is_data() {
                    return session.output.data(&newest);
                }
                let number = newest.change.number;
                let text = format!("in force: the document of change {change} again, as change {number}");
                return session.output.line(&text);
            }
            let now = Seen::now(session)?;
            if let Some((_, reason)) = now.refused.filter(|refused| known.refused.as_ref() != Some(refused)) {
                // The file says again what it said.
                self.still_has(self.wanted.as_bytes())?;
                self.write(&self.found)?;
                return Err(Failure::other(anyhow!(
                    "the agent refuses the document of change {change}, and {} has its former text again:\n{reason}",
                    target.display()
                )));
            }
            if Instant::now() >= until {
                return Err(Failure::other(anyhow!(
                    "the document of change {change} is in {}, and the agent has not put it in force in {} seconds: see `sgctl \
                     status`",
                    target.display(),
                    session.client.timeout().as_secs()
                )));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Replaces the content of a file at once, and leaves its owner and mode as they are.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", process::id()));
    let new: PathBuf = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text)?;
        fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    let written = write();
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_is_never_half() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.yaml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(io::read_to_string(before).unwrap(), "old", "whoever has it open reads the old one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(&directory.path().join("none"), b"x").is_err());
    }
}
