//! Records of every kind of traffic, and how the tests run other programs.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use sg_observe::record::{Direction, Event, FlowState, IcmpType, Record, Stage, Verdict};

/// Begin of every interval: a whole second, since not every format has more.
const START: i64 = 1_790_000_000;

/// A flow in both directions, one that only one side sent to, denials in both families, an ICMP message, a folded record, one
/// without addresses, a loss and a change of the policy.
pub(crate) fn samples() -> Vec<Record> {
    let mut https = flow("192.0.2.7/32", "10.0.0.5/32", 443);
    (https.packets, https.bytes) = ([3, 2], [180, 1120]);
    (https.state, https.tcp_flags) = (Some(FlowState::Established), Some(0x12));

    let mut closed = flow("2001:db8::7/128", "2001:db8::5/128", 8443);
    closed.event = Event::End;
    (closed.direction, closed.state) = (Direction::Egress, Some(FlowState::Closing));
    (closed.packets, closed.bytes) = ([5_000_000_000, 1], [7_000_000_000_000, 60]);

    let mut query = flow("10.0.0.5/32", "198.51.100.53/32", 53);
    (query.event, query.direction, query.protocol) = (Event::Continue, Direction::Egress, Some(17));
    (query.packets, query.bytes, query.state) = ([1, 0], [70, 0], Some(FlowState::HalfOpen));

    let mut ping = denied(flow("192.0.2.9/32", "10.0.0.5/32", 0), Verdict::Drop);
    (ping.protocol, ping.sport, ping.dport) = (Some(1), None, None);
    ping.icmp = Some(IcmpType { kind: 8, code: 0 });
    (ping.stage, ping.group, ping.rule) = (Stage::Default, None, Some("default".into()));
    ping.groups = vec!["web".into(), "monitoring".into()];
    "default".clone_into(&mut ping.reason);

    let rejected = denied(flow("2001:db8::9/128", "2001:db8::5/128", 22), Verdict::Reject);

    let mut folded = denied(flow("203.0.113.0/24", "10.0.0.5/32", 23), Verdict::Drop);
    (folded.folded, folded.sport) = (true, None);
    (folded.packets, folded.bytes) = ([100_000, 0], [6_000_000, 0]);

    let mut malformed = denied(flow("192.0.2.1/32", "10.0.0.5/32", 0), Verdict::Drop);
    (malformed.src, malformed.dst, malformed.protocol) = (None, None, None);
    (malformed.sport, malformed.dport) = (None, None);
    (malformed.stage, malformed.group, malformed.rule) = (Stage::Reason, None, None);
    "malformed".clone_into(&mut malformed.reason);

    let mut lost = Record::lost(https.start, https.end, 9, "a test");
    "eni-1".clone_into(&mut lost.nic);
    let policy = Record::new(Event::Policy, https.start, https.end);
    vec![https, closed, query, ping, rejected, folded, malformed, lost, policy]
}

fn flow(src: &str, dst: &str, dport: u16) -> Record {
    let at = |second| Timestamp::from_second(second).unwrap_or_default();
    let mut record = Record::new(Event::Begin, at(START), at(START + 60));
    "eni-1".clone_into(&mut record.nic);
    "tap1".clone_into(&mut record.device);
    (record.instance, record.vpc) = (Some("i-1".into()), Some("vpc-1".into()));
    record.protocol = Some(6);
    (record.src, record.dst) = (src.parse().ok(), dst.parse().ok());
    (record.sport, record.dport) = (Some(50_001), Some(dport));
    (record.stage, record.reason, record.generation) = (Stage::Rule, "rule".into(), 7);
    (record.group, record.rule) = (Some("web".into()), Some(format!("port-{dport}")));
    record
}

fn denied(record: Record, verdict: Verdict) -> Record {
    Record { event: Event::Denied, verdict, packets: [2, 0], bytes: [120, 0], ..record }
}

/// Runs a program to its end, and returns what it printed.
pub(crate) fn output(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot start {program}"))?;
    let printed = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{program}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}
