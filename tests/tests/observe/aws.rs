//! Lines of AWS flow logs, read by a parser that was written from the documented rules of Filebeat's `parse_aws_vpc_flow_log`.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sg_observe::{
    format::Format,
    record::{Direction, Record, Verdict},
};
use sg_tests::lab::Lab;
use tempfile::TempDir;

use super::samples::{output, samples};
use crate::support::suite::Suite;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("filebeat_rules_read_every_field", filebeat_rules_read_every_field);
}

const DEFAULT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
const ALL: &str = "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr \
                   pkt-dstaddr protocol bytes packets start end action tcp-flags log-status region az-id sublocation-type \
                   sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path";

fn filebeat_rules_read_every_field(_: Lab) -> Result<()> {
    let records = samples();
    let read = parse(DEFAULT, &"aws".parse()?, &records)?;
    check(&read, &records, 2)?;
    let custom: Vec<_> = ALL.split_whitespace().map(|field| format!("${{{field}}}")).collect();
    let read = parse(ALL, &format!("aws:{}", custom.join(" ")).parse()?, &records)?;
    let lines = check(&read, &records, 5)?;
    for (event, (record, reply)) in read.iter().zip(lines) {
        let egress = (record.direction == Direction::Egress) != reply;
        ensure!(event["network"]["direction"] == if egress { "egress" } else { "ingress" }, "{event:#}");
        ensure!(event["cloud"]["instance"]["id"] == "i-1" && event["aws"]["vpcflow"]["vpc_id"] == "vpc-1");
        if record.tcp_flags == Some(0x12) {
            ensure!(event["aws"]["vpcflow"]["tcp_flags_array"] == json!(["syn", "ack"]), "{event:#}");
        }
    }
    Ok(())
}

/// Writes the records in `format` and runs the parser over them.
fn parse(fields: &str, format: &Format, records: &[Record]) -> Result<Vec<Value>> {
    let folder = TempDir::new()?;
    let (parser, log) = (folder.path().join("parser.py"), folder.path().join("log"));
    fs::write(&parser, include_str!("filebeat_rules.py"))?;
    let mut lines = Vec::new();
    format.write(records, &mut lines);
    fs::write(&log, &lines)?;
    let printed = output("python3", &[parser.as_os_str(), fields.as_ref(), log.as_os_str()])?;
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Compares what was read with the records. Returns the record and direction of each line about packets.
fn check<'a>(read: &[Value], records: &'a [Record], version: u64) -> Result<Vec<(&'a Record, bool)>> {
    let mut events = read.iter();
    let mut lines = Vec::new();
    for record in records {
        if record.count.is_some() {
            let event = events.next().context("no line of the loss")?;
            ensure!(
                event["aws"]["vpcflow"]["log_status"] == "SKIPDATA" && event["source"].is_null(),
                "{event:#}"
            );
        }
        let replies: &[bool] = match (record.event.is_traffic(), record.packets[1]) {
            (false, _) => &[],
            (true, 0) => &[false],
            (true, _) => &[false, true],
        };
        for &reply in replies {
            let event = events.next().context("too few lines")?;
            compare(event, record, reply, version).with_context(|| format!("{record}\n{event:#}"))?;
            lines.push((record, reply));
        }
    }
    ensure!(events.next().is_none(), "too many lines");
    Ok(lines)
}

fn compare(event: &Value, record: &Record, reply: bool, version: u64) -> Result<()> {
    let (mut from, mut to) = ((record.src, record.sport), (record.dst, record.dport));
    if reply {
        (from, to) = (to, from);
    }
    for (side, (net, port)) in [("source", from), ("destination", to)] {
        // A prefix is no address.
        let address =
            net.filter(|net| net.prefix_len() == net.max_prefix_len()).map(|net| net.addr().to_string());
        ensure!(event[side]["ip"].as_str() == address.as_deref(), "{side}");
        ensure!(event[side]["port"].as_u64() == port.map(u64::from), "port of the {side}");
    }
    let index = usize::from(reply);
    ensure!(
        event["source"]["packets"] == record.packets[index]
            && event["source"]["bytes"] == record.bytes[index]
    );
    ensure!(
        event["network"]["iana_number"].as_str()
            == record.protocol.map(|number| number.to_string()).as_deref()
    );
    ensure!(
        event["event"]["start"] == record.start.as_second()
            && event["event"]["end"] == record.end.as_second()
    );
    let outcome = if record.verdict == Verdict::Accept { "success" } else { "failure" };
    ensure!(event["event"]["outcome"] == outcome, "outcome");
    let own = &event["aws"]["vpcflow"];
    ensure!(
        own["version"] == version && own["interface_id"] == "eni-1" && own["log_status"] == "OK",
        "{own:#}"
    );
    Ok(())
}
