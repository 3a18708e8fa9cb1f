//! The file in which last hits outlive the process and the host: of mode 0600, replaced as a whole, with a version. A file that is
//! damaged or of another version is set aside, and the observation begins anew: with a shorter window, and with nothing wrong. It
//! must never know how a hit is found. Called by `last_hits`.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Instant,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::Direction;
use thiserror::Error;

use super::observation::{Entry, Observation, Owner, Used};

/// The version of the format.
const VERSION: u32 = 1;
/// The largest file that is read: three million counters.
const LARGEST: u64 = 256 << 20;
/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a file cannot be continued.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// No process wrote it like this.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is a directory, a pipe or the like.
    #[error("it is no file")]
    NoFile,
    /// It is larger than any that is written.
    #[error("it has {0} bytes, which none of sgd's has")]
    Large(u64),
    /// A later version wrote it.
    #[error("it is of version {0}, this program knows {VERSION}")]
    Version(u32),
}

/// The file's content. Times are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    version: u32,
    /// The boot in which it was written: counters begin at zero in another.
    boot: String,
    groups: BTreeMap<String, SavedGroup>,
    nics: BTreeMap<String, [Option<SavedUse>; 2]>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<SavedUse>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ingress: BTreeMap<String, SavedUse>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    egress: BTreeMap<String, SavedUse>,
}

/// Number and packets of a counter, since when it is observed, and when it was hit last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SavedUse(u32, u64, i64, Option<i64>);

/// The part that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl From<&Entry> for SavedUse {
    fn from(entry: &Entry) -> Self {
        let Used { since, last_hit } = entry.used;
        Self(entry.number, entry.packets, since.as_second(), last_hit.map(Timestamp::as_second))
    }
}

impl SavedUse {
    /// As an entry; a time that cannot be is no time of the past.
    fn entry(self, now: Timestamp) -> Entry {
        let Self(number, packets, since, last_hit) = self;
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or(now);
        Entry::saved(number, packets, Used { since: time(since), last_hit: last_hit.map(time) })
    }
}

/// The file of an instance.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    boot: String,
    /// Whether the last attempt to write it failed: repeating that every few minutes helps nobody.
    failed: bool,
}

impl StateFile {
    /// The file at `path`; it need not exist.
    pub(super) fn new(path: PathBuf) -> Self {
        // Without procfs every start looks like a reboot, where fewer packets look like hits than there were.
        let boot = fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default();
        Self { path, boot, failed: false }
    }

    /// Continues what it has; without a usable one, begins anew.
    pub(super) fn load(&self, now: (Timestamp, Instant)) -> Observation {
        match self.read() {
            Ok(Some(saved)) => {
                let rebooted = self.boot.is_empty() || saved.boot != self.boot;
                Observation::resume(known(saved, now.0), rebooted, now)
            }
            Ok(None) => Observation::new(now.0, now.1),
            Err(error) => {
                let aside = self.path.with_extension("damaged");
                let kept = fs::rename(&self.path, &aside).is_ok();
                let kept = if kept { format!("; it is kept as {}", aside.display()) } else { String::new() };
                tracing::warn!(
                    "the last hits of rules in {} begin anew, and are observed from now on: {error}{kept}",
                    self.path.display()
                );
                Observation::new(now.0, now.1)
            }
        }
    }

    fn read(&self) -> Result<Option<Saved>, Unusable> {
        let size = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => {
                let found = found?;
                if !found.is_file() {
                    return Err(Unusable::NoFile);
                }
                found.len()
            }
        };
        if size > LARGEST {
            return Err(Unusable::Large(size));
        }
        let bytes = fs::read(&self.path)?;
        let Version { version } = serde_json::from_slice(&bytes)?;
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Writes it. A failure is logged once, and tried again with the next change.
    pub(super) fn save(&mut self, content: &Saved) -> bool {
        let written = self.write(content);
        match (&written, self.failed) {
            (Err(error), false) => tracing::warn!(
                "cannot write the last hits of rules to {}: {error}; until that works, they end with sgd",
                self.path.display()
            ),
            (Ok(()), true) => {
                tracing::info!("the last hits of rules are kept in {} again", self.path.display());
            }
            _ => {}
        }
        self.failed = written.is_err();
        written.is_ok()
    }

    /// What to write.
    pub(super) fn content(&self, observation: &Observation) -> Saved {
        let mut saved = Saved {
            version: VERSION,
            boot: self.boot.clone(),
            groups: BTreeMap::new(),
            nics: BTreeMap::new(),
        };
        for (owner, entry) in observation.entries() {
            let entry = SavedUse::from(entry);
            match owner {
                Owner::Rule { group, direction, rule } => {
                    let group = saved.groups.entry(group.clone()).or_default();
                    let rules = match direction {
                        Direction::Ingress => &mut group.ingress,
                        Direction::Egress => &mut group.egress,
                    };
                    rules.insert(rule.clone(), entry);
                }
                Owner::IntraGroup { group } => {
                    saved.groups.entry(group.clone()).or_default().members = Some(entry);
                }
                Owner::Default { device, direction } => {
                    let [ingress, egress] = saved.nics.entry(device.clone()).or_default();
                    match direction {
                        Direction::Ingress => *ingress = Some(entry),
                        Direction::Egress => *egress = Some(entry),
                    }
                }
            }
        }
        saved
    }

    fn write(&self, saved: &Saved) -> io::Result<()> {
        let directory = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let new = self.path.with_extension("new");
        // Left by a process that was killed here. Made anew, so that nobody else's file is written to.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        serde_json::to_writer(&mut writer, saved)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

fn known(saved: Saved, now: Timestamp) -> impl Iterator<Item = (Owner, Entry)> {
    let Saved { version: _, boot: _, groups, nics } = saved;
    let rules = groups.into_iter().flat_map(move |(group, SavedGroup { members, ingress, egress })| {
        let owner = group.clone();
        let members = members.map(|entry| (Owner::IntraGroup { group: owner }, entry));
        let rules = [(Direction::Ingress, ingress), (Direction::Egress, egress)];
        let rules = rules.into_iter().flat_map(move |(direction, rules)| {
            let group = group.clone();
            rules
                .into_iter()
                .map(move |(rule, entry)| (Owner::Rule { group: group.clone(), direction, rule }, entry))
        });
        members.into_iter().chain(rules)
    });
    let defaults = nics.into_iter().flat_map(|(device, entries)| {
        Direction::ALL.into_iter().zip(entries).filter_map(move |(direction, entry)| {
            Some((Owner::Default { device: device.clone(), direction }, entry?))
        })
    });
    rules.chain(defaults).map(move |(owner, entry)| (owner, entry.entry(now)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn now() -> (Timestamp, Instant) {
        ("2026-01-01T00:00:00Z".parse().unwrap(), Instant::now())
    }

    fn owners() -> [Owner; 4] {
        let (group, device) = ("w\u{1b}eb".to_owned(), "eth0".to_owned());
        [
            Owner::Rule { group: group.clone(), direction: Direction::Ingress, rule: "a".to_owned() },
            Owner::Rule { group: group.clone(), direction: Direction::Egress, rule: "a".to_owned() },
            Owner::IntraGroup { group },
            Owner::Default { device, direction: Direction::Egress },
        ]
    }

    fn observation(packets: u64) -> Observation {
        let mut seen = Observation::new(now().0, now().1);
        let counted =
            |packets| owners().into_iter().zip(100..).map(move |(owner, number)| (owner, number, packets));
        seen.pass(counted(0), [], true, now());
        seen.pass(counted(packets), [], true, now());
        seen
    }

    fn save(file: &mut StateFile, observation: &Observation) -> bool {
        let content = file.content(observation);
        file.save(&content)
    }

    fn entries(observation: &Observation) -> Vec<(Owner, u32, u64, Used)> {
        let all = observation.entries();
        all.map(|(owner, entry)| (owner.clone(), entry.number, entry.packets, entry.used)).collect()
    }

    #[test]
    fn what_is_saved_is_continued_and_belongs_to_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/last-hits.json");
        let mut file = StateFile::new(path.clone());
        assert_eq!(entries(&file.load(now())), []);
        let seen = observation(7);
        assert!(save(&mut file, &seen));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(entries(&file.load(now())), entries(&seen));
        let other = StateFile { boot: "another".to_owned(), ..StateFile::new(path.clone()) };
        assert!(
            entries(&other.load(now()))
                .iter()
                .all(|(_, _, packets, used)| { *packets == 0 && used.last_hit.is_some() })
        );
        assert!(save(&mut file, &observation(9)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_the_window_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-hits.json");
        let mut file = StateFile::new(path.clone());
        assert!(save(&mut file, &observation(1)));
        let whole = fs::read(&path).unwrap();
        for bad in [
            &whole[..whole.len() / 2],
            b"",
            b"\0\0\0\0",
            br#"{"version":99,"all":"else"}"#,
            br#"{"version":1,"boot":"","groups":{"web":{"ingress":{"a":[1,2]}}},"nics":{}}"#,
        ] {
            fs::write(&path, bad).unwrap();
            assert_eq!(entries(&file.load(now())), []);
            assert!(!path.exists() && path.with_extension("damaged").exists());
            assert!(save(&mut file, &observation(1)));
            assert_eq!(entries(&file.load(now())).len(), 4);
        }
    }

    #[test]
    fn times_that_cannot_be_are_no_hits_of_the_past() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-hits.json");
        let text = format!(
            r#"{{"version":1,"boot":"","groups":{{"g":{{"members":[1,2,{},{}]}}}},"nics":{{}}}}"#,
            i64::MAX,
            i64::MIN
        );
        fs::write(&path, text).unwrap();
        let read = entries(&StateFile::new(path).load(now()));
        assert_eq!(read[0].3, Used { since: now().0, last_hit: Some(now().0) });
    }

    #[test]
    fn what_cannot_be_written_leaves_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-hits.json");
        let mut file = StateFile::new(path.clone());
        assert!(save(&mut file, &observation(1)));
        let before = fs::read(&path).unwrap();
        // A directory in the place of the new file.
        fs::create_dir_all(path.with_extension("new").join("in it")).unwrap();
        assert!(!save(&mut file, &observation(5)));
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_dir_all(path.with_extension("new")).unwrap();
        // A link there is replaced, and not followed.
        let victim = dir.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, path.with_extension("new")).unwrap();
        assert!(save(&mut file, &observation(5)));
        assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    }
}
