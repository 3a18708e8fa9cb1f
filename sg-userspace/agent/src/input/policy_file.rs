//! The policy file: notices when it may have changed, and reads it.
//!
//! It watches directories, not the file: an editor renames a new file over the old one, and a Kubernetes `ConfigMap` swaps a
//! symlink on the path to it. A file that is being written is left alone until it is closed; half a document can be a valid one,
//! with fewer NICs. This file must never decide what a policy means or what follows from it. Called by `lifecycle`.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf, absolute},
};

use notify::{
    Event as FileEvent, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
    recommended_watcher,
};
use sg_document::{DocumentError, Guard, Loaded};
use sg_model::Policy;

use super::{
    events::{Event, Sender},
    trusted_file::{self, Hands, NotOpened},
};
use crate::{
    error::AgentError,
    host::{devices, error::HostError},
};

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) policy: Policy,
    /// What it says about changes.
    pub(crate) guard: Guard,
}

/// The policy file and its watches.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
    /// The identity of the file that was read last.
    identity: Option<Identity>,
    /// The hash of what was read last, valid or not, or of the reason why nothing was: several events about one change are one
    /// change.
    read: Option<u64>,
    hashes: RandomState,
    /// The text of the last valid document, if somebody asks for it.
    text: Option<Vec<u8>>,
}

impl PolicyFile {
    /// Watches the file; it need not exist.
    pub(crate) fn watch(path: &Path, events: Sender) -> Result<Self, AgentError> {
        let path = absolute(path).map_err(|source| HostError::Io {
            doing: "find",
            path: path.to_owned(),
            source,
        })?;
        let failed = |source| AgentError::Watch { path: path.clone(), source };
        let mut filter = Filter::new(&path);
        let watcher = recommended_watcher(move |event: notify::Result<FileEvent>| {
            // An error of the watcher means that events may be lost.
            if event.map_or(true, |event| filter.concerns(&event)) {
                // Nobody receives any more while the agent ends.
                let _ = events.send(Event::PolicyFile);
            }
        });
        let watcher = watcher.map_err(failed)?;
        let mut file = Self {
            path,
            watcher,
            directories: BTreeSet::new(),
            identity: None,
            read: None,
            hashes: RandomState::new(),
            text: None,
        };
        file.watch_directories()?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the valid document that was read last.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.as_deref().unwrap_or_default()
    }

    /// The document with this text, as if it stood in the file.
    pub(crate) fn parse(&self, text: &[u8]) -> Result<Document, AgentError> {
        sg_document::parse(&self.path.display().to_string(), text)
            .map(|loaded| Document { policy: loaded.policy, guard: loaded.guard })
            .map_err(|error| AgentError::Policy { text: error.to_string() })
    }

    /// Replaces the file, which keeps its owner and its mode, by one with this text. Read it afterwards.
    pub(crate) fn replace(&self, text: &[u8]) -> Result<(), AgentError> {
        let write = || {
            // A symlink stays, and leads to the new file.
            let path = fs::canonicalize(&self.path)?;
            let found = fs::metadata(&path)?;
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".promoted");
            let temporary = path.with_file_name(name);
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            let written = (|| {
                file.write_all(text)?;
                fchown(&file, Some(found.uid()), Some(found.gid()))?;
                file.set_permissions(found.permissions())?;
                file.sync_all()?;
                fs::rename(&temporary, &path)
            })();
            if written.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            written
        };
        write().map_err(|source| AgentError::CandidateNotWritten { path: self.path.clone(), source })
    }

    /// The UID of the owner of the file that was read last; `None` if there was none.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.identity.as_ref().map(|(.., hands)| hands.owner())
    }

    /// Watches the directory of the path, and that of the file it resolves to.
    fn watch_directories(&mut self) -> Result<(), AgentError> {
        let target = fs::canonicalize(&self.path).ok();
        let parents = [Some(self.path.as_path()), target.as_deref()].into_iter().flatten();
        let wanted: BTreeSet<PathBuf> = parents.filter_map(Path::parent).map(Path::to_owned).collect();
        for old in self.directories.difference(&wanted) {
            // The directory of a swapped symlink is usually deleted, and its watch with it.
            let _ = self.watcher.unwatch(old);
        }
        for new in wanted.difference(&self.directories) {
            let watched = self.watcher.watch(new, RecursiveMode::NonRecursive);
            watched.map_err(|source| AgentError::Watch { path: new.clone(), source })?;
        }
        self.directories = wanted;
        Ok(())
    }

    /// Reads the file, and asks whether its tests hold, with the addresses that the devices have now. Warnings are logged.
    pub(crate) fn load(&mut self) -> Result<Document, AgentError> {
        // Before the file is read: a change in between wakes the agent again.
        if let Err(error) = self.watch_directories() {
            tracing::warn!("{error}; send SIGHUP after a change");
        }
        self.identity = identity(&self.path);
        let bytes = self.bytes();
        self.read = Some(self.fingerprint(&bytes));
        let bytes = bytes?;
        let refused = |error: DocumentError| AgentError::Policy { text: error.to_string() };
        let loaded = sg_document::parse(&self.path.display().to_string(), &bytes).map_err(refused)?;
        let loaded = self.tested(loaded)?.map_err(refused)?;
        self.text = Some(bytes);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Document { policy: loaded.policy, guard: loaded.guard })
    }

    /// The same, unless one of its tests does not hold.
    pub(crate) fn try_text(&self, text: &[u8]) -> Result<Document, AgentError> {
        let refused = |error: DocumentError| AgentError::Policy { text: error.to_string() };
        let loaded = sg_document::parse(&self.path.display().to_string(), text).map_err(refused)?;
        let loaded = self.tested(loaded)?.map_err(refused)?;
        Ok(Document { policy: loaded.policy, guard: loaded.guard })
    }

    /// The document, unless one of its tests does not hold.
    fn tested(&self, loaded: Loaded) -> Result<Result<Loaded, DocumentError>, AgentError> {
        if loaded.tests.is_empty() {
            return Ok(Ok(loaded));
        }
        let found = devices::scan().map_err(|error| {
            let text = format!("{}: its tests cannot be asked: {error}", self.path.display());
            AgentError::Policy { text }
        })?;
        let mut policy = loaded.policy.clone();
        policy.set_device_facts(|device| found.get(device).map(|one| one.facts.clone()).unwrap_or_default());
        let (failed, idle) = sg_diff::test(&policy, &loaded.tests, sg_diff::TIME).in_words();
        Ok(loaded.tested(failed, idle))
    }

    /// Reads the file if it differs from what was read last.
    pub(crate) fn load_changed(&mut self) -> Option<Result<Document, AgentError>> {
        let found = self.fingerprint(&self.bytes());
        if self.read == Some(found) { None } else { Some(self.load()) }
    }

    fn fingerprint(&self, read: &Result<Vec<u8>, AgentError>) -> u64 {
        match read {
            Ok(bytes) => self.hashes.hash_one(bytes),
            Err(error) => self.hashes.hash_one(error.to_string()),
        }
    }

    /// The contents of the file, if it is trusted.
    fn bytes(&self) -> Result<Vec<u8>, AgentError> {
        let file = match trusted_file::open(&self.path) {
            Ok(file) => Ok(file),
            Err(NotOpened::Io(error)) => Err(error),
            Err(NotOpened::Untrusted(source)) => {
                return Err(AgentError::Untrusted { path: self.path.clone(), source });
            }
        };
        let bytes = sg_document::read_opened(&self.path, file);
        bytes.map_err(|error| AgentError::Policy { text: error.to_string() })
    }

    /// Reads the file if it is another one than was read last and no event reported it: a directory on the path was replaced, and
    /// the watch stayed with the old one. Or its owner or permissions changed. Call it every few seconds.
    pub(crate) fn load_replaced(&mut self) -> Option<Result<Document, AgentError>> {
        let found = identity(&self.path);
        if found.is_none() || found == self.identity {
            return None;
        }
        for old in std::mem::take(&mut self.directories) {
            let _ = self.watcher.unwatch(&old);
        }
        self.identity = found;
        self.watch_directories().err().map(Err).or_else(|| self.load_changed())
    }
}

/// The identity of a file whatever its name: inode, directory, ownership and permissions.
type Identity = (u64, u64, Hands);

fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let directory = fs::metadata(path.parent()?).ok()?;
    Some((directory.ino(), fs::metadata(path).ok()?.ino(), trusted_file::hands(path)?))
}

/// Separates events that may mean another document from the rest: in `/etc` or `/tmp` there are many others.
#[derive(Debug)]
struct Filter {
    path: PathBuf,
    target: Option<PathBuf>,
}

impl Filter {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), target: fs::canonicalize(path).ok() }
    }

    fn concerns(&mut self, event: &FileEvent) -> bool {
        if event.need_rescan() {
            return true;
        }
        let own = event.paths.iter().any(|path| *path == self.path || Some(path) == self.target.as_ref());
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => own,
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Create(_) | EventKind::Remove(_) => {
                let target = fs::canonicalize(&self.path).ok();
                let moved = target != self.target;
                self.target = target;
                // A file that was just created is still empty: its writer closes it later. A link is complete.
                let created = matches!(event.kind, EventKind::Create(_));
                if created && own { event.paths.iter().any(|path| is_link(path)) } else { own || moved }
            }
            _ => false,
        }
    }
}

/// A symbolic link, or a further hard link.
fn is_link(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, time::Duration};

    use super::*;
    use crate::input::events::{Events, channel};

    /// Whether the agent is woken within a second.
    fn is_woken(events: &mut Events, change: impl FnOnce()) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            change();
            let waited = tokio::time::timeout(Duration::from_millis(600), events.next()).await;
            waited.is_ok_and(|wake| wake.is_some_and(|wake| wake.policy.is_some()))
        })
    }

    #[test]
    fn writing_and_renaming_over_are_noticed_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("policy.yaml"), dir.path().join("other"));
        fs::write(&path, "a").unwrap();
        let (sender, mut events) = channel();
        let _file = PolicyFile::watch(&path, sender).unwrap();
        assert!(is_woken(&mut events, || fs::write(&path, "b").unwrap()));
        assert!(!is_woken(&mut events, || fs::write(&other, "c").unwrap()));
        assert!(is_woken(&mut events, || fs::rename(&other, &path).unwrap()));
        assert!(is_woken(&mut events, || fs::remove_file(&path).unwrap()));
    }

    #[test]
    fn a_file_is_left_alone_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        fs::write(&path, "a").unwrap();
        let (sender, mut events) = channel();
        let _file = PolicyFile::watch(&path, sender).unwrap();
        let mut writer = None;
        assert!(!is_woken(&mut events, || {
            let mut file = fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, b"half").unwrap();
            writer = Some(file);
        }));
        assert!(is_woken(&mut events, || drop(writer)));
    }

    #[test]
    fn a_swapped_symlink_on_the_way_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("policy.yaml"), version).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/policy.yaml", at("policy.yaml")).unwrap();
        let (sender, mut events) = channel();
        let _file = PolicyFile::watch(&at("policy.yaml"), sender).unwrap();
        assert!(is_woken(&mut events, || {
            symlink("..2", at("..tmp")).unwrap();
            fs::rename(at("..tmp"), at("..data")).unwrap();
        }));
    }

    #[test]
    fn a_file_that_others_can_write_is_read_once_they_cannot() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        let (sender, _events) = channel();
        let mut file = PolicyFile::watch(&path, sender).unwrap();
        fs::write(&path, "{}").unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o666);
        let refused = file.load().unwrap_err();
        assert!(matches!(refused, AgentError::Untrusted { .. }) && refused.concerns_policy());
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
        assert!(file.load_replaced().is_none(), "nothing has changed");
        mode(0o644);
        file.load_replaced().expect("it is in other hands").unwrap();
        assert!(file.load_replaced().is_none());
        mode(0o646);
        file.load_replaced().expect("and again").unwrap_err();
        mode(0o644);
        file.load_replaced().expect("and again").unwrap();
        // Anybody who can write to the directory could rename another file of root's to the policy's name.
        let mode = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let refused = file.load_replaced().expect("its directory is in other hands").unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("chmod go-w") && said.contains(&*dir.path().to_string_lossy()), "{said}");
        mode(0o755);
        file.load_replaced().expect("and again").unwrap();
    }

    #[test]
    fn the_same_bytes_are_not_read_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        let (sender, _events) = channel();
        let mut file = PolicyFile::watch(&path, sender).unwrap();
        assert!(file.load().is_err(), "there is no file");
        assert!(file.load_changed().is_none());
        fs::write(&path, "{}").unwrap();
        assert!(file.load_changed().is_some());
        assert!(file.load_changed().is_none());
    }
}
