//! The documents that were in force under `sgd run`: the last 200, with a number each, in the state directory. A thread writes them, so
//! that the agent never waits for the disk. This file must never decide what is in force. The agent adds to it; the API reads it.
//!
//! ```text
//! document-history/12.gz    {"number":12,"time":…}     who and when, on a line
//!                           groups: …                  the text as it stood in the file
//! ```
//!
//! A file is whole or not there: it is renamed when it is on the disk. A document that could not be written is missing after the next
//! start, and has a number then, because it is in force.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use sg_audit::{Changes, Entry, PolicyChange};

use crate::host::error::HostError;

/// How many documents are kept.
const MOST: usize = 200;
/// The maximum size of all files together. A document that alone is larger is kept without its text.
const BYTES: u64 = 16 << 20;
/// The maximum size of texts that wait to be written. A single one may be larger.
const WAITING: usize = 64 << 20;
/// The name of the directory.
const DIRECTORY: &str = "document-history";

/// A handle of the history. Clones share it.
#[derive(Clone, Debug)]
pub struct DocumentHistory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// By number.
    documents: VecDeque<PastDocument>,
    next: u64,
    /// `None`: nothing is written any more.
    queue: Option<Sender<Job>>,
    most_bytes: u64,
}

/// A document that was in force.
#[derive(Clone, Debug)]
pub struct PastDocument {
    /// Who put it in force, and when.
    pub change: PolicyChange,
    /// Whether its text is kept.
    pub has_text: bool,
    /// The size of its file.
    bytes: u64,
    /// Its text, until it is on the disk.
    text: Option<Arc<[u8]>>,
}

/// What the thread does.
enum Job {
    Write(Box<PolicyChange>, Arc<[u8]>),
    Remove(u64),
}

impl DocumentHistory {
    /// The history in a state directory, and the thread that writes it, which ends with [`Self::end`]. What cannot be read is left
    /// out, and logged: enforcement comes first.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(state: &Path) -> io::Result<(Self, JoinHandle<()>)> {
        let directory = state.join(DIRECTORY);
        let documents = match read_all(&directory) {
            Ok(documents) => documents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => VecDeque::new(),
            Err(error) => {
                tracing::error!("the documents of before cannot be read in {directory:?}: {error}");
                VecDeque::new()
            }
        };
        let next = documents.back().map_or(1, |last| last.change.number.saturating_add(1));
        let (queue, jobs) = channel();
        let known = Known { documents, next, queue: Some(queue), most_bytes: BYTES };
        let history = Self(Arc::new(Shared { directory, known: Mutex::new(known) }));
        let writer = history.clone();
        let thread =
            thread::Builder::new().name("documents".to_owned()).spawn(move || writer.write_all(&jobs))?;
        Ok((history, thread))
    }

    /// Ends the thread once everything is written.
    pub fn end(&self) {
        self.known().queue = None;
    }

    /// All documents, by number.
    #[must_use]
    pub fn documents(&self) -> Vec<PastDocument> {
        self.known().documents.iter().cloned().collect()
    }

    /// The text of the document with this number; `None`: it is not kept.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self, number: u64) -> Result<Option<Vec<u8>>, HostError> {
        let document = self.known().documents.iter().find(|one| one.change.number == number).cloned();
        let Some(PastDocument { has_text: true, text, .. }) = document else { return Ok(None) };
        if let Some(text) = text {
            return Ok(Some(text.to_vec()));
        }
        let path = self.path(number);
        let read = || {
            let mut reader = BufReader::new(GzDecoder::new(File::open(&path)?));
            reader.skip_until(b'\n')?;
            let mut text = Vec::new();
            reader.read_to_end(&mut text)?;
            Ok(text)
        };
        read().map(Some).map_err(|source| HostError::Io { doing: "read", path: path.clone(), source })
    }

    /// A document is in force: adds it, unless it is the last one already; returns its number.
    #[must_use]
    pub fn add(&self, text: &[u8], entry: &Entry, changes: &Changes) -> Option<u64> {
        let last = self.known().documents.back().map(|last| last.change.number);
        if let Some(last) = last
            && self.text(last).is_ok_and(|last| last.as_deref() == Some(text))
        {
            return None;
        }
        let mut known = self.known();
        let number = known.next;
        known.next += 1;
        let change = PolicyChange::of(number, Timestamp::now(), entry, changes);
        let waiting: usize =
            known.documents.iter().filter_map(|one| one.text.as_ref()).map(|text| text.len()).sum();
        // A disk that hangs must not fill the memory.
        let kept = (waiting + text.len() <= WAITING || waiting == 0).then(|| Arc::<[u8]>::from(text));
        let document = PastDocument {
            change: change.clone(),
            has_text: kept.is_some(),
            bytes: text.len() as u64,
            text: kept.clone(),
        };
        known.documents.push_back(document);
        let excess = known.documents.len().saturating_sub(MOST);
        let gone: Vec<u64> = known.documents.drain(..excess).map(|one| one.change.number).collect();
        let write = kept.map(|text| Job::Write(Box::new(change), text));
        let remove = gone.into_iter().map(Job::Remove);
        if let Some(queue) = &known.queue {
            for job in write.into_iter().chain(remove) {
                // The thread ends after the queue.
                let _ = queue.send(job);
            }
        }
        Some(number)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.0.directory.join(format!("{number}.gz"))
    }

    fn write_all(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Write(change, text) => self.write(&change, &text),
                Job::Remove(number) => self.remove(number),
            }
        }
    }

    fn write(&self, change: &PolicyChange, text: &[u8]) {
        let most = self.known().most_bytes;
        let written = self.write_file(change, text, most);
        let gone = {
            let mut known = self.known();
            if let Some(one) = known.documents.iter_mut().find(|one| one.change.number == change.number) {
                match &written {
                    Ok((bytes, has_text)) => {
                        (one.bytes, one.has_text, one.text) = (*bytes, *has_text, None);
                    }
                    // It is known until the process ends.
                    Err(_) => one.bytes = 0,
                }
            }
            known.excess()
        };
        if let Err(error) = written {
            tracing::error!(
                "the document in force is not in the history after the next start: {:?}: {error}",
                self.path(change.number)
            );
        }
        for number in gone {
            self.remove(number);
        }
    }

    /// Writes a document; returns the size of its file, and whether its text is in it.
    fn write_file(&self, change: &PolicyChange, text: &[u8], most: u64) -> io::Result<(u64, bool)> {
        let mut head = serde_json::to_vec(change)?;
        head.push(b'\n');
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0.directory)?;
        let unfinished = self.0.directory.join("unfinished");
        let write = |text: &[u8]| {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            let mut encoder = GzEncoder::new(file, Compression::default());
            encoder.write_all(&head)?;
            encoder.write_all(text)?;
            let file = encoder.finish()?;
            file.sync_all()?;
            Ok::<_, io::Error>(file.metadata()?.len())
        };
        let mut written = (write(text)?, true);
        if written.0 > most {
            written = (write(b"")?, false);
        }
        fs::rename(&unfinished, self.path(change.number))?;
        File::open(&self.0.directory)?.sync_all()?;
        Ok(written)
    }

    fn remove(&self, number: u64) {
        let path = self.path(number);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {path:?}: {error}");
        }
    }
}

impl Known {
    /// Forgets the oldest documents that are too much together; their numbers. The last one stays.
    fn excess(&mut self) -> Vec<u64> {
        let mut gone = Vec::new();
        let on_disk = |one: &PastDocument| if one.text.is_some() { 0 } else { one.bytes };
        let mut bytes: u64 = self.documents.iter().map(on_disk).sum();
        while bytes > self.most_bytes
            && self.documents.len() > 1
            && let Some(first) = self.documents.pop_front()
        {
            bytes -= on_disk(&first);
            gone.push(first.change.number);
        }
        gone
    }
}

fn read_all(directory: &Path) -> io::Result<VecDeque<PastDocument>> {
    let mut documents = Vec::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        if path.extension().is_none_or(|ending| ending != "gz") {
            continue;
        }
        match read_head(&path) {
            Ok(document) => documents.push(document),
            Err(error) => tracing::warn!("{path:?} is no document of before, and left out: {error}"),
        }
    }
    documents.sort_by_key(|one| one.change.number);
    Ok(documents.into())
}

fn read_head(path: &Path) -> io::Result<PastDocument> {
    const LONGEST: u64 = 64 << 10;
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut reader = BufReader::new(GzDecoder::new(file));
    let mut head = Vec::new();
    (&mut reader).take(LONGEST).read_until(b'\n', &mut head)?;
    let change: PolicyChange = serde_json::from_slice(&head)?;
    let is_of_its_name = path.file_stem().is_some_and(|name| *name == *change.number.to_string());
    if !is_of_its_name {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has another number"));
    }
    let has_text = !reader.fill_buf()?.is_empty();
    Ok(PastDocument { change, has_text, bytes, text: None })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use sg_audit::{Api, Who};

    use super::*;

    struct Started(DocumentHistory, Option<JoinHandle<()>>);

    fn start(state: &Path) -> Started {
        let (history, thread) = DocumentHistory::start(state).unwrap();
        Started(history, Some(thread))
    }

    impl Started {
        fn add(&self, text: &str) -> Option<u64> {
            let entry = Entry::new(Api::Document, "load_document", Who::file("/p.yaml", Some(0)), "file");
            self.0.add(text.as_bytes(), &entry, &Changes::default())
        }

        fn text(&self, number: u64) -> Option<String> {
            self.0.text(number).unwrap().map(|text| String::from_utf8(text).unwrap())
        }

        fn numbers(&self) -> Vec<u64> {
            self.0.documents().iter().map(|one| one.change.number).collect()
        }
    }

    /// Everything is on the disk.
    impl Drop for Started {
        fn drop(&mut self) {
            self.0.end();
            self.1.take().unwrap().join().unwrap();
        }
    }

    #[test]
    fn documents_have_numbers_that_go_on_after_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let history = start(state.path());
        assert_eq!([history.add("a: 1"), history.add("a: 1"), history.add("b: 2")], [Some(1), None, Some(2)]);
        assert_eq!(history.text(1).as_deref(), Some("a: 1"), "written or not");
        drop(history);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = state.path().join(DIRECTORY);
        assert_eq!((mode(&directory), mode(&directory.join("2.gz"))), (0o700, 0o600));
        // What a killed process left, and what somebody else did.
        fs::write(directory.join("unfinished"), "half").unwrap();
        fs::write(directory.join("7.gz"), "nonsense").unwrap();
        fs::copy(directory.join("1.gz"), directory.join("9.gz")).unwrap();
        let history = start(state.path());
        assert_eq!(history.numbers(), [1, 2]);
        assert_eq!((history.add("b: 2"), history.add("a: 1")), (None, Some(3)), "it is in force again");
        assert_eq!(
            [1, 2, 3, 4].map(|number| history.text(number)),
            [Some("a: 1".to_owned()), Some("b: 2".to_owned()), Some("a: 1".to_owned()), None]
        );
    }

    #[test]
    fn the_last_200_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let history = start(state.path());
        for number in 1..=MOST + 7 {
            history.add(&number.to_string()).unwrap();
        }
        assert_eq!((history.numbers().len(), history.numbers()[0], history.text(7)), (MOST, 8, None));
        drop(history);
        assert_eq!(fs::read_dir(state.path().join(DIRECTORY)).unwrap().count(), MOST);
        let history = start(state.path());
        assert_eq!((history.numbers().len(), history.text(8).as_deref()), (MOST, Some("8")));
    }

    #[test]
    fn they_take_bounded_room() {
        let state = tempfile::tempdir().unwrap();
        // Does not get smaller.
        let text = |seed: u64| {
            let mut rng = seed;
            std::iter::repeat_with(|| {
                rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b'!' + u8::try_from((rng >> 33) % 90).unwrap())
            })
            .take(4_000)
            .collect::<String>()
        };
        let history = start(state.path());
        history.0.known().most_bytes = 20_000;
        for number in 1..=12 {
            history.add(&text(number)).unwrap();
        }
        drop(history);
        let history = start(state.path());
        let kept = history.numbers();
        assert!((4..=6).contains(&kept.len()) && kept.last() == Some(&12), "{kept:?}");
        history.0.known().most_bytes = 1_000;
        assert_eq!(history.add(&text(13)), Some(13));
        drop(history);
        let history = start(state.path());
        assert_eq!((history.numbers(), history.text(13)), (vec![13], None), "without its text");
        assert!(!history.0.documents()[0].has_text);
        assert_eq!(history.add("small"), Some(14));
    }
}
