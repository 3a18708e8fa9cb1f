//! A wire with delay: a relay in user space that forwards IPv4 frames after a while.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{frame::FrameSocket, host::Host};
use crate::packet::{TCP, checksum};

const IPV4: u16 = 0x0800;
/// How long a stopped relay may still wait for a frame.
const PATIENCE: Duration = Duration::from_millis(50);
const LONGEST: usize = 64 * 1024;

/// Forwards frames between two devices of a host, both ways. It does not resolve addresses: its neighbours must know each
/// other's. Dropping it ends it.
#[derive(Debug)]
pub struct Relay {
    is_over: Arc<AtomicBool>,
    ways: Vec<JoinHandle<Result<()>>>,
}

impl Relay {
    /// Forwards frames after `delay`, in each direction.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn start(host: &Host, devices: [&str; 2], delay: Duration) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut ways = Vec::new();
        let [one, other] = devices;
        for (from, to) in [(one, other), (other, one)] {
            let from = FrameSocket::open(host, from, IPV4)?;
            let to = FrameSocket::open(host, to, IPV4)?;
            let is_over = is_over.clone();
            ways.push(thread::spawn(move || pass_on(&from, &to, delay, &is_over)));
        }
        Ok(Self { is_over, ways })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for way in self.ways.drain(..) {
            // A test that waited for a frame in vain has reported it.
            let _ = way.join();
        }
    }
}

fn pass_on(from: &FrameSocket, to: &FrameSocket, delay: Duration, is_over: &AtomicBool) -> Result<()> {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = vec![0; LONGEST];
    while !is_over.load(Ordering::Relaxed) {
        let next_due =
            under_way.front().map_or(PATIENCE, |(due, _)| due.saturating_duration_since(Instant::now()));
        if let Some(frame) = from.next(next_due.min(PATIENCE), &mut buffer)? {
            let mut frame = frame.to_vec();
            finish(&mut frame);
            under_way.push_back((Instant::now() + delay, frame));
        }
        while under_way.front().is_some_and(|&(due, _)| due <= Instant::now()) {
            if let Some((_, frame)) = under_way.pop_front() {
                to.send(&frame)?;
            }
        }
    }
    Ok(())
}

/// Writes the checksum of TCP, which a veth pair leaves to a hardware device that never comes.
fn finish(frame: &mut [u8]) {
    let Some(ip) = frame.get(14..34) else { return };
    let (header, length) = (usize::from(ip[0] & 15) * 4, usize::from(u16::from_be_bytes([ip[2], ip[3]])));
    if ip[9] != TCP || length < header + 20 {
        return;
    }
    let pseudo = [&ip[12..20], &[0, TCP], &((length - header) as u16).to_be_bytes()].concat();
    let Some(segment) = frame.get_mut(14 + header..14 + length) else { return };
    segment[16..18].fill(0);
    let sum = checksum(&[&pseudo, &*segment].concat());
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}
