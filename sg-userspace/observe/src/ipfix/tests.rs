//! A reader of its own reads every message back; the suite asks nfdump and tshark.

use std::{collections::HashMap, time::Instant};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Encoder, MAX_TCP, MAX_UDP};
use crate::{
    record::{Event, Record},
    tests::{record, records},
};

/// Fields of a template: enterprise, number, length.
type Templates = HashMap<u16, Vec<(u32, u16, u16)>>;

/// The fields of a data record.
type Data = HashMap<(u32, u16), Vec<u8>>;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self, count: usize) -> u64 {
        number(self.bytes(count))
    }
}

fn number(field: &[u8]) -> u64 {
    field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Sequence number, and data records by element.
fn read(message: &[u8], templates: &mut Templates) -> (u64, Vec<Data>) {
    let mut reader = Reader(message);
    assert_eq!((reader.number(2), reader.number(2)), (10, message.len() as u64));
    reader.number(4);
    let sequence = reader.number(4);
    assert_eq!(reader.number(4), 7);
    let mut records = Vec::new();
    while !reader.0.is_empty() {
        let (id, length) = (reader.number(2) as u16, reader.number(2) as usize);
        let mut set = Reader(reader.bytes(length - 4));
        while !set.0.is_empty() {
            if id == 2 {
                let (id, count) = (set.number(2) as u16, set.number(2));
                let fields = (0..count).map(|_| {
                    let (number, length) = (set.number(2) as u16, set.number(2) as u16);
                    let enterprise = if number & 0x8000 == 0 { 0 } else { set.number(4) as u32 };
                    (enterprise, number & 0x7fff, length)
                });
                templates.insert(id, fields.collect());
                continue;
            }
            let fields = templates[&id].iter().map(|&(enterprise, number, length)| {
                let length = if length == u16::MAX { set.number(1) as usize } else { length.into() };
                ((enterprise, number), set.bytes(length).to_vec())
            });
            records.push(fields.collect());
        }
    }
    (sequence, records)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

proptest! {
    #[test]
    fn every_record_is_read_back_once(records in records(0..80), max in prop::sample::select(vec![MAX_UDP, MAX_TCP])) {
        let mut encoder = Encoder::new(7, max);
        let (mut templates, mut message) = (Templates::new(), Vec::new());
        encoder.templates(now(), &mut message);
        prop_assert!(message.len() <= MAX_UDP);
        read(&message, &mut templates);
        let (mut rest, mut got) = (&records[..], Vec::new());
        while !rest.is_empty() {
            let taken = encoder.data(rest, now(), &mut message);
            prop_assert!(taken.looked_at > 0 && message.len() <= max);
            if !message.is_empty() {
                let (sequence, data) = read(&message, &mut templates);
                prop_assert_eq!((sequence, data.len()), (got.len() as u64, taken.written as usize));
                got.extend(data);
            }
            rest = &rest[taken.looked_at..];
        }
        let traffic: Vec<_> = records.iter().filter(|record| record.event.is_traffic()).collect();
        prop_assert_eq!(traffic.len(), got.len());
        for (record, got) in traffic.into_iter().zip(got) {
            let Record { packets, bytes, sport, .. } = record;
            prop_assert_eq!(number(&got[&(0, 2)]), packets[0]);
            prop_assert_eq!(number(&got[&(29_305, 2)]), packets[1]);
            prop_assert_eq!(number(&got[&(0, 1)]), bytes[0]);
            prop_assert_eq!(number(&got[&(29_305, 1)]), bytes[1]);
            prop_assert_eq!(number(&got[&(0, 7)]), u64::from(sport.unwrap_or(0)));
            prop_assert_eq!(i64::try_from(number(&got[&(0, 152)])).unwrap(), record.start.as_millisecond());
            let name = String::from_utf8(got[&(0, 82)].clone()).unwrap();
            prop_assert!(!name.chars().any(sg_model::text::is_invisible));
        }
    }

    #[test]
    fn a_record_always_fits(mut record in record()) {
        record.event = Event::Begin;
        record.nic = "ü".repeat(500);
        record.group = Some("ü".repeat(500));
        record.rule = Some("x".repeat(500));
        let mut message = Vec::new();
        prop_assert_eq!(Encoder::new(7, MAX_UDP).data(&[record], now(), &mut message).looked_at, 1);
        prop_assert!(message.len() <= MAX_UDP);
    }
}

fn flow() -> Record {
    let mut record = Record::new(Event::Begin, now(), now());
    (record.src, record.dst) = ("192.0.2.1/32".parse().ok(), "10.0.0.5/32".parse().ok());
    "eni-0123456789".clone_into(&mut record.nic);
    (record.group, record.rule) = (Some("web".into()), Some("allow-https".into()));
    record
}

#[test]
fn a_new_session_counts_from_0_and_numbers_wrap() {
    let (mut encoder, mut message) = (Encoder::new(7, MAX_TCP), Vec::new());
    encoder.sequence = u32::MAX;
    let taken = encoder.data(&[flow(), flow()], now(), &mut message);
    assert_eq!(encoder.sequence, 1);
    encoder.take_back(taken.written);
    assert_eq!(encoder.sequence, u32::MAX);
    encoder.begin_session();
    assert_eq!(encoder.sequence, 0);
}

#[test]
fn nanoseconds_a_record() {
    let records = vec![flow(); 1000];
    let (mut encoder, mut message, mut best) = (Encoder::new(7, MAX_UDP), Vec::new(), u128::MAX);
    for _ in 0..20 {
        let (start, mut rest) = (Instant::now(), &records[..]);
        while !rest.is_empty() {
            let taken = encoder.data(rest, now(), &mut message);
            rest = &rest[taken.looked_at..];
        }
        best = best.min(start.elapsed().as_nanos() / records.len() as u128);
    }
    println!("ipfix: {best} ns a record");
    assert!(cfg!(debug_assertions) || best <= 1000, "{best} ns");
}
