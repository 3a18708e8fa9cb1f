use std::slice;

use clap::{Args as _, FromArgMatches as _};
use jiff::Timestamp;
use sg_observe::{
    filter::Filter,
    record::{Direction, Frame, Verdict},
};

use super::*;
use crate::args::common::OutputArgs;

fn args(words: &str) -> Result<Args, clap::Error> {
    let command = Args::augment_args(clap::Command::default());
    let matches = command.try_get_matches_from(format!("observe {words}").split_whitespace())?;
    Args::from_arg_matches(&matches)
}

fn address(words: &str) -> String {
    args(words).unwrap().address().into()
}

#[test]
fn flags_are_the_query() {
    assert_eq!(address(""), "/v1/observe");
    assert_eq!(
        address("-f --verdict drop,reject --nic eth0 --nic eth1 --port ssh,8000-8100 --since 5m --last 3"),
        "/v1/observe?follow=true&verdict=drop&verdict=reject&nic=eth0&nic=eth1&port=22&port=8000-8100&since=5m&last=3"
    );
    assert_eq!(
        address(
            "--event denied --direction ingress --group web --rule web/a,b --reason malformed --remote ::/0"
        ),
        "/v1/observe?event=denied&group=web&rule=web%2Fa%2Cb&reason=malformed&remote=%3A%3A%2F0&direction=ingress"
    );
    assert_eq!(
        address("--local 10.0.0.5 --protocol tcp,47 --icmp 8/0 --until 1m --aggregate-by remote/24,port"),
        "/v1/observe?local=10.0.0.5&protocol=tcp&protocol=47&icmp=8%2F0&until=1m&aggregate_by=remote%2F24%2Cport"
    );
    assert_eq!(address("--packets"), "/v1/observe?follow=true&packets=each");
    assert_eq!(address("-w x.pcapng --verdict drop"), "/v1/observe?follow=true&verdict=drop&packets=frames");
    assert_eq!(address("--verdict dropped"), "/v1/observe?verdict=dropped", "the agent refuses it by name");
}

#[test]
fn what_would_do_nothing_is_refused() {
    for words in ["-f --until 5m", "--packets --since 5m", "-w x --last 3", "-w x --aggregate-by port"] {
        let error = args(words).unwrap_err().to_string();
        assert!(error.contains("cannot be used with"), "{words}: {error}");
    }
}

fn record() -> Record {
    let end: Timestamp = "2026-11-30T13:29:28.1239Z".parse().unwrap();
    let mut record = Record::new(Event::Denied, end, end);
    (record.verdict, record.direction) = (Verdict::Drop, Direction::Ingress);
    "drop".clone_into(&mut record.nic);
    "default".clone_into(&mut record.reason);
    record
}

/// What is printed of records, as lines of JSON.
fn printed(words: &str, records: &[Record], colour: bool) -> String {
    let mut out = Vec::new();
    let mut output = Output::new(&OutputArgs::default(), &mut out).unwrap();
    (output.colour, output.format) = (colour, if words == "json" { Format::Json } else { Format::Table });
    let args = args(if words == "json" { "" } else { words }).unwrap();
    Writer::check(&args, &output).unwrap();
    let mut writer = Writer::begin(&args, &output).unwrap();
    let mut losses = Losses::new(args.wants_losses());
    for record in records {
        writer.line(&serde_json::to_vec(record).unwrap(), &mut losses, &mut output).unwrap();
    }
    writer.flush(&mut output).unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn only_the_verdict_has_a_colour() {
    let plain = printed("", &[record()], false);
    assert!(plain.starts_with("2026-11-30T13:29:28.123Z denied   drop   ingress drop any -> any - default"));
    let coloured = printed("", &[record()], true);
    assert!(coloured.contains(" \u{1b}[31mdrop\u{1b}[0m   ingress drop "), "{coloured:?}");
}

#[test]
fn losses_are_no_line_of_text_unless_asked_for() {
    let lost = Record::lost(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, 3, "slow");
    assert_eq!(printed("", slice::from_ref(&lost), false), "");
    assert!(printed("--event lost", slice::from_ref(&lost), false).contains("3 records slow"));
    assert!(printed("json", &[lost], false).starts_with(r#"{"event":"lost""#));
}

#[test]
fn json_is_a_line_and_nothing_that_a_terminal_obeys() {
    let mut escape = record();
    escape.rule = Some("a\u{9b}2J\u{202e}".into());
    let json = printed("json", &[escape.clone(), record()], false);
    assert_eq!(json.lines().count(), 2);
    assert!(json.contains(r#""rule":"a\u009b2J\u202e""#), "{json}");
    let first = json.lines().next().unwrap();
    assert_eq!(serde_json::from_str::<Record>(first).unwrap(), escape);
}

#[test]
fn what_is_no_record_is_refused() {
    let mut out = Vec::new();
    let mut output = Output::new(&OutputArgs::default(), &mut out).unwrap();
    for line in [&b"{}"[..], b"{\"event\":\"begin\"", b"\xff"] {
        let failure = Writer::Text.line(line, &mut Losses::new(false), &mut output).unwrap_err();
        assert_eq!(failure.code(), 1);
    }
}

#[test]
fn a_file_of_packets_has_what_was_captured() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("denied.pcapng");
    let mut packet = record();
    packet.frame = Some(Frame { length: 1000, ethernet: false, bytes: b"HEADER OF IP".to_vec() });
    let words = format!("-w {}", path.display());
    assert_eq!(printed(&words, &[packet, record()], false), "", "nothing else is printed");
    let file = std::fs::read(&path).unwrap();
    let has = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
    assert!(has(b"HEADER OF IP") && has(b"drop by default (generation 0)"));
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o777, 0o600);
    let to_output = printed("-w -", &[record()], false);
    assert!(to_output.contains("sgctl observe"), "{to_output:?}");

    let Err(failure) = PacketFile::create("/no/such/dir/file".as_ref()) else { panic!() };
    assert_eq!(failure.code(), 1);
}

#[test]
fn every_condition_of_a_filter_is_a_flag() {
    let command = Args::augment_args(clap::Command::default());
    for key in Filter::KEYS {
        let flag = command.get_arguments().find(|flag| flag.get_long() == Some(key));
        assert!(flag.is_some(), "--{key} is missing");
        assert_eq!(address(&format!("--{key} 1")), format!("/v1/observe?{key}=1"));
    }
}
