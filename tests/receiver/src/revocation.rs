//! A rule that is gone: whatever either end of a connection that it had accepted sends, and however long both wait, nothing
//! of that connection reaches the server.
//!
//! Three acts: under a policy that accepts it the connection comes about; under one that does not, both ends send what
//! they like; then, after longer than any end of a connection is remembered for, once more.

use std::{fmt::Write as _, thread::sleep, time::Duration};

use anyhow::Result;
use fastrand::Rng;

use crate::{
    address::ends,
    frames::{
        Ends, Family, Link, Packet, frame,
        transport::{flags, segment},
    },
    report::All,
    rules::{OPEN, Policy},
    run::Run,
    seen::By,
    story::{Case, Sends, Step},
    tally::{Finding, Wrong},
};

/// Connections of a run.
const CONNECTIONS: u64 = 96;
/// As many at once: fewer frames than a queue of a veth device holds.
const AT_ONCE: usize = 8;
/// Longer than the end of a connection is remembered for.
const WAIT: Duration = Duration::from_millis(3500);
/// Ports that the rule accepts: somebody listens at the first, and nobody at the other, so that the stack of the server has
/// other things to say in between.
const PORTS: [u16; 2] = [OPEN[0], OPEN[1] + 100];
/// Set in the place of these cases.
pub(crate) const PLACE: u64 = 1 << 39;
/// The name of these cases.
const STORY: &str = "a connection after its rule";

/// A connection: what both ends know of it.
struct Connection {
    rng: Rng,
    ends: Ends,
    ports: [u16; 2],
    /// The next numbers of the client and of the server.
    next: [u32; 2],
}

impl Connection {
    fn client(&mut self, kind: u8, sequence: u32, data: &[u8]) -> Step {
        let acknowledged = if kind & flags::ACK == 0 { 0 } else { self.next[1] };
        let mut made = segment(self.ends, self.ports, kind, [sequence, acknowledged], data);
        if self.rng.u8(..8) == 0 && kind != flags::SYN {
            made = made.spoiled();
        }
        let packet = Packet::new(self.ends, made.protocol, made.bytes);
        let nobody = Link { from: [0; 6], to: [0; 6] };
        Step::Frame(frame(nobody, &[], packet.kind(), &packet.bytes(), &[]))
    }

    fn server(&mut self, kind: u8, data: &[u8]) -> Step {
        let ports = [self.ports[1], self.ports[0]];
        let reverse = self.ends.reversed();
        let made = segment(reverse, ports, kind, [self.next[1], self.next[0]], data);
        Step::Reply(Packet::new(reverse, made.protocol, made.bytes).bytes())
    }

    /// How it comes about, perhaps with an exchange of data.
    fn opens(&mut self) -> Vec<Step> {
        let mut steps = vec![self.client(flags::SYN, 1000, &[])];
        self.next = [1001, 7000];
        steps.push(self.server(flags::SYN | flags::ACK, &[]));
        self.next[1] = 7001;
        let segment = segment(self.ends, self.ports, flags::ACK, [1001, 7001], &[]);
        let packet = Packet::new(self.ends, segment.protocol, segment.bytes);
        steps.push(Step::Frame(frame(
            Link { from: [0; 6], to: [0; 6] },
            &[],
            packet.kind(),
            &packet.bytes(),
            &[],
        )));
        if self.rng.bool() {
            steps.push(self.server(flags::ACK | flags::PSH, b"hello"));
            self.next[1] += 5;
        }
        steps
    }

    /// Anything that ends, goes on with or begins it.
    fn anything(&mut self, most: usize) -> Vec<Step> {
        let wanted = self.rng.usize(1..=most);
        let mut steps = Vec::new();
        for _ in 0..wanted {
            let near = self.next[0].wrapping_add(self.rng.u32(..3)).wrapping_sub(1);
            let exact = if self.rng.bool() { self.next[0] } else { near };
            steps.push(match self.rng.u8(..9) {
                0 | 1 => self.client(flags::RST, exact, &[]),
                2 => self.client(flags::RST | flags::ACK, exact, &[]),
                3 => self.client(flags::FIN | flags::ACK, exact, &[]),
                4 => self.client(flags::SYN, self.next[0].wrapping_add(90_000), &[]),
                5 => self.client(flags::ACK | flags::PSH, exact, b"more"),
                6 => self.server(flags::ACK, &[]),
                7 => self.server(flags::FIN | flags::ACK, &[]),
                _ => self.server(flags::ACK | flags::PSH, b"output"),
            });
        }
        steps
    }
}

/// A connection in its three acts.
struct Acts([Case; 3]);

impl Acts {
    fn tell(origin: (u64, u64), number: u32) -> Self {
        let (seed, place) = origin;
        let mut rng = Rng::with_seed(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let family = if rng.bool() { Family::V4 } else { Family::V6 };
        let ports = [rng.u16(20_000..60_000), PORTS[rng.usize(..PORTS.len())]];
        let mut connection = Connection { rng, ends: ends(family, number), ports, next: [0; 2] };
        let mut last = vec![];
        let opens = connection.opens();
        let anything = connection.anything(4);
        // The server has something to say, and the client goes on.
        last.push(connection.server(flags::ACK | flags::PSH, b"output"));
        last.extend(connection.anything(3));
        last.push(connection.client(flags::ACK | flags::PSH, connection.next[0], b"and on"));
        Self([opens, anything, last].map(|steps| Case {
            origin,
            number,
            story: STORY,
            ends: connection.ends,
            steps,
            lies: Vec::new(),
            opened: Vec::new(),
            tags: 0,
            sends: Sends { bare: true, ..Sends::default() },
        }))
    }
}

impl Run {
    /// Plays all connections.
    pub(crate) fn revocation(&mut self, first: u64) -> Result<()> {
        let all: Vec<Acts> = match self.plan.only {
            Some(only) => vec![self.acts(only)],
            None => (first..first + CONNECTIONS).map(|place| self.acts(place)).collect(),
        };
        self.rig.apply(Policy::Most)?;
        let mut open = Vec::new();
        for acts in all.chunks(AT_ONCE) {
            let arrived = self.rig.filtered.run(acts.iter().map(|Acts([opens, ..])| opens))?;
            open.extend(acts.iter().filter(|Acts([opens, ..])| arrived.contains_key(&opens.number)));
        }
        self.tally.connections += open.len() as u64;
        self.rig.apply(Policy::None)?;
        for act in 1..3 {
            for acts in open.chunks(AT_ONCE) {
                let arrived = self.rig.filtered.run(acts.iter().map(|Acts(acts)| &acts[act]))?;
                for Acts(acts) in acts {
                    self.tally.frames += acts[act].frames() as u64;
                    let seen = arrived.get(&acts[act].number).map_or(&[][..], Vec::as_slice);
                    if let Some(first) = seen.iter().find(|seen| seen.by != By::Refusal) {
                        let mut text = String::new();
                        for (number, told) in (1..).zip(acts) {
                            let _ = write!(text, "{}, act {number}: {told}", self.rig.combination);
                        }
                        let _ = write!(text, "  in act {}: {}", act + 1, All("behind the filter, it", seen));
                        let _ = writeln!(text, "  wrong: {:?}: {}", Wrong::Revoked, first);
                        let (frames, took) = (self.tally.frames, self.start.elapsed());
                        let _ = writeln!(text, "  found after {frames} frames, {:.1} s", took.as_secs_f64());
                        self.keep(&acts[act], Finding { wrong: Wrong::Revoked, policy: Policy::None, text });
                    }
                }
            }
            if act == 1 {
                sleep(WAIT);
            }
        }
        Ok(())
    }

    fn acts(&mut self, place: u64) -> Acts {
        let number = self.another_number();
        Acts::tell((self.plan.seed, place), number)
    }
}
