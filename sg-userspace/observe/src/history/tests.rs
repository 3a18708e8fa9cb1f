//! Limits of memory and time, and slow watchers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Limits, MAX_WATCHERS, Memory, Observed, TooManyWatchers, Watched, compact::Compact};
use crate::{
    filter::Filter,
    record::{Event, Record},
    tests::{record, records},
};

fn numbered(number: u16) -> Record {
    let end = Timestamp::from_second(i64::from(number)).unwrap();
    let mut record = Record::new(Event::Denied, end, end);
    record.dport = Some(number);
    "eth0".clone_into(&mut record.nic);
    record
}

fn shared(numbers: std::ops::Range<u16>) -> Vec<Arc<Record>> {
    numbers.map(numbered).map(Arc::new).collect()
}

fn ports(records: &[Record]) -> Vec<u16> {
    records.iter().filter_map(|record| record.dport).collect()
}

#[test]
fn what_a_record_takes() {
    assert!(size_of::<Compact>() <= 160, "{}", size_of::<Compact>());
    println!("{} bytes, of {} as a record without its names", size_of::<Compact>(), size_of::<Record>());
}

#[test]
fn the_last_ones_and_those_since() {
    let observed = Observed::new(Limits::default());
    observed.append(&shared(0..5000));
    let all = Filter::default();
    assert_eq!(ports(&observed.read(&all, Some(3))), [4997, 4998, 4999]);
    assert_eq!(observed.read(&all, None).len(), 5000);
    let filter = Filter { since: Timestamp::from_second(4990).ok(), ports: Filter::default().ports, ..all };
    assert_eq!(ports(&observed.read(&filter, None)), (4990..5000).collect::<Vec<_>>());
    assert_eq!(ports(&observed.read(&filter, Some(2))), [4998, 4999]);
    let snapshot = observed.snapshot();
    observed.append(&shared(5000..5001));
    assert_eq!(ports(&snapshot.read(&filter, Some(1))), [4999]);
    assert_eq!(observed.held().records, 5001);
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_counted() {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let observed = Observed::new(limits);
    for round in 0..20 {
        observed.append(&shared(round * 1000..(round + 1) * 1000));
        let held = observed.held();
        assert!(held.bytes <= 1 << 20, "{held:?}");
        assert_eq!(held.records + held.evicted, u64::from(round + 1) * 1000);
    }
    let held = observed.held();
    assert!(held.evicted > 0 && held.records > 4000, "{held:?}");
    assert_eq!(held.oldest, Timestamp::from_second(i64::try_from(held.evicted).unwrap()).ok());
}

#[test]
fn names_count_too() {
    let mut memory = Memory::new(Limits { bytes: 4 << 20, ..Limits::default() });
    for number in 0..5000 {
        let mut record = numbered(number);
        record.rule = Some(format!("{number}").repeat(1000));
        memory.append([&record].into_iter());
        assert!(memory.bytes() <= 4 << 20, "{}", memory.bytes());
    }
    assert!(memory.held().evicted > 0);
}

#[test]
fn old_records_are_forgotten_and_a_step_of_the_clock_forgets_none() {
    let mut memory = Memory::new(Limits { age: Duration::from_mins(15), ..Limits::default() });
    let begin = Instant::now();
    memory.append_at(begin, (0..2000).map(numbered).collect::<Vec<_>>().iter());
    // The time of day has stepped by years.
    let mut late = numbered(1);
    late.end = "2030-01-01T00:00:00Z".parse().unwrap();
    memory.append_at(begin + Duration::from_mins(15), [&late].into_iter());
    assert_eq!((memory.held().records, memory.held().expired), (2001, 0));
    memory.append_at(begin + Duration::from_mins(16), [&late].into_iter());
    // The last chunk holds the late ones, too.
    assert_eq!((memory.held().records, memory.held().expired), (2002 - 1024, 1024));
    memory.append_at(begin + Duration::from_hours(1), [].into_iter());
    assert_eq!((memory.held().records, memory.held().expired), (0, 2002));
    assert!(memory.bytes() < 1000);
}

#[test]
fn no_memory_keeps_nothing() {
    let observed = Observed::new(Limits { bytes: 0, ..Limits::default() });
    observed.append(&shared(0..3));
    assert_eq!((observed.held().records, observed.held().evicted), (0, 3));
}

#[test]
fn a_slow_watcher_loses_is_told_and_makes_nobody_wait() {
    let observed = Observed::new(Limits::default());
    let mut slow = observed.watch(Filter::default(), 10).unwrap();
    let mut quick = observed.watch("port=0-4".parse().unwrap(), 100).unwrap();
    observed.append(&shared(0..100));
    assert_eq!(slow.lost(), 90);
    let mut read = Vec::new();
    while let Some(watched) = slow.ready() {
        read.push(watched);
    }
    let (loss, records) = read.split_last().unwrap();
    assert_eq!(records.len(), 10, "the loss is in nobody's place");
    let Watched::Lost(loss) = loss else { panic!("{loss:?}") };
    assert_eq!((loss.event, loss.count), (Event::Lost, Some(90)));
    assert_eq!((slow.lost(), observed.lost_by_watchers()), (90, 90));
    let mut seen = 0;
    while let Some(Watched::Record(_)) = quick.ready() {
        seen += 1;
    }
    assert_eq!((seen, quick.lost()), (5, 0));
    assert!(observed.is_watched());
    drop((slow, quick));
    assert!(!observed.is_watched());
}

#[test]
fn a_loss_that_finds_no_room_counts_as_it_was_told() {
    let observed = Observed::new(Limits::default());
    let mut watcher = observed.watch(Filter::default(), 2).unwrap();
    observed.append(&shared(0..2));
    let lost = Record::lost(numbered(9).start, numbered(9).end, 18_000, "the ring was full");
    observed.append(&[Arc::new(lost), Arc::new(numbered(2))]);
    assert_eq!(watcher.lost(), 18_001);
    let told = std::iter::from_fn(|| watcher.ready()).find_map(|watched| match watched {
        Watched::Lost(lost) => lost.count,
        Watched::Record(_) => None,
    });
    assert_eq!(told, Some(18_001));
}

#[test]
fn there_is_a_maximum_of_watchers() {
    let observed = Observed::new(Limits::default());
    let watchers: Vec<_> = (0..MAX_WATCHERS).map(|_| observed.watch(Filter::default(), 1).unwrap()).collect();
    assert_eq!(observed.watch(Filter::default(), 1).unwrap_err(), TooManyWatchers);
    drop(watchers);
    assert!(observed.watch(Filter::default(), 1).is_ok());
}

#[tokio::test]
async fn a_watcher_waits_and_ends_with_the_observer() {
    let observed = Arc::new(Observed::new(Limits::default()));
    observed.append(&shared(0..2));
    let (past, mut watcher) = observed.read_and_watch(&Filter::default(), Some(1), 10).unwrap();
    assert_eq!(ports(&past), [1]);
    let later = Arc::clone(&observed);
    let appending = tokio::task::spawn_blocking(move || later.append(&shared(2..3)));
    let Some(Watched::Record(record)) = watcher.next().await else { panic!() };
    assert_eq!(record.dport, Some(2));
    appending.await.unwrap();
    drop(observed);
    assert_eq!(watcher.next().await, None);
}

#[test]
fn readers_and_watchers_see_every_record_once() {
    let observed = Observed::new(Limits::default());
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for round in 0..200 {
                observed.append(&shared(round * 10..(round + 1) * 10));
            }
        });
        while !appending.is_finished() {
            let (past, mut watcher) = observed.read_and_watch(&Filter::default(), None, 10_000).unwrap();
            let mut seen = ports(&past);
            while let Some(Watched::Record(record)) = watcher.ready() {
                seen.extend(record.dport);
            }
            assert_eq!(seen, (0..u16::try_from(seen.len()).unwrap()).collect::<Vec<_>>());
        }
    });
}

#[test]
fn nanoseconds_a_record() {
    let observed = Observed::new(Limits::default());
    let mut watcher = observed.watch(Filter::default(), 2000).unwrap();
    let _other = observed.watch("verdict=reject,port=1".parse().unwrap(), 2000).unwrap();
    let mut record = numbered(443);
    (record.group, record.rule, record.reason) = (Some("web".into()), Some("https".into()), "rule".into());
    let records: Vec<_> = (0..1000).map(|_| Arc::new(record.clone())).collect();
    let (mut append, mut read) = (u128::MAX, u128::MAX);
    for _ in 0..20 {
        let start = Instant::now();
        observed.append(&records);
        append = append.min(start.elapsed().as_nanos() / 1000);
        let start = Instant::now();
        while watcher.ready().is_some() {}
        read = read.min(start.elapsed().as_nanos() / 1000);
    }
    println!("history: {append} ns to append with two watchers, {read} ns to read what one of them gets");
    assert!(cfg!(debug_assertions) || append + read <= 1000);
}

proptest! {
    #[test]
    fn a_record_is_remembered_as_it_was(record in record()) {
        let mut memory = Memory::new(Limits::default());
        memory.append([&record].into_iter());
        prop_assert_eq!(memory.snapshot().read(&Filter::default(), None), vec![record]);
    }

    #[test]
    fn what_is_held_is_the_newest(records in records(0..50), last in 0_usize..60) {
        let observed = Observed::new(Limits::default());
        observed.append(&records.iter().cloned().map(Arc::new).collect::<Vec<_>>());
        let begin = records.len().saturating_sub(last);
        prop_assert_eq!(observed.read(&Filter::default(), Some(last)), records[begin..].to_vec());
    }
}
