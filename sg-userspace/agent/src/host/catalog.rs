//! The catalog: a file that records what every counter number means, and what is attached where.
//!
//! It is written before anything that it describes is in force, so whoever reads counters, or adopts what an agent left behind,
//! finds at least what is in force. This file owns the format and its version; it must never decide what the catalog contains.
//! The agent writes it; a starting agent, `sgctl stats` and `sgctl detach` read it.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_common::{abi, image};
use sg_kernel::{Attachment, Lasts, Limits};
use sg_model::Hook;
use thiserror::Error;

use super::{
    error::{HostError, remedy},
    numbers::{Numbers, Outcome},
};

/// Writable by its owner, readable by the group of its directory, which may use the socket.
const MODE: u32 = 0o640;

/// A NIC of the policy, and what is in force for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicRecord {
    /// The interface name.
    pub device: String,
    /// Its index in the maps, unchanged as long as the NIC is in the policy.
    pub slot: u16,
    /// The index of the device that the program is attached to; `None` if it is not attached.
    pub ifindex: Option<u32>,
    /// The attached hook of the receive side.
    #[serde(with = "HookRecord", default)]
    pub hook: Hook,
    /// The last generation given to one of its images.
    pub generation: u32,
    /// Its groups, in the NIC's order.
    pub groups: Vec<String>,
    /// The verdict on inbound packets that no rule matches.
    pub ingress_default: Outcome,
    /// The verdict on outbound packets that no rule matches.
    pub egress_default: Outcome,
}

/// A change that is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    /// Its id.
    pub id: u32,
    /// Who made it.
    pub owner: String,
    /// When it goes back, for people: the kernel goes by a clock of its own.
    pub deadline: Timestamp,
    /// The slots of the NICs that it changes. Their images before it are kept.
    pub kept: BTreeSet<u16>,
    /// The numbers of the policy before it.
    pub before: Numbers,
}

/// A candidate. It ends with the agent that set it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// Who set it.
    pub owner: String,
    /// When.
    pub since: Timestamp,
}

/// A device that left the policy. Everything passes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The interface name.
    pub device: String,
    /// The interface index: a recreated device was never filtered.
    pub ifindex: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Hook", rename_all = "lowercase")]
enum HookRecord {
    Tc,
    Xdp,
}

/// The sizes the maps were created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsRecord {
    nics: u32,
    flows: u32,
    counters: u32,
    #[serde(default)]
    denied: u32,
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
    /// [`abi::VERSION`] of the agent that wrote the file.
    pub abi_version: u32,
    /// [`image::VERSION`] of the agent that wrote the file.
    pub image_version: u32,
    /// The PID of the agent that wrote the file; it may have ended.
    pub pid: u32,
    /// The sizes of the maps.
    #[serde(with = "LimitsRecord")]
    pub limits: Limits,
    /// How programs are attached to devices.
    #[serde(with = "AttachmentRecord")]
    pub attachment: Attachment,
    /// The NICs, in the order of the document. Shared with those who are told what is in force.
    pub nics: Arc<Vec<NicRecord>>,
    /// Devices that left the policy while they existed.
    #[serde(default)]
    pub left: Vec<Left>,
    /// How long pins last.
    #[serde(default, with = "LastsRecord")]
    pub pinned: Lasts,
    /// The counter numbers of groups and rules.
    pub numbers: Numbers,
    /// The change that is to be confirmed.
    #[serde(default)]
    pub pending: Option<PendingRecord>,
    /// The id of the last change that was to be confirmed.
    #[serde(default)]
    pub last_change: u32,
    /// The id of the last change that was confirmed.
    #[serde(default)]
    pub last_confirmed: u32,
    /// The candidate beside the policy in force.
    #[serde(default)]
    pub candidate: Option<CandidateRecord>,
}

/// Why there is no usable catalog.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The file does not exist.
    #[error("there is no catalog {path:?}")]
    Missing {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the catalog {path:?}: {source}{}", remedy(source))]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        source: io::Error,
    },
    /// The file is damaged: no agent wrote it like this.
    #[error("the catalog {path:?} is damaged: {source}")]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// An agent of another version wrote the file.
    #[error(
        "the catalog {path:?} is of layout {found_abi}/{found_image}, this program of {}/{}",
        abi::VERSION,
        image::VERSION
    )]
    Version {
        /// The path of the file.
        path: PathBuf,
        /// The map layout in the file.
        found_abi: u32,
        /// The image layout in the file.
        found_image: u32,
    },
}

/// The part that every version of the file has.
#[derive(Deserialize)]
struct Versions {
    abi_version: u32,
    image_version: u32,
}

impl Catalog {
    /// The catalog of an instance with nothing in force yet.
    #[must_use]
    pub fn new(limits: Limits, attachment: Attachment) -> Self {
        Self {
            abi_version: abi::VERSION,
            image_version: image::VERSION,
            pid: std::process::id(),
            limits,
            attachment,
            nics: Arc::default(),
            left: Vec::new(),
            pinned: Lasts::default(),
            numbers: Numbers::default(),
            pending: None,
            last_change: 0,
            last_confirmed: 0,
            candidate: None,
        }
    }

    /// Reads a catalog.
    ///
    /// # Errors
    /// If there is none that this version wrote.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        Self::read(path, |versions| {
            (versions.abi_version, versions.image_version) == (abi::VERSION, image::VERSION)
        })
    }

    /// Reads the catalog of an earlier layout as one of this version; returns it with that layout. Its numbers mean the same.
    ///
    /// # Errors
    /// If there is none, or it is not of an earlier layout.
    pub fn load_earlier(path: &Path) -> Result<(Self, u32), CatalogError> {
        let catalog = Self::read(path, |versions| versions.abi_version < abi::VERSION)?;
        let Self { abi_version, .. } = catalog;
        // The word that says what became of a pending change is of that layout, too: it was not confirmed.
        let current =
            Self { abi_version: abi::VERSION, image_version: image::VERSION, pending: None, ..catalog };
        Ok((current, abi_version))
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
        // The version first: a catalog of another version must not be reported as damaged.
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

    /// Writes the catalog atomically: readers see the old or the new one, whole.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), HostError> {
        let temporary = path.with_extension("json.tmp");
        let write = || {
            let mut file = BufWriter::with_capacity(1 << 16, create(&temporary)?);
            serde_json::to_writer(&mut file, self)?;
            file.flush()?;
            // No fsync: `/run` is in memory, and what the file describes does not survive a crash of the host either.
            fs::rename(&temporary, path)
        };
        write().map_err(|source| HostError::Io { doing: "write", path: path.to_owned(), source })
    }

    /// The NIC of a device, if the policy has one.
    #[must_use]
    pub fn nic(&self, device: &str) -> Option<&NicRecord> {
        self.nics.iter().find(|nic| nic.device == device)
    }
}

/// Creates the file, readable only by those who may.
fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let directory = path.parent().map(fs::metadata).transpose()?;
    if let Some(directory) = directory
        && directory.gid() != file.metadata()?.gid()
    {
        fchown(&file, None, Some(directory.gid()))?;
    }
    // Independent of the umask, and of the mode that an earlier version left.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::numbers::{GroupNumbers, RuleNumber};

    const LIMITS: Limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };

    fn nic(device: &str, slot: u16) -> NicRecord {
        NicRecord {
            device: device.to_owned(),
            slot,
            ifindex: Some(7),
            hook: Hook::Tc,
            generation: 1,
            groups: vec!["web".to_owned()],
            ingress_default: Outcome::Drop,
            egress_default: Outcome::Accept,
        }
    }

    #[test]
    fn a_catalog_is_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        fs::write(path.with_extension("json.tmp"), "left by an earlier version").unwrap();
        sample().save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    fn sample() -> Catalog {
        let rule = |id: &str, number| RuleNumber { id: id.to_owned(), action: Outcome::Accept, number };
        let group = GroupNumbers {
            name: "web".to_owned(),
            intra_group: Some(320),
            ingress: vec![rule("a", 321), rule("b", 322)],
            egress: Vec::new(),
        };
        let numbers = Numbers { groups: vec![group.into()], vacant: [323].into(), used: 4 };
        Catalog { nics: vec![nic("eth0", 3)].into(), numbers, ..Catalog::new(LIMITS, Attachment::Tcx) }
    }

    #[test]
    fn a_catalog_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let mut catalog = sample();
        catalog.save(&path).unwrap();
        assert_eq!(Catalog::load(&path).unwrap(), catalog);
        catalog.nics = Arc::default();
        catalog.save(&path).unwrap();
        assert_eq!(Catalog::load(&path).unwrap(), catalog);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
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
