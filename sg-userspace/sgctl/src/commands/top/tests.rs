use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;
use sg_observe::record::{Event as RecordEvent, Record, Verdict};

use super::{
    feed::{News, Part, Sample},
    keys::{Then, paste, press},
    model::{Model, View},
    table::{Cell, Column, Table, Width},
    view,
};
use crate::names::Names;

fn model() -> Model {
    Model::new("sgd".to_owned(), Duration::from_secs(2), Arc::new(AtomicBool::new(true)))
}

/// A look `seconds` after `start`, at which everything has been counted so often.
fn sample(start: Instant, seconds: u64, packets: u64) -> News {
    let count = json!({"packets": packets, "bytes": packets * 100});
    let with = |more: serde_json::Value| {
        let mut row = more;
        row.as_object_mut().unwrap().extend(count.as_object().unwrap().clone());
        row
    };
    let stats = json!({
        "rules": [with(json!({"group": "web", "rule": "https", "direction": "ingress", "action": "accept"})),
                  with(json!({"group": "web", "rule": "bad\u{1b}[2J", "direction": "ingress", "action": "drop"}))],
        "intra_group": [], "defaults": [with(json!({"nic": "eth0", "direction": "ingress", "verdict": "drop"}))],
        "reasons": [with(json!({"nic": "eth0", "direction": "ingress", "reason": "arp"})),
                    with(json!({"nic": null, "direction": "ingress", "reason": "flow-table-full"}))],
        "flows": {"established": 12, "max_established": 262_144, "half_open": 3, "max_half_open": 4, "evicted": 0},
    });
    let flow = |port: u16, share: u64| {
        json!({"nic": "eth0", "vlan": null, "protocol": "tcp", "direction": "ingress", "remote": "2001:db8:1111:2222::7",
               "remote_port": port, "local": "2001:db8::5", "local_port": 443, "state": "established", "group": "web",
               "rule": "https", "reason": "rule", "packets": [packets * share, packets], "bytes": [packets * share * 10, packets * 1000]})
    };
    let flows = json!({"flows": [flow(1, 1), flow(2, 5)], "total": 3});
    let status = json!({"version": "1", "instance": "sgd", "local_nics": 1, "attached": 1, "waiting": [],
        "in_force": [{"device": "eth0", "hook": "tc", "generation": 7, "groups": ["web", "ops"]}]});
    News::Sample(Box::new(Sample {
        at: start + Duration::from_secs(seconds),
        status: serde_json::from_value(status).unwrap(),
        stats: serde_json::from_value(stats).unwrap(),
        flows: Some(serde_json::from_value(flows).unwrap()),
        names: Arc::new(Names::from_iter([("ops".to_owned(), "admins".to_owned())])),
    }))
}

fn denied(packets: u64) -> Record {
    let end = Timestamp::now();
    let mut record = Record::new(RecordEvent::Denied, end - SignedDuration::from_secs(5), end);
    (record.packets, record.dport, record.protocol) = ([packets, 0], Some(22), Some(6));
    (record.src, record.dst) = ("192.0.2.7/32".parse().ok(), "10.0.0.5/32".parse().ok());
    (record.verdict, record.rule) = (Verdict::Drop, Some("default".into()));
    "eth0".clone_into(&mut record.device);
    record
}

/// Two looks, two seconds apart.
fn filled() -> Model {
    let (mut model, start) = (model(), Instant::now());
    model.learn(sample(start, 0, 100), start);
    model.learn(sample(start, 2, 300), start);
    model.learn(News::Denied(vec![denied(50)]), start);
    model
}

fn drawn(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |row: u16| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..height).map(|row| line(row).trim_end().to_owned()).collect()
}

/// Presses a key, on a terminal of 24 lines.
fn key(model: &mut Model, code: KeyCode) -> Then {
    model.fit(view::room(24));
    press(model, KeyEvent::new(code, KeyModifiers::NONE))
}

fn keys(model: &mut Model, keys: &str) {
    for letter in keys.chars() {
        assert_eq!(key(model, KeyCode::Char(letter)), Then::Show);
    }
}

#[test]
fn four_views_on_a_small_terminal() {
    let mut model = filled();
    let screen = drawn(&model, 80, 24);
    assert_eq!(screen[0], "sgctl top  sgd  every 2 s");
    // Of the rule and of ARP; of the other rule and of the default.
    assert_eq!(screen[1], "accepted 200 pkts/s 20k B/s  denied 200 pkts/s  flows 12 of 262k  half-open 3  …");
    assert_eq!(screen[2], " 1 NICs   2 Rules   3 Talkers   4 Denials");
    assert_eq!(screen[3], "NIC                  GROUPS               GEN     FLOWS  IN B/S OUT B/S DENIED/S");
    assert_eq!(screen[4], "eth0                 web,admins           7           2    6.0k    200k       10");
    assert_eq!(screen[23], "1-4 Tab view  s sort  r reverse  / filter  p pause  ? help  q quit");

    keys(&mut model, "2");
    let rules = drawn(&model, 80, 24);
    assert_eq!(rules[3], "GROUP               RULE                DIRECTION ACTION  HITS/S BYTES/S PACKETS");
    assert!(
        rules[4..9].contains(
            &"web                 https               ingress   accept     100     10k     300".to_owned()
        ),
        "{rules:?}"
    );
    assert!(rules[4..9].iter().any(|row| row.contains("bad\\u{1b}[2J")), "{rules:?}");
    assert!(
        rules[4..9]
            .iter()
            .any(|row| row.starts_with("(eth0)              (no rule matched)   ingress   drop")),
        "{rules:?}"
    );

    keys(&mut model, "3");
    let talkers = drawn(&model, 80, 24);
    assert_eq!(
        talkers[3],
        "NIC     PROTO  REMOTE              LOCAL               RULE       BYTES/S PKTS/S"
    );
    assert_eq!(
        talkers[4],
        "eth0    tcp    [2001:db8:1111:222… [2001:db8::5]:443   https         105k    600"
    );
    assert_eq!(
        talkers[5],
        "eth0    tcp    [2001:db8:1111:222… [2001:db8::5]:443   https         101k    200"
    );

    key(&mut model, KeyCode::Tab);
    let denials = drawn(&model, 80, 24);
    assert_eq!(denials[3], "NIC    DIR PROTO REMOTE           LOCAL            BY            PKTS/S PACKETS");
    assert_eq!(denials[4], "eth0   in  tcp   192.0.2.7        10.0.0.5:22      default           10      50");
    key(&mut model, KeyCode::BackTab);
    assert_eq!(drawn(&model, 80, 24), talkers);
}

#[test]
fn no_size_is_too_small_and_no_line_is_wrapped() {
    let mut model = filled();
    for view in ["1", "2", "3", "4", "?"] {
        keys(&mut model, view);
        for (width, height) in [(80, 24), (40, 10), (20, 5), (5, 3), (1, 1), (200, 60)] {
            let screen = drawn(&model, width, height);
            assert_eq!(screen.len(), usize::from(height));
        }
    }
    keys(&mut model, "?1");
    let wide = drawn(&model, 200, 24);
    assert!(wide[1].contains("not read 1"), "{wide:?}");
}

#[test]
fn keys_sort_filter_and_pause() {
    let mut model = filled();
    keys(&mut model, "2");
    let first =
        |model: &Model| drawn(model, 80, 24)[4].split_whitespace().next().unwrap_or_default().to_owned();
    assert_eq!((model.table().sort, model.table().is_reversed), (4, false), "by hits");
    keys(&mut model, "sss");
    assert_eq!((model.table().sort, first(&model).as_str()), (0, "(eth0)"), "by group");
    keys(&mut model, "r");
    assert_eq!(first(&model), "web");

    keys(&mut model, "/Htt");
    assert!(drawn(&model, 80, 24)[23].starts_with("/Htt"));
    let is_only_https = |model: &Model| {
        let screen = drawn(model, 80, 24);
        screen[4].contains("https") && screen[5].is_empty()
    };
    assert!(is_only_https(&model));
    keys(&mut model, "q");
    assert!(drawn(&model, 80, 24)[4].contains("nothing yet"), "a letter of the filter, and no end");
    key(&mut model, KeyCode::Backspace);
    key(&mut model, KeyCode::Enter);
    assert!(is_only_https(&model) && drawn(&model, 80, 24)[23].contains("filter: Htt"));
    key(&mut model, KeyCode::Esc);
    assert!(!is_only_https(&model));

    keys(&mut model, "p");
    let before = drawn(&model, 80, 24);
    assert!(before[0].ends_with("paused"), "{before:?}");
    let start = Instant::now();
    model.learn(sample(start, 4, 90_000), start);
    model.learn(News::Denied(vec![denied(7150)]), start);
    assert_eq!(drawn(&model, 80, 24), before);
    keys(&mut model, "p4");
    model.learn(News::Denied(vec![denied(0)]), start);
    assert!(drawn(&model, 80, 24)[4].ends_with("7.2k"), "what was counted meanwhile is not lost");

    assert_eq!(key(&mut model, KeyCode::Char('q')), Then::End);
    assert_eq!(press(&mut model, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Then::End);
}

#[test]
fn whoever_scrolls_too_far_still_sees_the_last_rows() {
    let mut model = model();
    let records = (0..40).map(|port| Record { dport: Some(1000 + port), ..denied(1) });
    model.learn(News::Denied(records.collect()), Instant::now());
    keys(&mut model, "4");
    key(&mut model, KeyCode::Down);
    assert!(drawn(&model, 80, 24)[4].contains(":1001"));
    for _ in 0..20 {
        key(&mut model, KeyCode::PageDown);
    }
    let end = drawn(&model, 80, 24);
    assert!(end[22].contains(":1039") && end[4].contains(":1021"), "{end:?}");
    key(&mut model, KeyCode::Up);
    assert!(drawn(&model, 80, 24)[4].contains(":1020"), "the way back begins at the end");
    key(&mut model, KeyCode::Home);
    assert!(drawn(&model, 80, 24)[4].contains(":1000"));
    key(&mut model, KeyCode::PageDown);
    assert!(drawn(&model, 80, 24)[4].contains(":1019"), "a page is what the screen has room for");
    keys(&mut model, "/:103");
    key(&mut model, KeyCode::Enter);
    key(&mut model, KeyCode::End);
    assert!(drawn(&model, 80, 24)[4].contains(":1030"), "ten rows: all of them are shown");
    key(&mut model, KeyCode::Esc);
    key(&mut model, KeyCode::End);
    assert!(drawn(&model, 80, 24)[22].contains(":1039"));
}

#[test]
fn what_is_pasted_is_text_and_no_keys() {
    let mut model = filled();
    paste(&mut model, "q2p\n");
    assert!(!model.is_paused && model.view == View::Nics && model.filter.is_empty());
    keys(&mut model, "/");
    paste(&mut model, " eth\u{1b}[2J\u{202e}\n");
    assert_eq!(model.filter, "eth[2J");
    paste(&mut model, &"x".repeat(1000));
    assert_eq!(model.filter.len(), 60);
    key(&mut model, KeyCode::Esc);
    for modifier in [KeyModifiers::ALT, KeyModifiers::CONTROL] {
        assert_eq!(press(&mut model, KeyEvent::new(KeyCode::Char('q'), modifier)), Then::Show);
    }
    keys(&mut model, "?2");
    assert!(drawn(&model, 80, 24)[3].starts_with("GROUP"), "a key ends the help");
}

#[test]
fn generations_are_ordered_as_numbers() {
    const COLUMNS: &[Column] = &[Column::text("GEN", Width::Fixed(6))];
    let (one, two) = (Cell::Ordinal(9), Cell::Ordinal(10));
    let mut table = Table::new(COLUMNS, 0);
    table.fill(vec![vec![two.clone()], vec![one.clone()]]);
    assert_eq!(table.shown(""), [&vec![one], &vec![two]]);
    assert_eq!(Cell::Ordinal(123_456).text(), "123456");
}
#[test]
fn an_agent_that_is_gone_is_said_so_until_it_is_back() {
    let mut model = filled();
    let trouble = "nothing serves /run/sgd/sgd/api.sock: start it with `sgd serve --state DIR`, or say where it is\u{1b}[2J";
    model.learn(News::Trouble(Part::Counters, trouble.to_owned()), Instant::now());
    let screen = drawn(&model, 80, 24);
    assert!(screen[23].starts_with("nothing serves /run/sgd") && screen[23].ends_with('…'), "{screen:?}");
    assert!(screen[4].starts_with("eth0"), "what was known stays");
    let start = Instant::now();
    model.learn(sample(start, 9, 400), start);
    assert!(drawn(&model, 80, 24)[23].starts_with("1-4 Tab view"));
    // What is true of one part is not taken back by the other.
    model.learn(News::Trouble(Part::Denials, "8 clients watch".to_owned()), start);
    model.learn(sample(start, 11, 500), start);
    assert_eq!(drawn(&model, 80, 24)[23], "denials: 8 clients watch");
    model.learn(News::Denied(Vec::new()), start);
    assert!(drawn(&model, 80, 24)[23].starts_with("1-4 Tab view"));
}

#[test]
fn flows_are_read_only_while_somebody_looks_at_them() {
    let wants = Arc::new(AtomicBool::new(true));
    let mut model = Model::new("sgd".to_owned(), Duration::from_secs(2), Arc::clone(&wants));
    let read = |wants: &AtomicBool| wants.load(std::sync::atomic::Ordering::Relaxed);
    for (view, wanted) in [("2", false), ("3", true), ("4", false), ("1", true)] {
        keys(&mut model, view);
        assert_eq!(read(&wants), wanted, "{view}");
    }
}
