//! The JSON of records, and their ends.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn an_address_has_no_prefix_length_and_what_does_not_apply_is_absent() {
    let mut record = Record::new(Event::Denied, at(0), at(5));
    record.src = "192.0.2.7/32".parse().ok();
    record.dst = "2001:db8::/64".parse().ok();
    record.verdict = Verdict::Drop;
    "malformed".clone_into(&mut record.reason);
    record.packets = [3, 0];
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(
        json,
        r#"{"event":"denied","start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:05Z","nic":"","device":"","#
            .to_owned()
            + r#""direction":"ingress","src":"192.0.2.7","dst":"2001:db8::/64","verdict":"drop","stage":"reason","#
            + r#""reason":"malformed","generation":0,"packets":[3,0],"bytes":[0,0]}"#
    );
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
}

#[test]
fn a_loss_has_no_verdict() {
    let lost = Record::lost(at(0), at(1), 7, "a reader was too slow");
    let json = serde_json::to_value(&lost).unwrap();
    for absent in ["verdict", "direction", "stage", "reason", "packets", "bytes"] {
        assert!(json.get(absent).is_none(), "{absent}: {json}");
    }
    assert_eq!((&json["count"], &json["message"]), (&7.into(), &"a reader was too slow".into()));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), lost);
}

#[test]
fn ends_follow_the_direction() {
    let mut record = Record::new(Event::Begin, at(0), at(1));
    (record.src, record.dst) = ("192.0.2.7/32".parse().ok(), "10.0.0.5/32".parse().ok());
    assert_eq!((record.remote(), record.local()), (record.src, record.dst));
    record.direction = Direction::Egress;
    assert_eq!((record.remote(), record.local()), (record.dst, record.src));
}

#[test]
fn words_are_read_back_and_others_refused_by_name() {
    for event in Event::ALL {
        assert_eq!(event.name().parse(), Ok(*event));
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
    assert_eq!(
        "denied".parse::<Verdict>().unwrap_err().to_string(),
        r#""denied" is no verdict: allowed are accept, drop, reject"#
    );
}
