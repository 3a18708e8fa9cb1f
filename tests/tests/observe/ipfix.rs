//! IPFIX over UDP and TCP, read by nfdump and by tshark.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_observe::{
    options::FlowLogOptions,
    pcapng::{Packet, RAW_IP, Writer},
    record::{Direction, Event, Record, Verdict},
    sink::{Sinks, Target},
};
use sg_tests::lab::{Host, Lab, until};
use tempfile::TempDir;

use super::samples::{output, samples};
use crate::support::suite::Suite;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("nfdump_stores_what_was_counted", nfdump_stores_what_was_counted);
    suite.add("tshark_decodes_every_field_over_tcp", tshark_decodes_every_field);
}

const PORT: u16 = 4739;

/// Offers the samples to a sink, so many times, and waits until they are sent.
fn send(host: &Host, target: &str, times: usize) -> Result<Sinks> {
    let options = FlowLogOptions { sinks: vec![target.parse::<Target>()?], ..FlowLogOptions::default() };
    // Its threads stay in the network of the host.
    let sinks = host.inside(|| Ok(Sinks::start(&options, 7)?))?;
    let batch: Arc<[_]> = samples().into_iter().map(Arc::new).collect();
    for _ in 0..times {
        sinks.offer(&batch, None);
    }
    let sent = traffic().len() * times;
    until("every record is sent", || Ok(sinks.counted().iter().all(|sink| sink.records == sent as u64)))?;
    Ok(sinks)
}

fn traffic() -> Vec<Record> {
    samples().into_iter().filter(|record| record.event.is_traffic()).collect()
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nfdump_stores_what_was_counted(lab: Lab) -> Result<()> {
    const TIMES: usize = 50;
    let host = lab.host("collector")?;
    let folder = TempDir::new()?;
    let stored = folder.path();
    let log = fs::File::create(stored.join("log"))?;
    let mut command = Command::new("nfcapd");
    command.args(["-b", "127.0.0.1", "-p", &PORT.to_string(), "-t", "3600", "-w"]).arg(stored);
    command.stdout(log.try_clone()?).stderr(log);
    let mut collector = Running(host.spawn(&mut command)?);
    // Before it listens, what is sent is refused, counted as lost and not sent again.
    let said = || Ok(fs::read_to_string(stored.join("log"))?.contains("Startup"));
    until("nfcapd listens", said)?;
    let sinks = send(&host, &format!("ipfix+udp://127.0.0.1:{PORT}"), TIMES)?;
    let pid = Pid::from_raw(i32::try_from(collector.0.id())?);
    kill(pid, Signal::SIGTERM)?;
    collector.0.wait()?;
    let file = fs::read_dir(stored)?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("nfcapd."));
    let file = file.with_context(|| fs::read_to_string(stored.join("log")).unwrap_or_default())?.path();
    let said = fs::read_to_string(stored.join("log"))?;
    ensure!(!said.contains("Sequence") || said.contains("Sequence Errors: 0"), "lost messages: {said}");

    let read: Value = serde_json::from_str(&output(
        "nfdump",
        &[Path::new("-r"), &file, Path::new("-o"), Path::new("json")],
    )?)?;
    let flows = read.as_array().context("no array")?;
    let records = traffic();
    ensure!(flows.len() == records.len() * TIMES, "{} flows of {}", flows.len(), records.len() * TIMES);
    for (flow, record) in flows.iter().zip(records.iter().cycle()) {
        is_same(flow, record).with_context(|| format!("{record}\n{flow:#}"))?;
    }
    drop(sinks);
    Ok(())
}

/// Compares what nfdump read with the record.
fn is_same(flow: &Value, record: &Record) -> Result<()> {
    let number = |key: &str| flow[key].as_u64().unwrap_or(0);
    let text = |key: &str| flow[key].as_str().unwrap_or("").to_owned();
    ensure!([number("in_packets"), number("out_packets")] == record.packets, "packets");
    ensure!([number("in_bytes"), number("out_bytes")] == record.bytes, "bytes");
    if let (Some(src), Some(dst)) = (record.src, record.dst) {
        let family = if src.addr().is_ipv4() { "4" } else { "6" };
        ensure!(text(&format!("src{family}_addr")) == src.addr().to_string(), "source");
        ensure!(text(&format!("dst{family}_addr")) == dst.addr().to_string(), "destination");
        ensure!(number("proto") == u64::from(record.protocol.unwrap_or(255)), "protocol");
        ensure!(number("src_port") == u64::from(record.sport.unwrap_or(0)), "source port");
    }
    if let Some(icmp) = record.icmp {
        ensure!([number("icmp_type"), number("icmp_code")] == [icmp.kind, icmp.code].map(u64::from), "ICMP");
    } else {
        ensure!(number("dst_port") == u64::from(record.dport.unwrap_or(0)), "destination port");
    }
    let second = |key: &str| -> Result<i64> {
        let time: jiff::civil::DateTime = text(key).parse().context(key.to_owned())?;
        Ok(time.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_second())
    };
    // In local time, which the suite does not set.
    ensure!(second("last")? - second("first")? == 60, "times");
    Ok(())
}

/// Over TCP, where nfcapd does not listen: the messages as they came, one a UDP packet of a pcapng file.
fn tshark_decodes_every_field(lab: Lab) -> Result<()> {
    let host = lab.host("collector")?;
    let listener = host.inside(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?))?;
    let accepting = thread::spawn(move || -> Result<Vec<u8>> {
        let mut received = Vec::new();
        listener.accept()?.0.read_to_end(&mut received)?;
        Ok(received)
    });
    drop(send(&host, &format!("ipfix+tcp://127.0.0.1:{PORT}"), 1)?);
    let received = accepting.join().map_err(|_| anyhow::anyhow!("the collector"))??;

    let folder = TempDir::new()?;
    let file = folder.path().join("messages.pcapng");
    let mut writer = Writer::new(fs::File::create(&file)?, 65_535)?;
    let carried = Record::new(Event::Begin, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let mut rest = &received[..];
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (message, after) = rest.split_at(length);
        let bytes = packet(message);
        let length = u32::try_from(bytes.len())?;
        writer.write(&Packet { link: RAW_IP, time: carried.end, bytes: &bytes, length, record: &carried })?;
        rest = after;
    }
    writer.flush()?;
    let decoding = format!("udp.port=={PORT},cflow");
    let text = output("tshark", &["-r", &file.to_string_lossy(), "-d", &decoding, "-V", "-O", "cflow"])?;
    for problem in ["Malformed", "Unassigned", "Expert Info"] {
        ensure!(!text.contains(problem), "{problem}: {text}");
    }
    let flows = flows(&text);
    let records = traffic();
    ensure!(flows.len() == records.len(), "{} flows of {}: {text}", flows.len(), records.len());
    for (flow, record) in flows.iter().zip(&records) {
        for line in decoded(record) {
            ensure!(
                flow.iter().any(|found| found.starts_with(&line)),
                "{line:?} of {record} is not in {flow:#?}"
            );
        }
    }
    Ok(())
}

/// The lines of each flow, as tshark prints them.
fn flows(text: &str) -> Vec<Vec<&str>> {
    let mut flows: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().map(str::trim) {
        let number = line.strip_prefix("Flow ").map(|number| number.parse::<u32>().is_ok());
        match (number, flows.last_mut()) {
            (Some(true), _) => flows.push(Vec::new()),
            (_, Some(flow)) => flow.push(line),
            _ => {}
        }
    }
    flows
}

/// How the lines of a record begin.
fn decoded(record: &Record) -> Vec<String> {
    let mut lines = vec![
        "[Duration: 60.000000000 seconds (milliseconds)]".to_owned(),
        format!("SrcPort: {}", record.sport.unwrap_or(0)),
        format!("TCP Flags: 0x{:04x}", record.tcp_flags.unwrap_or(0)),
        format!("Octets: {}", record.bytes[0]),
        format!("Packets: {}", record.packets[0]),
        format!("Octets: {} (Reverse", record.bytes[1]),
        format!("Packets: {} (Reverse", record.packets[1]),
        "IfName: eni-1".to_owned(),
    ];
    for (name, net) in [("Src", record.src), ("Dst", record.dst)] {
        lines.extend(net.map(|net| format!("{name}Addr: {}", net.addr())));
        lines.extend(net.map(|net| format!("{name}Mask: {}", net.prefix_len())));
    }
    let (group, rule, action) = match record.direction {
        Direction::Ingress => (110, 141, 139),
        Direction::Egress => (112, 142, 140),
    };
    let mut antrea = |element: u16, value: &[u8]| {
        let value: Vec<_> = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let element =
            format!("Enterprise Private entry: (Project Antrea) Type {element}: Value (hex bytes): ");
        lines.push(element + &value.join(" "));
    };
    let name = record.group.as_ref().or(record.groups.first());
    if let Some(name) = name {
        antrea(group, name.as_bytes());
    }
    antrea(rule, record.rule.as_ref().unwrap_or(&record.reason).as_bytes());
    let verdict = match record.verdict {
        Verdict::Accept => 1,
        Verdict::Drop => 2,
        Verdict::Reject => 3,
    };
    antrea(action, &[verdict]);
    lines.push(format!(
        "Direction: {}",
        if record.direction == Direction::Ingress { "Ingress" } else { "Egress" }
    ));
    lines
}

/// A UDP packet without checksums: tshark does not check them unless it is asked to.
fn packet(payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend(PORT.to_be_bytes());
    packet.extend(PORT.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend_from_slice(payload);
    packet
}
