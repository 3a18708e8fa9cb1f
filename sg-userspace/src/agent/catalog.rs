//! The catalog: what every counter number means, and what is attached where, as a file.
//!
//! It is written before the kernel is told anything that it describes, so whoever reads counters, or adopts what an
//! agent left behind, finds at least what is in force. This file owns the format and its version; it must
//! never decide what is in it. `reconcile` writes it, `start`, `sgctl stats` and `sgctl detach` read it.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sg_common::{abi, image};
use thiserror::Error;

use super::{AgentError, Left, Numbers};
use crate::{
    kernel::{Attachment, Lasts, Limits},
    model::{Action, Hook},
};

/// Its owner writes it, and the group of its directory reads it: who may use the socket.
const MODE: u32 = 0o640;

/// Accept, drop or reject, as files and users read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The packet goes on.
    Accept,
    /// It does not, and nobody is told.
    Drop,
    /// It does not, and its sender is told.
    Reject,
}

impl From<Action> for Outcome {
    fn from(action: Action) -> Self {
        match action {
            Action::Accept => Self::Accept,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
        }
    }
}

impl Outcome {
    /// The word that users read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// A NIC of the policy and what is in force for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicRecord {
    /// The device.
    pub device: String,
    /// Its place in the maps, its own as long as it is in the policy.
    pub slot: u16,
    /// The device that the program is attached to; none where it is attached to none.
    pub ifindex: Option<u32>,
    /// Where what the device receives is judged, as it is attached.
    #[serde(with = "HookRecord", default)]
    pub hook: Hook,
    /// The last generation that was given to one of its images.
    pub generation: u32,
    /// Its groups, in its order.
    pub groups: Vec<String>,
    /// What happens to inbound packets that no rule matches.
    pub ingress_default: Outcome,
    /// What happens to outbound packets that no rule matches.
    pub egress_default: Outcome,
    /// The fingerprint of the image in force; none where this process published none.
    #[serde(skip)]
    pub(super) published: Option<u64>,
    /// This process attached its own program.
    #[serde(skip)]
    pub(super) current: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Hook", rename_all = "lowercase")]
enum HookRecord {
    Tc,
    Xdp,
}

/// How much the maps hold, as they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsRecord {
    nics: u32,
    flows: u32,
    counters: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Attachment", rename_all = "lowercase")]
enum AttachmentRecord {
    Auto,
    Tcx,
    Clsact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Lasts", rename_all = "lowercase")]
enum LastsRecord {
    Host,
    Container,
    Private,
}

/// What is in force, and what the numbers mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// [`abi::VERSION`] of the agent that wrote it.
    pub abi_version: u32,
    /// [`image::VERSION`] of the agent that wrote it.
    pub image_version: u32,
    /// The agent that wrote it; it may have ended.
    pub pid: u32,
    /// How much the maps hold.
    #[serde(with = "LimitsRecord")]
    pub limits: Limits,
    /// How programs are hooked into devices.
    #[serde(with = "AttachmentRecord")]
    pub attachment: Attachment,
    /// The NICs, in the order of the document.
    pub nics: Vec<NicRecord>,
    /// Devices that left the policy while they were there.
    #[serde(default)]
    pub left: Vec<Left>,
    /// How long what is pinned stays.
    #[serde(default, with = "LastsRecord")]
    pub pinned: Lasts,
    /// The numbers of groups and rules.
    pub numbers: Numbers,
}

/// Why there is no catalog to use.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// There is none.
    #[error("there is no catalog {path:?}")]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the catalog {path:?}: {source}{}", super::error::remedy(source))]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what an agent wrote.
    #[error("the catalog {path:?} is damaged: {source}")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It was written by an agent of another version.
    #[error(
        "the catalog {path:?} is of layout {found_abi}/{found_image}, this program of {}/{}",
        abi::VERSION,
        image::VERSION
    )]
    Version {
        /// Where.
        path: PathBuf,
        /// Its map layout.
        found_abi: u32,
        /// Its image layout.
        found_image: u32,
    },
}

/// The part that every version has.
#[derive(Deserialize)]
struct Versions {
    abi_version: u32,
    image_version: u32,
}

impl Catalog {
    /// The catalog of an instance where nothing is in force yet.
    #[must_use]
    pub fn new(limits: Limits, attachment: Attachment) -> Self {
        Self {
            abi_version: abi::VERSION,
            image_version: image::VERSION,
            pid: std::process::id(),
            limits,
            attachment,
            nics: Vec::new(),
            left: Vec::new(),
            pinned: Lasts::default(),
            numbers: Numbers::default(),
        }
    }

    /// Reads a catalog.
    ///
    /// # Errors
    /// Where there is none that this version wrote.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        Self::read(path, |versions| {
            (versions.abi_version, versions.image_version) == (abi::VERSION, image::VERSION)
        })
    }

    /// Reads the catalog of an earlier layout, as one of this version; and which layout it was. Its numbers mean the same.
    ///
    /// # Errors
    /// Where there is none, or it is no earlier one.
    pub(super) fn load_earlier(path: &Path) -> Result<(Self, u32), CatalogError> {
        let catalog = Self::read(path, |versions| versions.abi_version < abi::VERSION)?;
        let Self { abi_version, .. } = catalog;
        Ok((Self { abi_version: abi::VERSION, image_version: image::VERSION, ..catalog }, abi_version))
    }

    fn read(path: &Path, fits: impl FnOnce(&Versions) -> bool) -> Result<Self, CatalogError> {
        let path = path.to_owned();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(CatalogError::Missing { path });
            }
            Err(source) => return Err(CatalogError::Unreadable { path, source }),
        };
        // The version first: what another version says of itself must not be reported as damage.
        let versions: Versions = match serde_json::from_slice(&bytes) {
            Ok(versions) => versions,
            Err(source) => return Err(CatalogError::Damaged { path, source }),
        };
        if !fits(&versions) {
            let Versions { abi_version: found_abi, image_version: found_image } = versions;
            return Err(CatalogError::Version { path, found_abi, found_image });
        }
        serde_json::from_slice(&bytes).map_err(|source| CatalogError::Damaged { path, source })
    }

    /// Writes the catalog: readers see the old one or the new one, whole.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), AgentError> {
        let temporary = path.with_extension("json.tmp");
        let write = || {
            let mut file = BufWriter::with_capacity(1 << 16, create(&temporary)?);
            serde_json::to_writer(&mut file, self)?;
            file.flush()?;
            // No fsync: `/run` is memory, and what it describes does not outlive a crash of the host either.
            fs::rename(&temporary, path)
        };
        write().map_err(|source| AgentError::Io { doing: "write", path: path.to_owned(), source })
    }

    /// The NIC of a device.
    #[must_use]
    pub fn nic(&self, device: &str) -> Option<&NicRecord> {
        self.nics.iter().find(|nic| nic.device == device)
    }
}

/// Makes the file, for those who may read it and nobody else.
fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let directory = path.parent().map(fs::metadata).transpose()?;
    if let Some(directory) = directory
        && directory.gid() != file.metadata()?.gid()
    {
        fchown(&file, None, Some(directory.gid()))?;
    }
    // Whatever the umask took, or an earlier version left.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::plan::samples::{LIMITS, group, policy, record};

    #[test]
    fn a_catalog_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        fs::write(path.with_extension("json.tmp"), "left by an earlier version").unwrap();
        sample().save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    fn sample() -> Catalog {
        let mut catalog = Catalog::new(LIMITS, Attachment::Tcx);
        let policy = policy(vec![group("web", &["a", "b"])], &["eth0"]);
        catalog.numbers = Numbers::default().renumber(&policy, LIMITS.nics, LIMITS.counters).unwrap().numbers;
        catalog.nics = vec![record("eth0", 3, Some(7))];
        catalog
    }

    #[test]
    fn a_catalog_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let mut catalog = sample();
        catalog.save(&path).unwrap();
        assert_eq!(Catalog::load(&path).unwrap(), catalog);
        catalog.nics.clear();
        catalog.save(&path).unwrap();
        assert_eq!(Catalog::load(&path).unwrap(), catalog);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn what_only_this_process_knows_is_not_written() {
        let mut catalog = sample();
        catalog.nics[0].published = Some(1);
        catalog.nics[0].current = true;
        let again: Catalog = serde_json::from_slice(&serde_json::to_vec(&catalog).unwrap()).unwrap();
        assert_eq!((again.nics[0].published, again.nics[0].current), (None, false));
    }

    #[test]
    fn missing_damaged_and_foreign_catalogs_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        assert!(matches!(Catalog::load(&path), Err(CatalogError::Missing { .. })));
        fs::write(&path, "{\"abi_version\": 1, ").unwrap();
        assert!(matches!(Catalog::load(&path), Err(CatalogError::Damaged { .. })));
        fs::write(&path, "{\"abi_version\": 999, \"image_version\": 1, \"other\": []}").unwrap();
        assert!(matches!(Catalog::load(&path), Err(CatalogError::Version { found_abi: 999, .. })));
    }
}
