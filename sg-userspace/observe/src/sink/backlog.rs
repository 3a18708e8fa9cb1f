//! Formatted records that could not be delivered yet, within a limit of memory.
//!
//! What does not fit is lost and counted; once there is room again, a `lost` record says so in its place. It must never know a
//! file or a socket. The sinks that write text call it.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;

use super::counters::{Counters, Why};
use crate::{format::Format, record::Record};

/// Bytes that are kept at most.
const MAX_BYTES: usize = 16 << 20;
/// Records that are formatted, and written, at a time.
const CHUNK: usize = 1024;
/// The buffer of a chunk that had more than this is not used again.
const MAX_BUFFER: usize = 1 << 20;

/// Whole lines.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Bytes that need not be written any more.
    pub(super) written: usize,
    pub(super) records: u64,
}

#[derive(Debug)]
pub(super) struct Backlog {
    format: Format,
    counters: Arc<Counters>,
    why: Why,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Records that were lost and of which the collector has not been told: why, how many, since when.
    lost: Vec<(Why, u64, Timestamp)>,
    spare: Vec<u8>,
}

impl Backlog {
    pub(super) fn new(format: Format, counters: Arc<Counters>, why: Why) -> Self {
        Self { format, counters, why, chunks: VecDeque::new(), bytes: 0, lost: Vec::new(), spare: Vec::new() }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Formats `records` behind what is there, a chunk at a time. `drain` is called where there is something to write.
    pub(super) fn add(&mut self, records: &[Arc<Record>], mut drain: impl FnMut(&mut Self)) {
        for chunk in records.chunks(CHUNK) {
            if self.bytes >= MAX_BYTES {
                drain(self);
            }
            if self.bytes >= MAX_BYTES {
                self.counters.lost(chunk.len() as u64, self.why);
                self.tell_loss(chunk.len() as u64, self.why);
                continue;
            }
            self.write_losses();
            self.push(chunk.len() as u64, |format, to| format.write(chunk, to));
            drain(self);
        }
    }

    pub(super) fn add_no_data(&mut self, interval: &Record) {
        if self.bytes < MAX_BYTES {
            self.push(0, |format, to| format.write_no_data(interval, to));
        }
    }

    /// Says behind what is there how many records were lost, if there is room.
    pub(super) fn write_losses(&mut self) {
        if self.bytes >= MAX_BYTES {
            return;
        }
        for (why, count, since) in std::mem::take(&mut self.lost) {
            let lost = Record::lost(since, Timestamp::now(), count, why.message());
            self.push(0, |format, to| format.write(&[&lost], to));
        }
    }

    /// The collector is to be told that records were lost, which have been counted.
    pub(super) fn tell_loss(&mut self, records: u64, why: Why) {
        match self.lost.iter_mut().find(|(cause, ..)| *cause == why) {
            Some((_, count, _)) => *count = count.saturating_add(records),
            None => self.lost.push((why, records, Timestamp::now())),
        }
    }

    fn push(&mut self, records: u64, write: impl FnOnce(&Format, &mut Vec<u8>)) {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        write(&self.format, &mut bytes);
        if bytes.is_empty() {
            // Nothing of it is in this format, so nothing of it waits either.
            self.spare = bytes;
            match self.chunks.back_mut() {
                Some(last) => last.records = last.records.saturating_add(records),
                None => self.counters.delivered(records, 0),
            }
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.chunks.push_back(Chunk { bytes, written: 0, records });
    }

    /// The oldest chunk.
    pub(super) fn first(&mut self) -> Option<&mut Chunk> {
        self.chunks.front_mut()
    }

    /// The oldest chunk has been written.
    pub(super) fn remove_first(&mut self) {
        let Some(Chunk { bytes, written: _, records }) = self.chunks.pop_front() else { return };
        self.counters.delivered(records, bytes.len());
        self.bytes = self.bytes.saturating_sub(bytes.len());
        if bytes.capacity() <= MAX_BUFFER {
            self.spare = bytes;
        }
    }

    /// Nobody will try again.
    pub(super) fn finish(&mut self) {
        let left: u64 = self.chunks.drain(..).map(|chunk| chunk.records).sum();
        self.bytes = 0;
        self.counters.lost(left, Why::Ended);
    }
}
