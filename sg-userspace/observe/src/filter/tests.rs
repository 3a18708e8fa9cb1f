//! Conditions that admit and refuse, and what is not understood.

use super::*;

fn denied() -> Record {
    let mut record = Record::new(Event::Denied, Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
    "eni-1".clone_into(&mut record.nic);
    "tap1".clone_into(&mut record.device);
    record.verdict = Verdict::Drop;
    record.protocol = Some(6);
    (record.src, record.sport) = ("192.0.2.7/32".parse().ok(), Some(50000));
    (record.dst, record.dport) = ("10.0.0.5/32".parse().ok(), Some(443));
    record.group = Some("web".into());
    record.rule = Some("no-https".into());
    "rule".clone_into(&mut record.reason);
    record
}

fn admits(filter: &str, record: &Record) -> bool {
    let now = Timestamp::from_second(120).unwrap();
    let mut conditions = Filter::default();
    for (key, value) in filter.split(',').filter_map(|pair| pair.split_once('=')) {
        conditions.add(key, value, now).unwrap();
    }
    conditions.admits(record)
}

#[test]
fn each_condition_admits_and_refuses() {
    let record = denied();
    for (key, yes, no) in [
        ("event", "denied", "begin"),
        ("verdict", "drop", "reject"),
        ("direction", "ingress", "egress"),
        ("nic", "eni-1", "eni-2"),
        ("nic", "tap1", "tap2"),
        ("group", "web", "db"),
        ("rule", "no-https", "https"),
        ("rule", "web/no-https", "db/no-https"),
        ("reason", "rule", "default"),
        ("remote", "192.0.2.0/24", "192.0.3.0/24"),
        ("local", "10.0.0.5", "10.0.0.6"),
        ("port", "443", "50000"),
        ("port", "400-500", "444-500"),
        ("protocol", "tcp", "udp"),
        ("since", "60s", "59s"),
        ("until", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z"),
    ] {
        assert!(admits(&format!("{key}={yes}"), &record), "{key}={yes}");
        assert!(!admits(&format!("{key}={no}"), &record), "{key}={no}");
        if !["since", "until"].contains(&key) {
            assert!(admits(&format!("{key}={no},{key}={yes}"), &record), "{key}: alternatives");
        }
    }
    assert!(!admits("verdict=drop,port=80", &record), "all conditions must admit");
    assert!(admits("", &record));
    let mut ping = record;
    ping.icmp = Some(IcmpType { kind: 8, code: 0 });
    assert!(admits("icmp=8", &ping) && admits("icmp=8/0", &ping));
    assert!(!admits("icmp=8/1", &ping) && !admits("icmp=0", &ping) && !admits("icmp=8", &denied()));
}

#[test]
fn a_folded_record_may_be_about_the_remote() {
    let mut record = denied();
    record.folded = true;
    record.src = "192.0.2.0/24".parse().ok();
    assert!(admits("remote=192.0.2.9", &record) && !admits("remote=192.0.3.9", &record));
    record.src = None;
    assert!(admits("remote=192.0.3.9", &record), "folded to every remote");
    record.folded = false;
    assert!(!admits("remote=192.0.3.9", &record), "not parsed");
}

#[test]
fn losses_are_always_shown_and_changes_unless_traffic_is_asked_for() {
    let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
    let lost = Record::lost(start, end, 3, "slow");
    assert!(admits("verdict=drop,remote=192.0.2.1", &lost) && !admits("event=begin", &lost));
    let mut policy = Record::new(Event::Policy, start, end);
    assert!(admits("nic=eth0", &policy) && !admits("verdict=accept", &policy));
    "eth1".clone_into(&mut policy.nic);
    assert!(!admits("nic=eth0", &policy));
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for (text, error) in [
        (
            "verdikt=drop",
            r#""verdikt" is no condition of a filter: allowed are event, verdict, direction, nic, group, rule, reason, remote, local, port, protocol, icmp, since, until"#,
        ),
        ("verdict=dropped", r#""dropped" is no verdict: allowed are accept, drop, reject"#),
        ("drop", r#""drop": write KEY=VALUE, such as verdict=drop"#),
        ("port=99999", r#"port="99999": write a port from 0 to 65535, or a range FIRST-LAST"#),
        (
            "remote=example.com",
            r#"remote="example.com": write an IP address or prefix, such as 192.0.2.0/24"#,
        ),
        ("since=5m,since=6m", "since: given twice, and allowed once"),
        ("icmp=8/", r#"icmp="8/": write TYPE or TYPE/CODE, each from 0 to 255"#),
        ("nic=", r#"nic="": write a name"#),
    ] {
        assert_eq!(text.parse::<Filter>().unwrap_err().to_string(), error);
    }
    let error = "reason=bad".parse::<Filter>().unwrap_err().to_string();
    assert!(error.starts_with(r#""bad" is no reason: allowed are rule, intra-group"#), "{error}");
}
