//! Rows as people paste them, and what is missing in them.

use super::*;

const LINE: &str = "2026-11-30T13:29:28.123Z denied   drop   ingress eth0 192.0.2.7:51234 -> 10.0.0.5:443 tcp default(web,db) \
                    3 pkts 180 B gen 7";
const FLOW: &str = "eth0  -     tcp       ingress  192.0.2.7:51234  10.0.0.5:443  established  web    https  3/2      180/120";

#[test]
fn a_line_its_json_and_a_flow_are_the_same_packet() {
    let line = read(LINE).unwrap();
    let record: Record = LINE.parse().unwrap();
    assert_eq!(read(&serde_json::to_string(&record).unwrap()).unwrap(), line);
    assert_eq!(line.words(), "ingress tcp 192.0.2.7:51234 -> 10.0.0.5:443");
    assert_eq!((line.generation, line.verdict, line.groups.len()), (Some(7), "drop", 2));
    let title = flows::TITLES.join("  ");
    let flow = read(&format!("{title}\n{FLOW}\n")).unwrap();
    assert_eq!((flow.words(), flow.generation), (line.words(), None));
    let packet = |row: &Row| serde_json::to_value(row.packet().unwrap()).unwrap();
    assert_eq!(packet(&flow), packet(&line));
    let json = r#"[{"nic":"eth0","vlan":null,"protocol":"tcp","direction":"ingress","remote":"192.0.2.7","remote_port":51234,
        "local":"10.0.0.5","local_port":443,"state":"established","group":"web","rule":"https","reason":"rule",
        "packets":[3,2],"bytes":[180,120]}]"#;
    assert_eq!(read(json).unwrap(), flow);
    // As a mail leaves it.
    let words = FLOW.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(read(&words).unwrap(), flow);
}

#[test]
fn a_flow_says_that_its_rule_is_gone() {
    let decided = |group: &str, rule: &str| {
        let row = read(&FLOW.replace("web", group).replace("https", rule)).unwrap();
        (row.reason.unwrap(), row.group, row.rule)
    };
    assert_eq!(decided("-", "-"), ("default".to_owned(), None, None));
    assert_eq!(decided("web", "-"), ("intra-group".to_owned(), Some("web".to_owned()), None));
    assert_eq!(decided("(gone)", "(gone)"), ("rule".to_owned(), None, None));
    assert_eq!(decided("(gone)", "-"), ("intra-group".to_owned(), None, None));
    let json = |reason: &str| {
        format!(
            r#"{{"nic":"eth0","vlan":null,"protocol":"tcp","direction":"ingress","remote":"192.0.2.7","remote_port":51234,
            "local":"10.0.0.5","local_port":443,"state":"established","group":null,"rule":null{reason},
            "packets":[3,2],"bytes":[180,120]}}"#
        )
    };
    assert_eq!(read(&json(r#","reason":"rule""#)).unwrap().reason.as_deref(), Some("rule"));
    assert_eq!(read(&json("")).unwrap().reason, None, "it is not guessed");
}

#[test]
fn an_echo_has_no_ports_and_an_egress_flow_goes_the_other_way() {
    let echo = FLOW.replace("tcp", "icmp").replace("ingress", "egress");
    let row = read(&echo).unwrap();
    let packet = row.packet().unwrap();
    assert_eq!((packet.port, packet.source_port, packet.numbers), (None, None, HeaderNumbers::NONE));
    let row = read(&FLOW.replace("ingress", "egress ")).unwrap();
    assert_eq!((row.port, row.source_port), (Some(51234), Some(443)));
    let ping = LINE.replace(":51234", "").replace(":443", "").replace("tcp", "icmp:8/0");
    assert_eq!(read(&ping).unwrap().packet().unwrap().numbers, HeaderNumbers::icmp(8, 0));
}

#[test]
fn what_is_missing_is_named() {
    let lost = r#"{"event":"lost","start":"2026-11-30T13:00:00Z","end":"2026-11-30T13:00:00Z","count":3}"#;
    for (text, error) in [
        (" \n", "there is no row"),
        (&format!("{LINE}\n{LINE}"), "there are 2 rows"),
        ("[]", "there is no row"),
        ("no flows\n", "there is no row"),
        ("{\"event\":", "is no JSON"),
        ("{\"id\":3}", "neither a record nor a flow"),
        ("{\"event\":\"denied\"}", "the row is a record, but missing field `start`"),
        (lost, "a record of event lost has no packet"),
        (&LINE.replace("443", "x"), "but has \"x\" where a port is expected"),
        (&FLOW.replace("established", "open"), "\"open\" is no state"),
        (&FLOW.replace("192.0.2.7:", "any:"), "is no remote"),
        ("eth0 tcp 192.0.2.7", "it has 3 words"),
        ("2 - eth0 192.0.2.7 10.0.0.5 5 443 6 3 180 1 2 REJECT OK", "format of AWS"),
        (r#"{"__topic__":"flow_log","eni-id":"eth0"}"#, "format of Alibaba Cloud"),
    ] {
        let found = read(text).unwrap_err().to_string();
        assert!(found.contains(error), "{text}: {found}");
    }
    for (line, error) in [
        (LINE.replace("192.0.2.7:51234", "any"), "no remote"),
        (LINE.replace("10.0.0.5:443", "any:443"), "no local address"),
        (LINE.replace("10.0.0.5:443", "10.0.0.5"), "no destination port"),
        (LINE.replace(" tcp ", " - "), "no protocol"),
        (LINE.replace(" eth0 ", " - "), "no NIC"),
    ] {
        let found = read(&line).unwrap().packet().unwrap_err().to_string();
        assert!(found.contains(error), "{line}: {found}");
    }
}

#[test]
fn a_folded_row_is_judged_for_one_of_its_remotes() {
    let row = read(&LINE.replace("192.0.2.7:51234", "192.0.2.0/24:51234")).unwrap();
    assert_eq!(row.folded(), "192.0.2.0/24".parse().ok());
    assert_eq!(row.packet().unwrap().remote, "192.0.2.0".parse::<IpAddr>().unwrap());
}
