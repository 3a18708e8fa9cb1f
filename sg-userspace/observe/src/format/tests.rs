//! Every format over records that can occur, and exact lines of a few.

use std::time::Instant;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use super::Format;
use crate::{
    record::{Direction, Event, Record, Stage, Verdict},
    tests::records,
};

fn flow() -> Record {
    let (start, end) = (Timestamp::from_second(1_700_000_000), Timestamp::from_second(1_700_000_060));
    let mut record = Record::new(Event::Begin, start.unwrap(), end.unwrap());
    "eni-1".clone_into(&mut record.nic);
    "tap1".clone_into(&mut record.device);
    (record.instance, record.vpc) = (Some("i-1".into()), Some("vpc-1".into()));
    record.direction = Direction::Egress;
    record.protocol = Some(6);
    (record.src, record.sport) = ("10.0.0.5/32".parse().ok(), Some(50000));
    (record.dst, record.dport) = ("192.0.2.7/32".parse().ok(), Some(443));
    (record.stage, record.reason) = (Stage::Rule, "rule".into());
    (record.group, record.rule) = (Some("web".into()), Some("out".into()));
    (record.packets, record.bytes) = ([3, 2], [180, 120]);
    record.tcp_flags = Some(0x12);
    record
}

fn denied() -> Record {
    let mut record =
        Record { event: Event::Denied, direction: Direction::Ingress, verdict: Verdict::Drop, ..flow() };
    (record.src, record.dst) = (record.dst, record.src);
    (record.sport, record.dport) = (None, Some(22));
    (record.stage, record.group, record.rule) = (Stage::Default, None, Some("default".into()));
    record.groups = vec!["web".into(), "a\"b".into()];
    "default".clone_into(&mut record.reason);
    (record.packets, record.bytes, record.tcp_flags) = ([7, 0], [420, 0], None);
    record
}

fn lost() -> Record {
    let mut record = Record::lost(flow().start, flow().end, 9, "slow");
    "eni-1".clone_into(&mut record.nic);
    record
}

fn written(format: &str, records: &[Record]) -> String {
    let format: Format = format.parse().unwrap();
    assert_eq!(format.to_string().parse(), Ok(format.clone()));
    let mut to = Vec::new();
    format.write(records, &mut to);
    String::from_utf8(to).unwrap()
}

#[test]
fn aws_has_a_line_for_each_direction() {
    let policy = Record::new(Event::Policy, flow().start, flow().end);
    let records = [flow(), denied(), lost(), policy];
    assert_eq!(
        written("aws", &records),
        "2 - eni-1 10.0.0.5 192.0.2.7 50000 443 6 3 180 1700000000 1700000060 ACCEPT OK\n\
         2 - eni-1 192.0.2.7 10.0.0.5 443 50000 6 2 120 1700000000 1700000060 ACCEPT OK\n\
         2 - eni-1 192.0.2.7 10.0.0.5 - 22 6 7 420 1700000000 1700000060 REJECT OK\n\
         2 - eni-1 - - - - - - - 1700000000 1700000060 - SKIPDATA\n"
    );
    let custom = "aws:${version} ${vpc-id} ${instance-id} ${tcp-flags} ${type} ${flow-direction} ${region} ${pkt-srcaddr}";
    assert_eq!(
        written(custom, &records),
        "5 vpc-1 i-1 18 IPv4 egress - 10.0.0.5\n\
         5 vpc-1 i-1 18 IPv4 ingress - 192.0.2.7\n\
         5 vpc-1 i-1 - IPv4 ingress - 192.0.2.7\n\
         5 - - - - - - -\n"
    );
    let mut to = Vec::new();
    Format::Aws(super::AwsFields::default()).write_no_data(&flow(), &mut to);
    assert_eq!(String::from_utf8(to).unwrap(), "2 - eni-1 - - - - - - - 1700000000 1700000060 - NODATA\n");
}

#[test]
fn alibaba_has_its_own_names() {
    let lines = written("alibaba", &[flow(), lost()]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1].to_string(),
        r#"{"__topic__":"flow_log","account-id":"-","action":"ACCEPT","bytes":"120","direction":"in","dstaddr":"10.0.0.5","#
            .to_owned()
            + r#""dstport":"50000","end":"1700000060","eni-id":"eni-1","log-status":"OK","packets":"2","protocol":"6","#
            + r#""region":"-","srcaddr":"192.0.2.7","srcport":"443","start":"1700000000","tcp-flags":"18","#
            + r#""traffic_path":"-","version":"1","vm-id":"i-1","vpc-id":"vpc-1","vswitch-id":"-"}"#
    );
    assert_eq!(lines[2]["log-status"], "SKIPDATA");
    assert_eq!(lines[0].as_object().unwrap().len(), lines[2].as_object().unwrap().len());
}

#[test]
fn azure_is_grouped() {
    let mut other = flow();
    other.event = Event::End;
    let mut malformed = denied();
    (malformed.stage, malformed.rule, malformed.groups) = (Stage::Reason, None, Vec::new());
    "malformed".clone_into(&mut malformed.reason);
    "eni-2".clone_into(&mut malformed.nic);
    let line = written("azure", &[denied(), malformed, flow(), other, lost()]);
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line.matches('\n').count(), 1);
    let records = document["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "one a NIC: {line}");
    assert_eq!(records[0]["targetResourceID"], "eni-1");
    let flows = records[0]["flowRecords"]["flows"].as_array().unwrap();
    assert_eq!((&flows[0]["aclID"], &flows[1]["aclID"]), (&"web,a\"b".into(), &"web".into()));
    assert_eq!(flows[0]["flowGroups"][0]["rule"], "default");
    assert_eq!(
        flows[1]["flowGroups"][0]["flowTuples"],
        serde_json::json!([
            "1700000000000,10.0.0.5,192.0.2.7,50000,443,6,O,B,NX,0,0,0,0",
            "1700000060000,10.0.0.5,192.0.2.7,50000,443,6,O,C,NX,3,180,2,120",
            "1700000060000,10.0.0.5,192.0.2.7,50000,443,6,O,E,NX,3,180,2,120",
        ])
    );
    assert_eq!(records[1]["flowRecords"]["flows"][0]["aclID"], "unspecified");
    assert_eq!(written("azure", &[lost()]), "");
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let error = "aws:${version} ${colour}".parse::<Format>().unwrap_err().to_string();
    assert!(
        error.starts_with(r#""colour" is no field of AWS flow logs here: write fields as ${FIELD}"#),
        "{error}"
    );
    for text in ["aws:", "aws:version", "json", "", "aws:${reject-reason}"] {
        assert!(text.parse::<Format>().is_err(), "{text}");
    }
}

/// Names in the four formats that a reader splits at.
fn is_visible(text: &str) -> bool {
    text.lines().all(|line| !line.chars().any(sg_model::text::is_invisible))
}

proptest! {
    #[test]
    fn native_lines_are_the_records(records in records(0..20)) {
        let text = written("native", &records);
        let read: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert!(is_visible(&text));
        prop_assert_eq!(read, records);
    }

    #[test]
    fn no_name_breaks_a_line(records in records(0..20)) {
        let aws = written("aws", &records);
        prop_assert!(is_visible(&aws));
        prop_assert!(aws.lines().all(|line| line.split(' ').count() == 14 && !line.contains("  ")), "{}", aws);
        for format in ["alibaba", "azure"] {
            let text = written(format, &records);
            prop_assert!(is_visible(&text));
            for line in text.lines() {
                prop_assert!(serde_json::from_str::<Value>(line).is_ok(), "{}", line);
            }
        }
    }

    #[test]
    fn clouds_count_what_the_records_count(records in records(0..20)) {
        let traffic = records.iter().filter(|record| record.event.is_traffic());
        let packets: u64 = traffic.map(Record::all_packets).sum();
        let aws = written("aws:${packets}", &records);
        prop_assert_eq!(aws.lines().filter_map(|line| line.parse::<u64>().ok()).sum::<u64>(), packets);
        let azure = written("azure", &records);
        let documents = azure.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut counted = 0;
        for document in documents {
            for tuple in strings(&document) {
                let columns: Vec<_> = tuple.split(',').collect();
                if columns.len() == 13 && columns[8] == "NX" {
                    counted += columns[9].parse::<u64>().unwrap() + columns[11].parse::<u64>().unwrap();
                }
            }
        }
        prop_assert_eq!(counted, packets);
    }
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(values) => values.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// In a release build, `cargo test --release -p sg-observe -- --nocapture nanoseconds` prints what a record costs.
#[test]
fn nanoseconds_a_record() {
    let records: Vec<Record> = (0..1000).flat_map(|_| [flow(), denied()]).collect();
    let all = Format::default();
    for format in [all, "alibaba".parse().unwrap(), "aws".parse().unwrap(), "azure".parse().unwrap()] {
        let (mut to, mut best) = (Vec::new(), u128::MAX);
        for _ in 0..20 {
            to.clear();
            let start = Instant::now();
            format.write(&records, &mut to);
            best = best.min(start.elapsed().as_nanos() / records.len() as u128);
        }
        println!("{format}: {best} ns a record, {} bytes", to.len() / records.len());
        assert!(cfg!(debug_assertions) || best <= 1000, "{format}: {best} ns");
    }
}
