//! Lines of records, exactly.

use jiff::Timestamp;

use crate::record::{Direction, Event, IcmpType, Record, Stage, Verdict};

fn denied() -> Record {
    let end: Timestamp = "2026-11-30T13:29:28.1239Z".parse().unwrap();
    let mut record = Record::new(Event::Denied, end, end);
    "eth0".clone_into(&mut record.nic);
    record.verdict = Verdict::Drop;
    record.protocol = Some(6);
    (record.src, record.sport) = ("192.0.2.7/32".parse().ok(), Some(51234));
    (record.dst, record.dport) = ("10.0.0.5/32".parse().ok(), Some(443));
    record.stage = Stage::Rule;
    (record.group, record.rule) = (Some("web".into()), Some("no-https".into()));
    (record.packets, record.bytes, record.generation) = ([3, 0], [180, 0], 7);
    record
}

#[test]
fn a_line_names_the_rule() {
    assert_eq!(
        denied().to_string(),
        "2026-11-30T13:29:28.123Z denied   drop   ingress eth0 192.0.2.7:51234 -> 10.0.0.5:443 tcp web/no-https \
         3 pkts 180 B gen 7"
    );
}

#[test]
fn of_a_default_the_groups_and_of_a_fold_the_prefix() {
    let mut record = denied();
    record.event = Event::Begin;
    record.direction = Direction::Egress;
    record.verdict = Verdict::Accept;
    (record.src, record.sport) = ("2001:db8::7/128".parse().ok(), Some(5));
    (record.dst, record.dport) = (None, None);
    (record.protocol, record.icmp) = (Some(58), Some(IcmpType { kind: 128, code: 0 }));
    record.stage = Stage::Default;
    (record.group, record.rule) = (None, Some("default".into()));
    record.groups = vec!["web".into(), "data base".into()];
    (record.packets, record.bytes, record.folded) = ([1, 2], [3, 4], true);
    assert_eq!(
        record.to_string(),
        "2026-11-30T13:29:28.123Z begin    accept egress  eth0 [2001:db8::7]:5 -> any icmpv6:128/0 \
         default(web,\"data base\") 1/2 pkts 3/4 B folded gen 7"
    );
}

#[test]
fn names_cannot_move_the_cursor() {
    let mut record = denied();
    record.rule = Some("a\u{1b}[2J\n\"b\u{202e}".into());
    let line = record.to_string();
    assert!(line.contains(r#"web/"a\u{1b}[2J\n\"b\u{202e}" 3 pkts"#), "{line}");
    record = Record::lost(record.start, record.end, 9, "slow\r\u{7}");
    assert_eq!(record.to_string(), r"2026-11-30T13:29:28.123Z lost     9 records slow\r\u{7}");
}
