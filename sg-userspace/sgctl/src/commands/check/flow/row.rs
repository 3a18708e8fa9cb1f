//! A row that somebody pasted: a record of `sgctl observe` or of the flow log, or a flow of `sgctl flows`, as JSON or as text.
//!
//! It must never guess what a row does not have: it says what is missing. `mod.rs` calls it.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sg_api_types::{CheckPacket, FlowProgress, FlowRow};
use sg_common::{
    packet::{
        has_ports,
        protocol::{ICMP, ICMPV6},
    },
    verdict::Reason,
};
use sg_model::{HeaderNumbers, ProtocolName};
use sg_observe::record::{Event, IcmpType, Record, Stage};
use sg_records::{Direction, Protocol};
use thiserror::Error;

use crate::commands::flows;

/// Why a text is no row.
#[derive(Debug, Error)]
pub(super) enum RowError {
    #[error("there is no row: paste one of `sgctl observe`, of `sgctl flows` or of the flow log")]
    Nothing,
    #[error("there are {0} rows: paste one of them")]
    Several(usize),
    #[error(
        "the row is neither a record nor a flow: JSON of a record has \"event\", of a flow \"remote_port\""
    )]
    OtherJson,
    #[error("the row is no JSON, though it begins like it: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the row is a record, but {0}")]
    Record(#[source] serde_json::Error),
    #[error("the row is a flow, but {0}")]
    Flow(#[source] serde_json::Error),
    #[error("the row begins like one of `sgctl observe`, but has {0}")]
    Line(#[source] <Record as FromStr>::Err),
    #[error("a record of event {0} has no packet: paste one of begin, continue, end, denied or revoked")]
    NoPacket(Event),
    #[error("the row is a flow of `sgctl flows`, but {found:?} is no {wanted}")]
    Cell { wanted: &'static str, found: String },
    #[error(
        "the row is a line of the flow log in the format of {0}: paste one of the native format, which has everything"
    )]
    OtherFormat(&'static str),
    #[error(
        "the row is not understood: it has {0} words, a row of `sgctl flows` has {columns}, and one of `sgctl observe` begins with \
         its time",
        columns = flows::TITLES.len()
    )]
    Words(usize),
    #[error("the row has no {0}")]
    Missing(&'static str),
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// When its packets were seen last.
    pub(super) at: Option<Timestamp>,
    pub(super) nic: String,
    pub(super) device: Option<String>,
    pub(super) direction: Direction,
    pub(super) protocol: Option<u8>,
    pub(super) remote: Option<IpNet>,
    pub(super) local: Option<IpNet>,
    pub(super) port: Option<u16>,
    pub(super) source_port: Option<u16>,
    pub(super) icmp: Option<IcmpType>,
    /// accept, drop, reject, or revoked.
    pub(super) verdict: &'static str,
    /// The word of the reason; `None`: the row does not have it.
    pub(super) reason: Option<String>,
    pub(super) group: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) generation: Option<u32>,
}

/// Reads the one row in a text.
pub(super) fn read(text: &str) -> Result<Row, RowError> {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        return json(text);
    }
    let is_header = |line: &&str| line.split_whitespace().eq(flows::TITLES);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_header(line)).collect();
    match lines[..] {
        [] | ["no flows"] => Err(RowError::Nothing),
        [line] => words(line),
        _ => Err(RowError::Several(lines.len())),
    }
}

fn json(text: &str) -> Result<Row, RowError> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let mut values = values.map_err(RowError::Json)?;
    if let [Value::Array(rows)] = &mut values[..] {
        values = std::mem::take(rows);
    }
    let count = values.len();
    let (Some(value), 1) = (values.pop(), count) else {
        return Err(if count == 0 { RowError::Nothing } else { RowError::Several(count) });
    };
    let has = |field: &str| value.get(field).is_some();
    if has("event") {
        let record: Record = serde_json::from_value(value).map_err(RowError::Record)?;
        if !record.event.is_traffic() {
            return Err(RowError::NoPacket(record.event));
        }
        Ok(of_record(record))
    } else if has("remote_port") {
        Ok(of_flow(serde_json::from_value(value).map_err(RowError::Flow)?))
    } else if has("eni-id") {
        Err(RowError::OtherFormat("Alibaba Cloud"))
    } else if has("flowRecords") || has("flowLogVersion") {
        Err(RowError::OtherFormat("Azure"))
    } else {
        Err(RowError::OtherJson)
    }
}

fn words(line: &str) -> Result<Row, RowError> {
    // Cells with blanks in them are apart by two.
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = words.first().copied().unwrap_or_default();
    if first.parse::<Timestamp>().is_ok() {
        let event = words.get(1).and_then(|word| word.parse().ok());
        return match event.filter(|event: &Event| !event.is_traffic()) {
            Some(event) => Err(RowError::NoPacket(event)),
            None => line.parse().map(of_record).map_err(RowError::Line),
        };
    }
    for cells in [cells, words] {
        if let Ok(cells) = <[&str; flows::TITLES.len()]>::try_from(cells.as_slice()) {
            return cells_of_flow(cells);
        }
    }
    let words = line.split_whitespace().count();
    // Version 2 to 5 of AWS begins with its number.
    if words >= 14 && matches!(first, "2" | "3" | "4" | "5") {
        Err(RowError::OtherFormat("AWS"))
    } else {
        Err(RowError::Words(words))
    }
}

fn of_record(record: Record) -> Row {
    let (remote, local) = (record.remote(), record.local());
    let Record {
        event: _,
        start: _,
        end,
        nic,
        device,
        instance: _,
        vpc: _,
        direction,
        vlan: _,
        protocol,
        src: _,
        sport,
        dst: _,
        dport,
        icmp,
        verdict,
        stage,
        group,
        rule,
        groups,
        reason,
        generation,
        state: _,
        packets: _,
        bytes: _,
        tcp_flags: _,
        folded: _,
        message: _,
        count: _,
        live: _,
        frame: _,
    } = record;
    Row {
        at: Some(end),
        nic,
        device: Some(device).filter(|device| !device.is_empty()),
        direction: match direction {
            sg_observe::record::Direction::Ingress => Direction::Ingress,
            sg_observe::record::Direction::Egress => Direction::Egress,
        },
        protocol,
        remote,
        local,
        port: dport,
        source_port: sport,
        icmp,
        verdict: verdict.name(),
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        group,
        rule: rule.filter(|_| stage == Stage::Rule),
        groups,
        generation: Some(generation).filter(|generation| *generation != 0),
    }
}

fn of_flow(flow: FlowRow) -> Row {
    let FlowRow {
        nic,
        vlan: _,
        protocol,
        direction,
        remote,
        remote_port,
        local,
        local_port,
        state,
        group,
        rule,
        reason,
        packets: _,
        bytes: _,
    } = flow;
    let protocol = protocol.parse().ok().map(|ProtocolName(number)| number);
    // An echo has an identifier in place of ports.
    let has_ports = protocol.is_some_and(has_ports);
    let (source, destination) = match direction {
        Direction::Ingress => (remote_port, local_port),
        Direction::Egress => (local_port, remote_port),
    };
    Row {
        at: None,
        device: Some(nic.clone()),
        nic,
        direction,
        protocol,
        remote: Some(remote.into()),
        local: Some(local.into()),
        port: Some(destination).filter(|_| has_ports),
        source_port: Some(source).filter(|_| has_ports),
        icmp: None,
        verdict: if state == FlowProgress::Revoked { "revoked" } else { "accept" },
        // An agent of an earlier version does not say it.
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        group,
        rule,
        groups: Vec::new(),
        generation: None,
    }
}

/// A row of the table of `sgctl flows`.
fn cells_of_flow(cells: [&str; flows::TITLES.len()]) -> Result<Row, RowError> {
    let [nic, vlan, protocol, opened, remote, local, state, group, rule, packets, bytes] = cells;
    let wrong = |wanted, found: &str| RowError::Cell { wanted, found: found.to_owned() };
    let unless_dash = |cell: &str| Some(cell.to_owned()).filter(|cell| cell != "-");
    let name = |cell: &str| unless_dash(cell).filter(|cell| cell != flows::GONE);
    let reason = match (group, rule) {
        ("-", "-") => Reason::Default,
        (_, "-") => Reason::IntraGroup,
        _ => Reason::Rule,
    };
    let end = |wanted, text: &str| {
        let address = text.parse::<IpAddr>().ok().map(|address| (address, 0));
        let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|end| (end.ip(), end.port()));
        address.or_else(with_port).ok_or_else(|| wrong(wanted, text))
    };
    let counts = |wanted, text: &str| {
        let counts =
            text.split_once('/').and_then(|(one, other)| Some([one.parse().ok()?, other.parse().ok()?]));
        counts.ok_or_else(|| wrong(wanted, text))
    };
    let direction = Direction::ALL.into_iter().find(|direction| direction.to_string() == opened);
    let state = serde_json::from_value(Value::from(state)).map_err(|_| wrong("state", state))?;
    let (remote, remote_port) = end("remote", remote)?;
    let (local, local_port) = end("local address", local)?;
    let ProtocolName(_) = protocol.parse().map_err(|_| wrong("protocol", protocol))?;
    Ok(of_flow(FlowRow {
        nic: nic.to_owned(),
        vlan: unless_dash(vlan),
        protocol: protocol.to_owned(),
        direction: direction.ok_or_else(|| wrong("direction", opened))?,
        remote,
        remote_port,
        local,
        local_port,
        state,
        group: name(group),
        rule: name(rule),
        reason: reason.name().to_owned(),
        packets: counts("number of packets", packets)?,
        bytes: counts("number of bytes", bytes)?,
    }))
}

impl Row {
    /// The packet that the row is about, as one that starts a flow.
    pub(super) fn packet(&self) -> Result<CheckPacket, RowError> {
        let missing = RowError::Missing;
        let protocol = self
            .protocol
            .ok_or(missing("protocol: its packets were not parsed, or it is a sum over several"))?;
        let remote = self.remote.ok_or(missing("remote: it stands for all of them"))?;
        let local = self.local.ok_or(missing("local address: it is a sum over several"))?;
        if self.nic.is_empty() {
            return Err(missing("NIC"));
        }
        if has_ports(protocol) && self.port.is_none() {
            return Err(missing("destination port: it is a sum over several"));
        }
        let is_icmp = [ICMP, ICMPV6].contains(&protocol);
        let numbers = match self.icmp.filter(|_| is_icmp) {
            Some(IcmpType { kind, code }) => HeaderNumbers::icmp(kind, code),
            None => HeaderNumbers::NONE,
        };
        Ok(CheckPacket {
            nic: self.nic.clone(),
            direction: self.direction,
            protocol: Protocol::Number(protocol),
            remote: remote.addr(),
            local: Some(local.addr()),
            port: self.port,
            source_port: self.source_port,
            numbers,
        })
    }

    /// The prefix of remotes that the row stands for, if it is more than one.
    pub(super) fn folded(&self) -> Option<IpNet> {
        self.remote.filter(|remote| remote.prefix_len() < remote.max_prefix_len())
    }

    /// Its packets in words: `ingress tcp 192.0.2.7:5 -> 10.0.0.5:443`.
    pub(super) fn words(&self) -> String {
        let (source, destination) = match self.direction {
            Direction::Ingress => (self.remote, self.local),
            Direction::Egress => (self.local, self.remote),
        };
        let end = |net: Option<IpNet>, port: Option<u16>| {
            let net = match net {
                None => "any".to_owned(),
                Some(net) if net.prefix_len() < net.max_prefix_len() => net.to_string(),
                Some(IpNet::V6(net)) if port.is_some() => format!("[{}]", net.addr()),
                Some(net) => net.addr().to_string(),
            };
            port.map_or_else(|| net.clone(), |port| format!("{net}:{port}"))
        };
        let protocol =
            self.protocol.map_or_else(|| "-".to_owned(), |number| ProtocolName(number).to_string());
        let icmp =
            self.icmp.map(|icmp| format!(" type {} code {}", icmp.kind, icmp.code)).unwrap_or_default();
        let (source, destination) = (end(source, self.source_port), end(destination, self.port));
        format!("{} {protocol}{icmp} {source} -> {destination}", self.direction)
    }
}

#[cfg(test)]
mod tests;
