use std::collections::HashMap;

use sg_common::{flow::PortsProtoNic, packet::Family};

use super::*;

fn flow(number: u64) -> Flow {
    let l4 = PortsProtoNic::new((1, 2), 3, 6, Family::V4);
    (FlowKey { remote_high: number / 2, l4, ..FlowKey::default() }, number as u32 % 2)
}

fn counts(number: u64) -> Counts {
    Counts { ended: number.is_multiple_of(7), packets: [number, 1], bytes: [number * 60, 60] }
}

#[test]
fn it_holds_what_a_map_holds_over_growth_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.reported");
    let (mut table, lost) = Reported::open(&path).unwrap();
    assert_eq!(lost, 0);
    let mut expected = HashMap::new();
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..60_000_u64 {
        let number = random.u64(..9_000);
        if random.u8(..3) == 0 {
            table.remove_ended(&flow(number));
            expected.retain(|other, counts: &mut Counts| *other != number || !counts.ended);
        } else {
            table.put(&flow(number), counts(step)).unwrap();
            expected.insert(number, counts(step));
        }
        if step % 20_000 == 19_999 {
            drop(table);
            table = Reported::open(&path).unwrap().0;
        }
    }
    for number in 0..9_000 {
        assert_eq!(table.get(&flow(number)), expected.get(&number).copied(), "{number}");
    }
    assert_eq!(table.read(AT_USED), expected.len() as u64);
}

#[test]
fn what_is_no_longer_seen_goes_and_what_has_ended_goes_sooner() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Reported::open(&dir.path().join("flows.reported")).unwrap().0;
    let live = |number| Counts { ended: false, ..counts(number) };
    for number in 0..5_000 {
        table.put(&flow(number), Counts { ended: number % 5 == 1, ..counts(number) }).unwrap();
    }
    for _ in 0..3 {
        table.begin_pass();
        (0..5_000).filter(|number| number % 5 == 0).for_each(|number| table.see(&flow(number)));
    }
    assert!((0..5_000).all(|number| table.get(&flow(number)).is_some() == (number % 5 != 1)));
    assert_eq!(table.remove_older(table.pass() - 1), 3_000);
    assert!((0..5_000).all(|number| table.get(&flow(number)).is_some() == (number % 5 == 0)));
    table.shrink().unwrap();
    assert_eq!(table.get(&flow(5)), Some(live(5)));
}

#[test]
fn what_was_taken_and_not_written_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.reported");
    let (table, _) = Reported::open(&path).unwrap();
    (0..7).for_each(|_| table.take_one());
    table.acknowledge().add(5);
    assert_eq!((table.unread_of(3), table.unread_of(3), table.unread_of(9)), (3, 0, 6));
    drop(table);
    let (table, lost) = Reported::open(&path).unwrap();
    assert_eq!((lost, table.unread_of(9), table.unread_of(2)), (2, 0, 2));
    assert_eq!(Reported::open(&path).unwrap().1, 0, "it is said once");
}

#[test]
fn a_damaged_file_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.reported");
    let damaged = |table: &Reported| {
        // A header that fits, and entries without end.
        (HEADER..HEADER + table.capacity * ENTRY).for_each(|at| table.write(at, 3));
    };
    damaged(&Reported::open(&path).unwrap().0);
    let full = fs::read(&path).unwrap();
    for damage in [full, Vec::new(), b"short".to_vec(), vec![0; 4096], vec![0xff; 100_000]] {
        fs::write(&path, damage).unwrap();
        let (mut table, lost) = Reported::open(&path).unwrap();
        table.put(&flow(1), counts(1)).unwrap();
        assert_eq!((table.get(&flow(1)), lost), (Some(counts(1)), 0));
    }
}
