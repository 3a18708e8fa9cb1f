//! Limits of memory and time, and slow watchers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Limits, Memory, Observed, Packets, Snapshot, Watched, Watcher, compact::Compact};
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

fn read(snapshot: &Snapshot, filter: &Filter, last: Option<usize>) -> Vec<Record> {
    snapshot.each(filter, last).collect()
}

/// Ports of all that is remembered.
fn held(memory: &Memory) -> Vec<u16> {
    ports(&read(&memory.snapshot(), &Filter::default(), None))
}

fn watch(observed: &Observed, filter: &str, queue: usize) -> Watcher {
    observed.snapshot_and_watch(filter.parse().unwrap(), Packets::None, queue).1
}

/// All that a watcher can read now, and how many records it was told that it lost.
fn drain(watcher: &mut Watcher) -> (Vec<Arc<Record>>, u64) {
    let (mut records, mut lost) = (Vec::new(), 0);
    while let Some(watched) = watcher.ready() {
        match watched {
            Watched::Record(record) => records.push(record),
            Watched::Lost(loss) => {
                assert_eq!(loss.event, Event::Lost);
                lost += loss.count.unwrap();
            }
        }
    }
    (records, lost)
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
    let snapshot = observed.snapshot();
    assert_eq!(ports(&read(&snapshot, &all, Some(3))), [4997, 4998, 4999]);
    assert_eq!(read(&snapshot, &all, None).len(), 5000);
    let since = Filter { since: Timestamp::from_second(4990).ok(), ..Filter::default() };
    assert_eq!(ports(&read(&snapshot, &since, None)), (4990..5000).collect::<Vec<_>>());
    assert_eq!(ports(&read(&snapshot, &since, Some(2))), [4998, 4999]);
    observed.append(&shared(5000..5001));
    assert_eq!(ports(&read(&snapshot, &all, Some(1))), [4999], "it never changes");
    assert_eq!(ports(&read(&observed.snapshot(), &all, Some(1))), [5000]);
}

#[test]
fn memory_is_bounded_and_the_oldest_are_forgotten() {
    let mut memory = Memory::new(Limits { bytes: 1 << 20, ..Limits::default() });
    for round in 0..20 {
        let end = (round + 1) * 1000;
        memory.append((round * 1000..end).map(numbered).collect::<Vec<_>>().iter());
        assert!(memory.bytes() <= 1 << 20, "{}", memory.bytes());
        let held = held(&memory);
        assert_eq!(held, (end - u16::try_from(held.len()).unwrap()..end).collect::<Vec<_>>());
    }
    let held = held(&memory).len();
    assert!((4001..20_000).contains(&held), "{held}");
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
    assert!(held(&memory).len() < 5000);
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
    assert_eq!(held(&memory).len(), 2001);
    memory.append_at(begin + Duration::from_mins(16), [&late].into_iter());
    // The last chunk holds the late ones, too.
    assert_eq!(held(&memory).len(), 2002 - 1024);
    memory.append_at(begin + Duration::from_hours(1), [].into_iter());
    assert_eq!(held(&memory).len(), 0);
    assert!(memory.bytes() < 1000);
}

#[test]
fn no_memory_keeps_nothing_and_watchers_see_it_all_the_same() {
    let observed = Observed::new(Limits { bytes: 0, ..Limits::default() });
    let mut watcher = watch(&observed, "", 10);
    observed.append(&shared(0..3));
    assert_eq!(read(&observed.snapshot(), &Filter::default(), None), []);
    assert_eq!(drain(&mut watcher).0.len(), 3);
}

#[test]
fn a_slow_watcher_loses_is_told_and_makes_nobody_wait() {
    let observed = Observed::new(Limits::default());
    let mut slow = watch(&observed, "", 10);
    let mut quick = watch(&observed, "port=0-4", 100);
    observed.append(&shared(0..100));
    let (records, lost) = drain(&mut slow);
    assert_eq!((records.len(), lost), (10, 90), "the loss is in nobody's place");
    let (records, lost) = drain(&mut quick);
    assert_eq!((records.len(), lost), (5, 0));
    assert_eq!(observed.wanted().len(), 2);
    drop(slow);
    assert_eq!(observed.wanted(), [("port=0-4".parse().unwrap(), Packets::None)]);
    drop(quick);
    assert_eq!(observed.wanted(), []);
}

#[test]
fn a_loss_that_finds_no_room_counts_as_it_was_told() {
    let observed = Observed::new(Limits::default());
    let mut watcher = watch(&observed, "", 2);
    observed.append(&shared(0..2));
    let lost = Record::lost(numbered(9).start, numbered(9).end, 18_000, "the ring was full");
    observed.append(&[Arc::new(lost), Arc::new(numbered(2))]);
    assert_eq!(drain(&mut watcher).1, 18_001);
}

#[tokio::test]
async fn a_watcher_waits_and_ends_with_the_observer() {
    let observed = Arc::new(Observed::new(Limits::default()));
    observed.append(&shared(0..2));
    let (past, mut watcher) = observed.snapshot_and_watch(Filter::default(), Packets::None, 10);
    assert_eq!(ports(&read(&past, &Filter::default(), Some(1))), [1]);
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
            let all = Filter::default();
            let (past, mut watcher) = observed.snapshot_and_watch(all.clone(), Packets::None, 10_000);
            let mut seen = ports(&read(&past, &all, None));
            seen.extend(drain(&mut watcher).0.iter().filter_map(|record| record.dport));
            assert_eq!(seen, (0..u16::try_from(seen.len()).unwrap()).collect::<Vec<_>>());
        }
    });
}

#[test]
fn nanoseconds_a_record() {
    let observed = Observed::new(Limits::default());
    let mut watcher = watch(&observed, "", 2000);
    let _other = watch(&observed, "verdict=reject,port=1", 2000);
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
        prop_assert_eq!(read(&memory.snapshot(), &Filter::default(), None), vec![record]);
    }

    #[test]
    fn what_is_held_is_the_newest(records in records(0..50), last in 0_usize..60) {
        let observed = Observed::new(Limits::default());
        observed.append(&records.iter().cloned().map(Arc::new).collect::<Vec<_>>());
        let begin = records.len().saturating_sub(last);
        prop_assert_eq!(read(&observed.snapshot(), &Filter::default(), Some(last)), records[begin..].to_vec());
    }
}
