//! The cost of the store: opening and loading 100,000 rules, after a crash and after a shutdown, and commits of 1 and of 100
//! changes, with the time that the disk needs to make them durable.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    fs,
    hint::black_box,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sg_benches::{Of, Plan, Timing, Unit};
use sg_records::{Direction, Rule, RuleSpec};
use sg_store::{Change, Record, RedbStore, Store, export, import};

const RULES: u32 = 100_000;
const GROUPS: u32 = 1_000;

fn rule(number: u32) -> Record {
    let mut rule = Rule {
        id: format!("sgr-{number:017}").into(),
        group: format!("sg-{:017}", number % GROUPS).into(),
        direction: Direction::ALL[(number % 2) as usize],
        serial: number.into(),
        created: jiff::Timestamp::UNIX_EPOCH,
        updated: jiff::Timestamp::UNIX_EPOCH,
        spec: RuleSpec::accept("tcp".parse().expect("a protocol")),
    };
    let [_, a, b, c] = number.to_be_bytes();
    rule.spec.matches.remote = format!("10.{a}.{b}.{c}").parse().expect("an address");
    rule.spec.matches.ports =
        format!("{},{}-{}", number % 1000, 2000 + number % 1000, 4000).parse().expect("ports");
    "a rule with words".clone_into(&mut rule.spec.description);
    rule.into()
}

fn put(numbers: impl Iterator<Item = u32>) -> Vec<Change> {
    numbers.map(|number| Change::Put(rule(number))).collect()
}

/// A directory on the disk that the build is on; `/tmp` is often memory.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let program = std::env::current_exe().expect("a program has a place");
        let place = program.with_file_name(format!("store-{}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        Self(place)
    }

    fn open(&self) -> RedbStore {
        RedbStore::open(&self.0).expect("it can be opened")
    }

    /// What a crash would leave now.
    fn crashed(&self) -> Self {
        let other = Self(self.0.with_extension("crashed"));
        drop(RedbStore::open(&other.0).expect("it can be made"));
        fs::copy(self.0.join("state.redb"), other.0.join("state.redb")).expect("it can be copied");
        other
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path.join("state.redb")).map_or(0, |file| file.len() >> 20)
}

fn main() {
    let Some(plan) = Plan::from_env(&["store"]) else { return };
    let mut timing = Timing::new(plan);
    let place = Place::new();
    let mut store = place.open();
    let before = Instant::now();
    store.commit(&put(0..RULES)).expect("it can be written");
    println!("{RULES} rules written in {:?}, {} MiB", before.elapsed(), size(&place.0));

    let mut next = 0;
    for count in [1, 100] {
        timed(&mut timing, &format!("store/commit-{count}"), || {
            next += 7_919;
            store.commit(&put((next..next + count).map(|number| number % RULES))).expect("written");
        });
    }
    println!("after {} commits {} MiB", next / 7_919, size(&place.0));

    let crashed = place.crashed();
    drop(store);
    timing.take("store/open-after-a-crash", Unit::Microseconds, Of::Median, |rounds| {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let crash = fs::read(crashed.0.join("state.redb")).expect("read");
            let before = Instant::now();
            drop(crashed.open());
            spent += before.elapsed();
            fs::write(crashed.0.join("state.redb"), crash).expect("written");
        }
        spent
    });
    timed(&mut timing, "store/open", || drop(place.open()));
    let mut store = place.open();
    timed(&mut timing, "store/load", || drop(black_box(store.load().expect("loaded"))));

    let records = store.load().expect("loaded");
    timed(&mut timing, "store/export", || {
        export(records.iter().cloned(), io::sink(), true).expect("exported");
    });
    let mut text = Vec::new();
    export(records, &mut text, true).expect("exported");
    println!("{} MiB exported", text.len() >> 20);
    timed(&mut timing, "store/import", || drop(black_box(import(&*text).expect("imported"))));
}

fn timed(timing: &mut Timing, name: &str, mut work: impl FnMut()) {
    timing.take(name, Unit::Microseconds, Of::Median, |rounds| {
        let before = Instant::now();
        for _ in 0..rounds {
            work();
        }
        before.elapsed()
    });
}
