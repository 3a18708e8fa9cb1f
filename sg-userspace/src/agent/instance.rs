//! An instance: one agent with its own programs, maps and files. This file owns where they are and who may
//! touch them. It must never look into them. Called by the agent and by `sgctl`.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use sg_common::abi;

use super::AgentError;

/// Where the kernel keeps pinned objects.
const BPFFS: &str = "/sys/fs/bpf";
const RUN: &str = "/run";

/// A name and the paths that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    files: PathBuf,
    pins: PathBuf,
}

impl Instance {
    /// The instance called `name`.
    ///
    /// # Errors
    /// Where the name could lead out of its directory.
    pub fn new(name: &str) -> Result<Self, AgentError> {
        Self::under(name, Path::new(RUN), Path::new(BPFFS))
    }

    /// Like [`Self::new`] in other directories: tests have no business in `/run`.
    pub(super) fn under(name: &str, run: &Path, bpffs: &Path) -> Result<Self, AgentError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(AgentError::InstanceName { name: name.to_owned() });
        }
        Ok(Self {
            name: name.to_owned(),
            files: run.join("sgd").join(name),
            pins: bpffs.join("sgd").join(name),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What every counter number means.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.files.join("catalog.json")
    }

    /// Where `sgd serve` is asked things.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.files.join("api.sock")
    }

    /// Where maps and links of this version are pinned. Another version has another directory, so an agent
    /// never runs half of each.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.pins.join(format!("v{}", abi::VERSION))
    }

    /// The directories of all versions that hold pins.
    #[must_use]
    pub fn pinned_versions(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.pins) else { return Vec::new() };
        let holds_pins =
            |path: &PathBuf| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(holds_pins).collect();
        found.sort();
        found
    }

    /// Takes the instance for this process, until the lock is dropped.
    ///
    /// # Errors
    /// Where another process has it, or the lock file cannot be written.
    pub fn lock(&self) -> Result<InstanceLock, AgentError> {
        fs::create_dir_all(&self.files).map_err(|source| AgentError::Io {
            doing: "create",
            path: self.files.clone(),
            source,
        })?;
        let path = self.files.join("lock");
        let failed = |doing, source: std::io::Error| AgentError::Io { doing, path: path.clone(), source };
        // Not truncated on opening: until the lock is ours, the pid in it is another's.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| failed("open", source))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                sign(&mut lock).map_err(|source| failed("write", source))?;
                Ok(InstanceLock { _lock: lock })
            }
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(AgentError::Running { instance: self.name.clone(), pid: signature(file) })
            }
            Err((_, errno)) => Err(failed("lock", errno.into())),
        }
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn signature(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The right to change what an instance has in the kernel. The file stays when it is dropped: removing it
/// would let two processes lock two files of one name.
#[derive(Debug)]
pub struct InstanceLock {
    _lock: Flock<File>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_directory() {
        for name in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(matches!(Instance::new(name), Err(AgentError::InstanceName { .. })), "{name:?}");
        }
        let instance = Instance::new("blue-2").unwrap();
        assert_eq!(instance.catalog(), Path::new("/run/sgd/blue-2/catalog.json"));
        assert!(instance.pins().starts_with("/sys/fs/bpf/sgd/blue-2"));
    }

    #[test]
    fn one_process_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", dir.path(), dir.path()).unwrap();
        let held = instance.lock().unwrap();
        let refused = instance.lock().unwrap_err();
        assert!(matches!(refused, AgentError::Running { pid, .. } if pid == Some(std::process::id())));
        drop(held);
        instance.lock().unwrap();
    }
}
