//! One four-tuple in tables as the kernel has them, and the datapath's steps around what `sg_common` says of it.

#![allow(unreachable_pub, reason = "a module of a test")]

use sg_common::{
    flow::{
        AS_ESTABLISHED, Began, ClosedEntry, Direction, First, FlowEntry, FlowKey, Found, PortsProtoNic,
        Timeouts, flags, takes_over,
    },
    packet::{Family, Packet},
    verdict::{Decision, Reason, Verdict},
};

use crate::world::{CLIENT, Filter, Rules, Segment};

/// One jiffy a second.
const TIMEOUTS: Timeouts = [30, 910, 3, 30, 180, 30, 30, 180];

pub struct Tables {
    now: u64,
    since: u64,
    entry: Option<FlowEntry>,
    closed: Option<ClosedEntry>,
    key: FlowKey,
    generation: u32,
    rules: Rules,
    rule_stands: bool,
}

impl Tables {
    pub fn new(rules: Rules) -> Self {
        Self {
            now: 1 << 32,
            since: 1 << 32,
            entry: None,
            closed: None,
            key: FlowKey { l4: PortsProtoNic::new((50_000, 22), 0, 6, Family::V4), ..FlowKey::default() },
            generation: 1,
            rules,
            rule_stands: true,
        }
    }

    /// Whether the tables know the connection.
    pub fn is_known(&mut self) -> bool {
        let now = self.now;
        self.live_entry().is_some()
            || self.closed.is_some_and(|closed| closed.began(&TIMEOUTS, now).is_some())
    }

    /// Whether the segment would pass. It is tried, and forgotten.
    pub fn would_pass(&mut self, segment: &Segment) -> bool {
        let before = (self.entry, self.closed);
        let passes = self.passes(segment);
        (self.entry, self.closed) = before;
        passes
    }

    /// What the rules of now say of a flow that begins with `first`.
    fn ask(&self, first: First) -> Decision {
        let direction = first.direction();
        let accepts = match direction {
            Direction::Ingress => self.rule_stands,
            Direction::Egress => self.rules == Rules::Loose,
        };
        let verdict = if accepts { Verdict::Accept } else { Verdict::Drop };
        Decision::new(verdict, Reason::Default, direction as u32)
    }

    /// The same, where it must accept the other direction, too.
    fn ask_of(&self, first: First, either: bool) -> Decision {
        let decision = self.ask(first);
        if either && decision.accepts() { self.ask(first.reversed()) } else { decision }
    }

    fn live_entry(&mut self) -> Option<&mut FlowEntry> {
        let (key, now) = (self.key, self.now);
        self.entry.as_mut().filter(|entry| !entry.is_expired(key.l4, &TIMEOUTS, now))
    }

    fn find(&mut self, packet: &Packet, direction: Direction, judged: bool, length: u64) -> Option<Found> {
        let (generation, now) = (self.generation, self.now);
        let entry = self.live_entry()?;
        match entry.find(packet, direction, (false, judged), (generation, true), now) {
            Found::Miss => None,
            Found::Passes(decision) => {
                entry.observe(packet, direction, length, now);
                Some(Found::Decided(decision))
            }
            found => Some(found),
        }
    }

    /// The steps of the datapath (`decide_first` in sg-ebpf/src/pipeline.rs).
    fn judge(&mut self, packet: &Packet, direction: Direction, length: u64) -> bool {
        let (generation, now) = (self.generation, self.now);
        let mut found = self.find(packet, direction, false, length);
        if let Some(Found::Stale(first, either)) = found {
            let decision = self.ask_of(first, either);
            let entry = self.live_entry().expect("it was found");
            if entry.begun_anew_by(packet, first.direction().reversed()).is_some() {
                entry.begin_anew(first, decision, generation, now);
            } else {
                entry.revalidate(decision, generation);
            }
            if !decision.accepts() && !packet.is_syn() {
                return false;
            }
            found = self.find(packet, direction, true, length);
        }
        if let Some(Found::Decided(decision)) = found {
            return Decision::from_word(decision).expect("a decision").accepts();
        }
        let is_mid_stream = found.is_none() && packet.is_mid_stream();
        let closed = self.closed.filter(|_| is_mid_stream);
        if let Some(Began::With(first, either)) = closed.and_then(|closed| closed.began(&TIMEOUTS, now)) {
            let decision = self.ask_of(first, either);
            if decision.accepts() {
                let mut entry = FlowEntry::open(packet, direction, decision, generation, length, now);
                entry.reopen(packet, first);
                self.enter(entry, either);
            }
            return decision.accepts();
        }
        let first = First::of(packet, direction);
        let decision = self.ask(first);
        if !decision.accepts() {
            return false;
        }
        let either = is_mid_stream && self.ask(first.reversed()).accepts();
        let takes_over = takes_over(AS_ESTABLISHED, &TIMEOUTS, 1, self.since, now);
        if is_mid_stream && !either && !takes_over {
            return false;
        }
        if found.is_some() {
            let entry = self.live_entry().expect("it was found");
            if entry.note_request(packet, direction, (decision, generation), length, now) {
                entry.observe(packet, direction, length, now);
            }
        } else {
            self.enter(FlowEntry::open(packet, direction, decision, generation, length, now), either);
        }
        true
    }

    fn enter(&mut self, mut entry: FlowEntry, either: bool) {
        entry.status |= if either { flags::EITHER_WAY } else { 0 };
        self.entry = Some(entry);
    }
}

impl Filter for Tables {
    fn passes(&mut self, segment: &Segment) -> bool {
        let packet = Packet {
            protocol: 6,
            tcp_flags: segment.flags,
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            header: 20,
            transport: 34,
            end: 54 + segment.data,
            ..Packet::EMPTY
        };
        let direction = if segment.end == CLIENT { Direction::Ingress } else { Direction::Egress };
        self.judge(&packet, direction, packet.end as u64)
    }

    fn wait(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// What the agent's ageing does to the entry (`sg-userspace/kernel/src/ageing.rs`).
    fn age(&mut self) {
        let Some(entry) = self.entry else { return };
        let closed = entry.is_closed(&self.key, &TIMEOUTS, self.now);
        if closed {
            self.closed = Some(ClosedEntry::of(&entry));
        }
        if closed || entry.is_expired(self.key.l4, &TIMEOUTS, self.now) {
            self.entry = None;
        }
    }

    fn forget_closed(&mut self) {
        self.closed = None;
    }

    fn revoke(&mut self) {
        self.rule_stands = false;
        self.generation += 1;
    }

    fn known(&mut self) -> String {
        let entry = self.entry.map(|entry| (entry.status, entry.first));
        format!("{entry:?} {:?}", self.closed.map(|closed| closed.began))
    }
}
