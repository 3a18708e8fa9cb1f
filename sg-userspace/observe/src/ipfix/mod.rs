//! IPFIX (RFC 7011): records as messages for a collector, with the counters of both directions (RFC 5103).
//!
//! It makes bytes and must never know sockets. What IANA has no element for - group, rule and verdict - is in the registered
//! elements of Project Antrea (PEN 56506), which collectors of network policies know. The sink `ipfix` calls it.

mod element;
mod template;

use std::borrow::Borrow;

use jiff::Timestamp;

use self::template::Template;
use crate::record::Record;

/// The largest message over UDP: fits a path with an MTU of 1,500, over IPv6 and with a tunnel's header before it.
pub const MAX_UDP: usize = 1400;
/// The largest message over TCP. IPFIX allows 65,535; this bounds what a lost connection loses.
pub const MAX_TCP: usize = 16_384;

const VERSION: u16 = 10;
const SET_HEADER: usize = 4;
const TEMPLATE_SET: u16 = 2;

/// Makes messages of one observation domain and one transport session.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Tells several exporters behind one address apart.
    domain: u32,
    max: usize,
    /// Data records of earlier messages, modulo 2^32.
    sequence: u32,
}

impl Encoder {
    /// An encoder of messages of `max` bytes at most, [`MAX_UDP`] or [`MAX_TCP`].
    #[must_use]
    pub const fn new(domain: u32, max: usize) -> Self {
        Self { domain, max, sequence: 0 }
    }

    /// Begins a session over a new connection, whose collector knows no template and counts from 0.
    pub const fn begin_session(&mut self) {
        self.sequence = 0;
    }

    /// Takes back that the last `records` records were sent.
    pub const fn take_back(&mut self, records: u32) {
        self.sequence = self.sequence.wrapping_sub(records);
    }

    /// Writes a message with all templates into `to`, which is emptied before. A collector needs it before data: once a
    /// connection, and every few minutes over UDP.
    pub fn templates(&self, now: Timestamp, to: &mut Vec<u8>) {
        self.begin(now, to);
        let start = begin_set(TEMPLATE_SET, to);
        for template in Template::ALL {
            template.describe(to);
        }
        end_set(start, to);
        end(to);
    }

    /// Writes a message with as many of `records` as fit into `to`, which is emptied before.
    ///
    /// Returns how many records it has looked at, and how many of them are in the message: those without traffic have no place
    /// in IPFIX. If none has any, there is no message.
    pub fn data<R: Borrow<Record>>(&mut self, records: &[R], now: Timestamp, to: &mut Vec<u8>) -> Taken {
        self.begin(now, to);
        let (mut looked_at, mut written) = (0, 0_u32);
        let mut open: Option<(Template, usize)> = None;
        for record in records {
            let record: &Record = record.borrow();
            if !record.event.is_traffic() {
                looked_at += 1;
                continue;
            }
            let template = Template::of(record);
            let (before, was_open) = (to.len(), open);
            if open.is_none_or(|(current, _)| current != template) {
                if let Some((_, start)) = open {
                    end_set(start, to);
                }
                open = Some((template, begin_set(template.id(), to)));
            }
            template.write(record, to);
            if to.len() > self.max && written > 0 {
                to.truncate(before);
                open = was_open;
                break;
            }
            written = written.wrapping_add(1);
            looked_at += 1;
        }
        if let Some((_, start)) = open {
            end_set(start, to);
        }
        if written == 0 {
            to.clear();
        } else {
            end(to);
            self.sequence = self.sequence.wrapping_add(written);
        }
        Taken { looked_at, written }
    }

    fn begin(&self, now: Timestamp, to: &mut Vec<u8>) {
        to.clear();
        to.extend_from_slice(&VERSION.to_be_bytes());
        to.extend_from_slice(&[0; 2]);
        to.extend_from_slice(&u32::try_from(now.as_second()).unwrap_or(0).to_be_bytes());
        to.extend_from_slice(&self.sequence.to_be_bytes());
        to.extend_from_slice(&self.domain.to_be_bytes());
    }
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Records that need not be offered again.
    pub looked_at: usize,
    /// Records in the message.
    pub written: u32,
}

/// Begins a set and returns where.
fn begin_set(id: u16, to: &mut Vec<u8>) -> usize {
    let start = to.len();
    to.extend_from_slice(&id.to_be_bytes());
    to.extend_from_slice(&[0; 2]);
    start
}

/// Writes the length of the set at `start`.
fn end_set(start: usize, to: &mut [u8]) {
    let length = u16::try_from(to.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(place) = to.get_mut(start + 2..start + SET_HEADER) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes the length of the message.
fn end(to: &mut [u8]) {
    let length = u16::try_from(to.len()).unwrap_or(u16::MAX);
    if let Some(place) = to.get_mut(2..4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
