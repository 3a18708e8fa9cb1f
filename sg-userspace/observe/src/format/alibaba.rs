//! The fields of VPC flow logs of Alibaba Cloud, as its Simple Log Service stores them: a JSON object with texts as values.
//!
//! A flow with packets in both directions is two of them. What this project does not have is `-`. Called by `Format`.

use super::{Side, Status, bytes, sides};
use crate::record::Record;

pub(super) fn write(record: &Record, to: &mut Vec<u8>) {
    match sides(record) {
        Ok(sides) => sides.for_each(|side| write_side(side, to)),
        Err(Some(status)) => without_traffic(record, status, to),
        Err(None) => {}
    }
}

fn write_side(side: Side<'_>, to: &mut Vec<u8>) {
    begin(side.record, to);
    let ((src, sport), (dst, dport)) = (side.source(), side.destination());
    let mut field = |name: &[u8], write: &dyn Fn(&mut Vec<u8>)| {
        to.extend_from_slice(name);
        write(to);
    };
    field(br#""srcaddr":""#, &|to| bytes::address(src, to));
    field(br#"","srcport":""#, &|to| bytes::number_or_dash(sport, to));
    field(br#"","dstaddr":""#, &|to| bytes::address(dst, to));
    field(br#"","dstport":""#, &|to| bytes::number_or_dash(dport, to));
    field(br#"","protocol":""#, &|to| bytes::number_or_dash(side.record.protocol, to));
    field(br#"","direction":""#, &|to| to.extend_from_slice(if side.is_ingress() { b"in" } else { b"out" }));
    field(br#"","packets":""#, &|to| bytes::number(side.packets(), to));
    field(br#"","bytes":""#, &|to| bytes::number(side.bytes(), to));
    field(br#"","start":""#, &|to| bytes::seconds(side.record.start, to));
    field(br#"","end":""#, &|to| bytes::seconds(side.record.end, to));
    field(br#"","log-status":"OK","action":""#, &|to| to.extend_from_slice(side.action().as_bytes()));
    field(br#"","tcp-flags":""#, &|to| bytes::number_or_dash(side.tcp_flags(), to));
    to.extend_from_slice(b"\",\"traffic_path\":\"-\"}\n");
}

/// An interval in which the NIC had no traffic, or records were lost.
pub(super) fn without_traffic(record: &Record, status: Status, to: &mut Vec<u8>) {
    begin(record, to);
    to.extend_from_slice(
        br#""srcaddr":"-","srcport":"-","dstaddr":"-","dstport":"-","protocol":"-","direction":"-","#,
    );
    to.extend_from_slice(br#""packets":"-","bytes":"-","start":""#);
    bytes::seconds(record.start, to);
    to.extend_from_slice(br#"","end":""#);
    bytes::seconds(record.end, to);
    to.extend_from_slice(br#"","log-status":""#);
    to.extend_from_slice(status.name().as_bytes());
    to.extend_from_slice(b"\",\"action\":\"-\",\"tcp-flags\":\"-\",\"traffic_path\":\"-\"}\n");
}

/// The fields of the NIC.
fn begin(record: &Record, to: &mut Vec<u8>) {
    let mut name = |key: &[u8], name: Option<&str>| {
        to.extend_from_slice(key);
        match name.filter(|name| !name.is_empty()) {
            Some(name) => bytes::in_json(name, to),
            None => to.push(b'-'),
        }
    };
    name(br#"{"__topic__":"flow_log","version":"1","vswitch-id":"-","vm-id":""#, record.instance.as_deref());
    name(br#"","vpc-id":""#, record.vpc.as_deref());
    name(br#"","account-id":"-","eni-id":""#, Some(&record.nic));
    to.extend_from_slice(br#"","region":"-","#);
}
