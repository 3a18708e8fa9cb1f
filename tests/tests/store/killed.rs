//! A process that kills itself at a chosen write to the file: before the write, or halfway through it. What the kernel already has
//! is kept, as after any kill.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    ops::Bound,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redb::{BackendError, StorageBackend, backends::FileBackend};
use sg_store::RedbStore;

use crate::store::script::{Script, exported_state, state};

/// The directory of the store; makes this process a victim.
const DIRECTORY: &str = "SG_STORE_VICTIM";
/// At which write it dies, and whether halfway through it.
const DEATH: &str = "SG_STORE_DEATH";
const HALFWAY: &str = "SG_STORE_HALFWAY";

/// Does the script, and says after each commit that it is stored, where that is what this process was started for.
pub(crate) fn is_victim() -> bool {
    let Some(directory) = env::var_os(DIRECTORY) else { return false };
    let death = env::var(DEATH).expect("a victim knows when").parse().expect("a number");
    let fate = Fate { writes: Arc::default(), death, halfway: env::var_os(HALFWAY).is_some() };
    let through = move |file| Deadly { file, fate: fate.clone() };
    let mut store = RedbStore::open_through(&PathBuf::from(directory), through).expect("it opens");
    let script = Script::new();
    for place in 0..script.commits.len() {
        script.commit(&mut store, place).expect("it is stored");
        println!("stored");
    }
    true
}

/// When it happens; also over several files.
#[derive(Clone, Debug)]
struct Fate {
    writes: Arc<AtomicU64>,
    death: u64,
    halfway: bool,
}

impl Fate {
    /// Called before each write, with what half of it is.
    fn meet(&self, half: impl FnOnce()) {
        if self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.death {
            if self.halfway {
                half();
            }
            kill(Pid::this(), Signal::SIGKILL).expect("killed");
        }
    }
}

#[derive(Debug)]
struct Deadly {
    file: FileBackend,
    fate: Fate,
}

impl StorageBackend for Deadly {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fate.meet(|| ());
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fate.meet(|| ());
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fate.meet(|| drop(self.file.write(offset, &data[..data.len() / 2])));
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.fate.meet(|| ());
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

pub(crate) fn at_every_write() {
    let script = Script::new();
    let (mut deaths, mut halfway_done, mut stored) = (0, 0, 0);
    for death in 1.. {
        let mut survived = false;
        for halfway in [false, true] {
            // In memory where there is such a place: nothing here depends on the disk, which others are busy with.
            let memory = Path::new("/dev/shm");
            let place = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
            let directory = tempfile::tempdir_in(place).unwrap();
            let path = directory.path().join("state");
            let (done, alive) = run(&path, death, halfway);
            // Twice: what opening it again does must not change it.
            let mut store = RedbStore::open(&path).unwrap();
            let found = script.check(&exported_state(&mut store), done);
            drop(store);
            let mut store = RedbStore::open(&path).unwrap();
            assert_eq!(state(&mut store), script.states[found]);
            Script::check_history(&mut store, found);
            // And it is a store like any other.
            if found < script.commits.len() {
                script.commit(&mut store, found).unwrap();
                assert_eq!(state(&mut store), script.states[found + 1]);
            }
            survived |= alive;
            deaths += usize::from(!alive);
            halfway_done += usize::from(!alive && halfway);
            stored += usize::from(found > done);
        }
        if survived {
            break;
        }
    }
    println!(
        "killed {deaths} times, {halfway_done} of them halfway; {stored} times the commit under way was stored"
    );
    assert!(deaths > 100, "{deaths} deaths are too few to have met every kind of write");
}

/// Runs a victim; says how many commits it said were stored, and whether it survived.
fn run(path: &Path, death: u64, halfway: bool) -> (usize, bool) {
    let mut victim = Command::new(env::current_exe().unwrap());
    victim.env(DIRECTORY, path).env(DEATH, death.to_string()).stdout(Stdio::piped());
    if halfway {
        victim.env(HALFWAY, "1");
    }
    let mut victim = victim.spawn().unwrap();
    let said = BufReader::new(victim.stdout.take().unwrap()).lines();
    let done = said.map_while(Result::ok).filter(|line| line == "stored").count();
    let status = victim.wait().unwrap();
    let killed = status.signal() == Some(Signal::SIGKILL as i32);
    assert!(killed || status.success(), "the victim of write {death} ended with {status}");
    (done, !killed)
}
