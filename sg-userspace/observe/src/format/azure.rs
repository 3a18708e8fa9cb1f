//! Virtual network flow logs of Azure, version 4: flows grouped by group and rule, for each NIC.
//!
//! A line is a document with one entry of `records` a NIC. `B` has no counts there, so what a flow's first record counts is in a
//! `C` behind it. Losses and changes of the policy have no place in this format. Called by `Format`.

use std::borrow::Borrow;

use super::bytes;
use crate::record::{Direction, Event, Record, Stage};

/// By NIC, group and rule: what a place in the document is for.
type Place<'a> = (&'a str, &'a [String], &'a str);

pub(super) fn write<R: Borrow<Record>>(records: &[R], to: &mut Vec<u8>) {
    let traffic = records.iter().map(Borrow::borrow).filter(|record| record.event.is_traffic());
    let mut records: Vec<(&str, Place<'_>, &Record)> =
        traffic.map(|record| (record.nic.as_str(), place(record), record)).collect();
    // Stable: a flow's begin stays before its end.
    records.sort_by(|(nic, place, _), (other, second, _)| (nic, place).cmp(&(other, second)));
    if records.is_empty() {
        return;
    }
    to.extend_from_slice(b"{\"records\":[");
    let mut earlier: Option<(&str, &str, &[String], &str)> = None;
    for (nic, (group, groups, rule), record) in records {
        match earlier {
            Some((last, ..)) if last != nic => {
                to.extend_from_slice(b"]}]}]}},");
                begin_nic(record, to);
                begin_group(group, groups, to);
                begin_rule(rule, to);
            }
            Some((_, last, evaluated, _)) if (last, evaluated) != (group, groups) => {
                to.extend_from_slice(b"]}]},");
                begin_group(group, groups, to);
                begin_rule(rule, to);
            }
            Some((_, _, _, last)) if last != rule => {
                to.extend_from_slice(b"]},");
                begin_rule(rule, to);
            }
            Some(_) => to.push(b','),
            None => {
                begin_nic(record, to);
                begin_group(group, groups, to);
                begin_rule(rule, to);
            }
        }
        tuples(record, to);
        earlier = Some((nic, group, groups, rule));
    }
    to.extend_from_slice(b"]}]}]}}]}\n");
}

fn place(record: &Record) -> Place<'_> {
    let rule = record.rule.as_deref().unwrap_or(&record.reason);
    match record.stage {
        Stage::Rule | Stage::IntraGroup => (record.group.as_deref().unwrap_or(""), &[], rule),
        Stage::Default => ("", &record.groups, "default"),
        Stage::Exception | Stage::Reason => ("", &[], &record.reason),
    }
}

fn begin_nic(record: &Record, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"time\":\"");
    bytes::display(record.end, to);
    to.extend_from_slice(
        b"\",\"flowLogVersion\":4,\"flowLogGUID\":\"\",\"macAddress\":\"\",\"category\":\"FlowLogFlowEvent\",\
          \"flowLogResourceID\":\"/sgd\",\"targetResourceID\":\"",
    );
    bytes::in_json(&record.nic, to);
    to.extend_from_slice(b"\",\"operationName\":\"FlowLogFlowEvent\",\"flowRecords\":{\"flows\":[");
}

fn begin_group(group: &str, groups: &[String], to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"aclID\":\"");
    if group.is_empty() && groups.is_empty() {
        to.extend_from_slice(b"unspecified");
    }
    bytes::in_json(group, to);
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            to.push(b',');
        }
        bytes::in_json(group, to);
    }
    to.extend_from_slice(b"\",\"flowGroups\":[");
}

fn begin_rule(rule: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"rule\":\"");
    bytes::in_json(if rule.is_empty() { "unspecified" } else { rule }, to);
    to.extend_from_slice(b"\",\"flowTuples\":[");
}

fn tuples(record: &Record, to: &mut Vec<u8>) {
    match record.event {
        Event::Begin => {
            tuple(record, b'B', false, to);
            if record.packets != [0; 2] {
                to.push(b',');
                tuple(record, b'C', true, to);
            }
        }
        Event::Continue => tuple(record, b'C', true, to),
        Event::End => tuple(record, b'E', true, to),
        Event::Denied | Event::Revoked | Event::Policy | Event::Lost => tuple(record, b'D', true, to),
    }
}

fn tuple(record: &Record, state: u8, counted: bool, to: &mut Vec<u8>) {
    let mut comma = |write: &dyn Fn(&mut Vec<u8>)| {
        write(to);
        to.push(b',');
    };
    comma(&|to| {
        to.push(b'"');
        bytes::milliseconds(if counted { record.end } else { record.start }, to);
    });
    comma(&|to| bytes::address(record.src, to));
    comma(&|to| bytes::address(record.dst, to));
    comma(&|to| bytes::number(record.sport.unwrap_or(0).into(), to));
    comma(&|to| bytes::number(record.dport.unwrap_or(0).into(), to));
    comma(&|to| bytes::number_or_dash(record.protocol, to));
    comma(&|to| to.push(if record.direction == Direction::Ingress { b'I' } else { b'O' }));
    comma(&|to| to.push(state));
    comma(&|to| to.extend_from_slice(b"NX"));
    let ([sent, received], [sent_bytes, received_bytes]) =
        if counted { (record.packets, record.bytes) } else { ([0; 2], [0; 2]) };
    comma(&|to| bytes::number(sent, to));
    comma(&|to| bytes::number(sent_bytes, to));
    comma(&|to| bytes::number(received, to));
    bytes::number(received_bytes, to);
    to.push(b'"');
}
