//! Packets with the rule as their comment, read by capinfos and tshark.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_observe::{
    pcapng::{ETHERNET, Packet, RAW_IP, Writer},
    record::Record,
};
use sg_tests::lab::Lab;
use tempfile::TempDir;

use super::samples::{output, samples};
use crate::support::suite::Suite;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("every_packet_has_its_rule_as_comment", every_packet_has_its_rule);
}

const SNAP_LENGTH: u32 = 60;

fn every_packet_has_its_rule(_: Lab) -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("packets.pcapng");
    let path = path.to_string_lossy();
    let mut writer = Writer::new(File::create(&*path)?, SNAP_LENGTH)?;
    let records: Vec<Record> = samples().into_iter().filter(|record| record.event.is_traffic()).collect();
    let mut frame = vec![0; 14];
    frame[12] = 8;
    frame.extend([
        0x45, 0, 0, 86, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 10, 0, 0, 5, 0xc3, 0x51, 0, 53, 0, 66, 0, 0,
    ]);
    frame.resize(100, 0);
    for (number, record) in records.iter().enumerate() {
        let time = record.end.checked_add(jiff::SignedDuration::from_nanos(i64::try_from(number)?))?;
        let (link, bytes) = if number % 2 == 0 { (ETHERNET, &frame[..]) } else { (RAW_IP, &frame[14..]) };
        writer.write(&Packet { link, time, bytes, length: u32::try_from(bytes.len())?, record })?;
    }
    writer.flush()?;

    let about = output("capinfos", &[&*path])?;
    for line in [
        format!("Number of packets:   {}", records.len()),
        "File timestamp precision:  nanoseconds (9)".into(),
        "Packet size limit:   file hdr: (not set)".into(),
        "Number of interfaces in file: 2".into(),
    ] {
        ensure!(about.contains(&line), "{line:?} is not in {about}");
    }
    let read: Value = serde_json::from_str(&output("tshark", &["-r", &path, "-T", "json"])?)?;
    let packets = read.as_array().context("no array")?;
    ensure!(packets.len() == records.len());
    for (number, (packet, record)) in packets.iter().zip(&records).enumerate() {
        let layers = &packet["_source"]["layers"];
        let said =
            layers["pkt_comment"]["frame.comment"].as_str().or(layers["frame"]["frame.comment"].as_str());
        let said = said.with_context(|| format!("no comment: {layers:#}"))?;
        let rule = record.rule.as_deref().unwrap_or(&record.reason);
        ensure!(said.starts_with(record.verdict.name()) && said.contains(rule), "{said:?} of {record}");
        let layer = &layers["frame"];
        ensure!(layer["frame.cap_len"] == "60", "{layer:#}");
        ensure!(layer["frame.len"] == if number % 2 == 0 { "100" } else { "86" }, "{layer:#}");
        let time = layer["frame.time_epoch"].as_str().context("no time")?;
        ensure!(time.ends_with(&format!(".{number:09}")), "{time}");
        ensure!(layers["ip"]["ip.src"] == "192.0.2.7" && layers["udp"]["udp.dstport"] == "53", "{layers:#}");
    }
    Ok(())
}
