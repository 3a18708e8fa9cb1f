//! Packets as a pcapng file, each with its verdict and rule as a comment.
//!
//! An encoder of its own: of crate `pcap-file`, 2.0 is from 2022 and brings a second `thiserror`, 3.0 is a release candidate, and
//! both want a block built of owned parts for every packet. This writes three kinds of blocks into a buffer that is used again. It
//! must never know where packets come from. `sgctl observe -w` calls it.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use jiff::Timestamp;
use sg_model::text::escaped;

use crate::record::{Direction, Record};

/// Link type of a device with Ethernet headers.
pub const ETHERNET: u16 = 1;
/// Link type of a device without: packets begin with their IP header.
pub const RAW_IP: u16 = 101;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const OPTION_COMMENT: u16 = 1;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_FLAGS: u16 = 2;
/// Value of [`OPTION_RESOLUTION`]: time is in units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;
const SECTION_APPLICATION: u16 = 4;

/// A packet that was captured, or its begin.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Link type of its device, [`ETHERNET`] or [`RAW_IP`].
    pub link: u16,
    /// When it was judged.
    pub time: Timestamp,
    /// Its begin.
    pub bytes: &'a [u8],
    /// How long it was.
    pub length: u32,
    /// What happened to it.
    pub record: &'a Record,
}

/// Writes a file.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    /// Bytes of a packet that are written at most.
    snap_length: u32,
    /// Numbers of the interfaces, by NIC and link type.
    interfaces: HashMap<(String, u16), u32>,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file. Of each packet, `snap_length` bytes are written at most.
    ///
    /// # Errors
    /// Writing failed.
    pub fn new(to: W, snap_length: u32) -> io::Result<Self> {
        let mut writer = Self { to, snap_length, interfaces: HashMap::new(), block: Vec::new() };
        let block = writer.begin(SECTION_HEADER);
        block.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        block.extend_from_slice(&1_u16.to_le_bytes());
        block.extend_from_slice(&0_u16.to_le_bytes());
        // The length of the section is not known.
        block.extend_from_slice(&u64::MAX.to_le_bytes());
        option(SECTION_APPLICATION, b"sgctl observe", block);
        end_options(block);
        writer.end()?;
        Ok(writer)
    }

    /// Writes a packet, and before it its interface, if it is the first one there.
    ///
    /// # Errors
    /// Writing failed.
    pub fn write(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let Packet { link, time, bytes, length, record } = *packet;
        let interface = self.interface(record, link)?;
        let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or(0);
        let kept = bytes.len().min(self.snap_length as usize);
        let captured = bytes.get(..kept).unwrap_or_default();
        let block = self.begin(PACKET);
        block.extend_from_slice(&interface.to_le_bytes());
        block.extend_from_slice(&((nanoseconds >> 32) as u32).to_le_bytes());
        block.extend_from_slice(&(nanoseconds as u32).to_le_bytes());
        block.extend_from_slice(&(captured.len() as u32).to_le_bytes());
        // A length below what was captured would be no length.
        block.extend_from_slice(&length.max(bytes.len() as u32).to_le_bytes());
        block.extend_from_slice(captured);
        pad(block);
        option(OPTION_COMMENT, comment(record).as_bytes(), block);
        // Inbound or outbound, as the NIC's owner sees it.
        let flags: u32 = match record.direction {
            Direction::Ingress => 1,
            Direction::Egress => 2,
        };
        option(OPTION_FLAGS, &flags.to_le_bytes(), block);
        end_options(block);
        self.end()
    }

    /// What it writes to.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.to
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// Writing failed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn interface(&mut self, record: &Record, link: u16) -> io::Result<u32> {
        let name = if record.nic.is_empty() { &record.device } else { &record.nic };
        if let Some(number) = self.interfaces.get(&(name.clone(), link)) {
            return Ok(*number);
        }
        let snap_length = self.snap_length;
        let block = self.begin(INTERFACE);
        block.extend_from_slice(&link.to_le_bytes());
        block.extend_from_slice(&0_u16.to_le_bytes());
        block.extend_from_slice(&snap_length.to_le_bytes());
        option(OPTION_NAME, escaped(name).as_bytes(), block);
        option(OPTION_RESOLUTION, &[NANOSECONDS], block);
        end_options(block);
        self.end()?;
        let number = self.interfaces.len() as u32;
        self.interfaces.insert((name.clone(), link), number);
        Ok(number)
    }

    fn begin(&mut self, kind: u32) -> &mut Vec<u8> {
        self.block.clear();
        self.block.extend_from_slice(&kind.to_le_bytes());
        self.block.extend_from_slice(&[0; 4]);
        &mut self.block
    }

    /// Writes the block with its length at both ends.
    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() as u32).saturating_add(4).to_le_bytes();
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&length);
        }
        self.block.extend_from_slice(&length);
        self.to.write_all(&self.block)
    }
}

/// `drop by web/no-https (generation 7)`: what a reader of packets wants to know.
fn comment(record: &Record) -> String {
    let decider = match (&record.group, &record.rule) {
        (Some(group), Some(rule)) => format!("{group}/{rule}"),
        (None, Some(rule)) => rule.clone(),
        (_, None) => record.reason.clone(),
    };
    let groups =
        if record.groups.is_empty() { String::new() } else { format!(" of {}", record.groups.join(", ")) };
    let comment = format!("{} by {decider}{groups} (generation {})", record.verdict, record.generation);
    escaped(&comment).into_owned()
}

/// An option, filled up to a multiple of four bytes. One that is too long is truncated at a character.
fn option(code: u16, value: &[u8], block: &mut Vec<u8>) {
    let most = value.len().min(4096);
    let whole =
        (0..=most).rev().find(|end| value.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80)).unwrap_or(0);
    let value = value.get(..whole).unwrap_or_default();
    block.extend_from_slice(&code.to_le_bytes());
    block.extend_from_slice(&(value.len() as u16).to_le_bytes());
    block.extend_from_slice(value);
    pad(block);
}

fn end_options(block: &mut Vec<u8>) {
    block.extend_from_slice(&[0; 4]);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::tests::record;

    /// Blocks as kind and body; both lengths of each are compared.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let length = word(&file[4..]) as usize;
            let (block, rest) = file.split_at(length);
            assert_eq!(word(&block[length - 4..]) as usize, length);
            assert_eq!(length % 4, 0);
            blocks.push((word(block), &block[8..length - 4]));
            file = rest;
        }
        blocks
    }

    proptest! {
        #[test]
        fn every_packet_is_a_block_of_its_interface(
            packets in vec((record(), vec(any::<u8>(), 0..200), any::<bool>()), 0..20),
            snap_length in 0_u32..150,
        ) {
            let mut writer = Writer::new(Vec::new(), snap_length).unwrap();
            for (record, bytes, raw) in &packets {
                let (link, length) = (if *raw { RAW_IP } else { ETHERNET }, bytes.len() as u32 + 7);
                writer.write(&Packet { link, time: record.end, bytes, length, record }).unwrap();
            }
            let file = writer.to;
            let mut interfaces = 0;
            let mut written = packets.iter();
            for (kind, body) in blocks(&file) {
                let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
                match kind {
                    SECTION_HEADER => prop_assert_eq!(word(0), BYTE_ORDER),
                    INTERFACE => interfaces += 1,
                    _ => {
                        let (record, bytes, _) = written.next().unwrap();
                        prop_assert!(word(0) < interfaces);
                        let time = u64::from(word(4)) << 32 | u64::from(word(8));
                        prop_assert_eq!(i128::from(time), record.end.as_nanosecond());
                        let captured = word(12) as usize;
                        prop_assert_eq!(captured, bytes.len().min(snap_length as usize));
                        prop_assert_eq!(word(16) as usize, bytes.len() + 7);
                        prop_assert_eq!(&body[20..20 + captured], &bytes[..captured]);
                    }
                }
            }
            prop_assert!(written.next().is_none());
        }
    }

    #[test]
    fn a_comment_names_verdict_and_rule() {
        let mut record =
            Record::new(crate::record::Event::Denied, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        record.verdict = crate::record::Verdict::Drop;
        record.generation = 7;
        "malformed".clone_into(&mut record.reason);
        assert_eq!(comment(&record), "drop by malformed (generation 7)");
        record.rule = Some("default".into());
        record.groups = vec!["web".into(), "db".into()];
        assert_eq!(comment(&record), "drop by default of web, db (generation 7)");
        (record.group, record.rule) = (Some("web".into()), Some("x\n\u{1b}[2J".into()));
        record.groups.clear();
        assert_eq!(comment(&record), r"drop by web/x\n\u{1b}[2J (generation 7)");
    }

    #[test]
    fn a_long_comment_is_truncated_at_a_character() {
        let mut block = Vec::new();
        option(OPTION_COMMENT, ("x".to_owned() + &"ü".repeat(3000)).as_bytes(), &mut block);
        let length = usize::from(u16::from_le_bytes([block[2], block[3]]));
        assert_eq!(length, 4095);
        assert!(str::from_utf8(&block[4..4 + length]).is_ok());
    }
}
