//! Reports → records: names, addresses and times for numbers. It must never keep a report. Called by `thread`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use sg_agent::Traffic;
use sg_common::{
    denied::{FOLDED_TO, Fold},
    event::{Event as KernelEvent, EventKind},
    flow::{Direction as KernelDirection, FlowKey, State, flags},
    packet::{Family, Vlan, has_ports, is_icmp, protocol},
    verdict::{Decision, Reason},
};
use sg_kernel::{Denial, FlowPhase, FlowReport, Jiffies};
use sg_observe::record::{Direction, Event, FlowState, IcmpType, Record, Stage, Verdict};

use crate::names::{Names, RuleName};

/// TCP flags, as in the header.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// When a report was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    at: Timestamp,
    jiffies: Jiffies,
}

impl Made {
    pub(crate) const fn of(traffic: &Traffic) -> Self {
        Self { at: traffic.at, jiffies: traffic.jiffies }
    }

    /// The time so many jiffies ago.
    fn ago(self, jiffies: u64) -> Timestamp {
        let milliseconds = jiffies.saturating_mul(1_000) / u64::from(self.jiffies.hertz.max(1));
        let ago = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
        self.at.saturating_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
    }

    /// How long ago this lower half of a time was: modulo 2^32 jiffies, which are 49 days or more. A flow may have been opened after
    /// the time was read.
    fn since_opened(self, opened: u32) -> u64 {
        let ago = (self.jiffies.now as u32).wrapping_sub(opened);
        let ahead = opened.wrapping_sub(self.jiffies.now as u32);
        if u64::from(ahead) < 60 * u64::from(self.jiffies.hertz) { 0 } else { u64::from(ago) }
    }

    fn since(self, then: u64) -> u64 {
        let ago = self.jiffies.now.wrapping_sub(then);
        if ago.cast_signed() < 0 { 0 } else { ago }
    }
}

/// What a flow has carried since `before`, when live flows were reported last.
pub(crate) fn flow(names: &Names, report: &FlowReport, made: Made, before: Timestamp) -> Record {
    let FlowReport {
        key,
        phase,
        is_first,
        decision,
        generation,
        status,
        first,
        opened,
        last_seen,
        packets,
        bytes,
    } = report;
    let opened = made.ago(made.since_opened(*opened));
    let last = made.ago(made.since(*last_seen));
    let start = if *is_first { opened } else { before.max(opened).min(made.at) };
    let (event, end) = match phase {
        FlowPhase::Begin => (Event::Begin, made.at),
        FlowPhase::Continue => (Event::Continue, made.at),
        FlowPhase::End => (Event::End, last.max(start)),
    };
    let mut record = Record::new(event, start, end);
    let direction = first.direction();
    name(names, &mut record, key.l4.nic(), *decision, direction);
    ends(&mut record, key, direction, true);
    record.generation = *generation;
    record.state = Some(state(*decision, *status));
    if key.l4.protocol() == protocol::TCP {
        record.tcp_flags = Some(tcp_flags(*status));
    }
    (record.packets, record.bytes) = (*packets, *bytes);
    record
}

fn state(decision: u64, status: u8) -> FlowState {
    let is_revoked = Decision::from_word(decision).is_some_and(|decision| !decision.accepts());
    match status >> 6 {
        _ if is_revoked => FlowState::Revoked,
        state if state == State::New as u8 => FlowState::HalfOpen,
        state if state == State::Established as u8 => FlowState::Established,
        _ => FlowState::Closing,
    }
}

/// The flags that an entry follows.
const fn tcp_flags(status: u8) -> u8 {
    let fins = flags::FIN_ORIGINAL | flags::FIN_REPLY;
    let state = status >> 6;
    let mut found = 0;
    if status & flags::SYN != 0 {
        found |= SYN;
    }
    if state != State::New as u8 {
        found |= ACK;
    }
    if status & fins != 0 {
        found |= FIN;
    }
    if state == State::Closing as u8 && status & fins != fins {
        found |= RST;
    }
    found
}

/// Packets that did not pass since `before`.
pub(crate) fn denial(names: &Names, denial: &Denial, made: Made, before: Timestamp) -> Record {
    let Denial { key, is_named, packets, bytes, first, last, generation, source_port, is_first } = denial;
    let origin = key.origin;
    let last = made.ago(made.since(*last));
    // What has no name has no beginning either.
    let first = if *first == 0 { before.min(last) } else { made.ago(made.since(*first)) };
    let start = if *is_first { first } else { before.max(first).min(last) };
    let mut record = Record::new(Event::Denied, start, last.max(start));
    let direction = origin.direction();
    let decision = origin.decision().map_or(0, Decision::word);
    if origin.is_of_host() {
        record.verdict = Verdict::Drop;
        reason(decision).clone_into(&mut record.reason);
        record.direction = direction_of(direction);
        record.device = format!("device {}", key.local_high);
    } else {
        name(names, &mut record, key.l4.nic(), decision, direction);
    }
    if !is_named {
        // Which decisions these were, nobody knows.
        (record.stage, record.group, record.rule) = (Stage::Reason, None, None);
        record.groups = Vec::new();
        "others".clone_into(&mut record.reason);
    }
    let fold = if *is_named { origin.fold() } else { Fold::Others };
    record.folded = fold != Fold::Exact;
    if origin.is_parsed() && fold != Fold::Others {
        let family = key.l4.family();
        let remote = address(family, key.remote_high, key.remote_low);
        let local = address(family, key.local_high, key.local_low);
        let length = match (fold, family) {
            (Fold::Prefix, Family::V4) => FOLDED_TO[0],
            (Fold::Prefix, Family::V6) => FOLDED_TO[1],
            _ => IpNet::from(remote).prefix_len(),
        };
        let remote = IpNet::new(remote, length).unwrap_or_else(|_| remote.into());
        (record.src, record.dst) = match direction {
            KernelDirection::Ingress => (Some(remote), Some(local.into())),
            KernelDirection::Egress => (Some(local.into()), Some(remote)),
        };
        let number = key.l4.protocol();
        record.protocol = Some(number);
        selector(&mut record, family, number, (*source_port, key.l4.local_port()));
    }
    record.generation = *generation;
    (record.packets, record.bytes) = ([*packets, 0], [*bytes, 0]);
    record
}

/// A single event.
pub(crate) fn event(names: &Names, event: &KernelEvent, at: Timestamp) -> Record {
    let KernelEvent {
        at: _, key, decision, generation, length, kind, direction, tcp_flags, is_parsed, ..
    } = event;
    let what = match EventKind::ALL.get(usize::from(*kind)) {
        Some(EventKind::Opened) => Event::Begin,
        Some(EventKind::Revoked) => Event::Revoked,
        _ => Event::Denied,
    };
    let mut record = Record::new(what, at, at);
    let direction = KernelDirection::of(u64::from(*direction));
    name(names, &mut record, key.l4.nic(), *decision, direction);
    if *is_parsed != 0 {
        // The key of a revoked flow is that of its entry.
        ends(&mut record, key, direction, what == Event::Revoked);
        if key.l4.protocol() == protocol::TCP {
            record.tcp_flags = Some(*tcp_flags);
        }
    }
    record.generation = *generation;
    (record.packets, record.bytes) = ([1, 0], [u64::from(*length), 0]);
    record
}

/// Fills in the NIC and what decided.
fn name(names: &Names, record: &mut Record, slot: u16, decision: u64, direction: KernelDirection) {
    let nic = names.nic(slot);
    record.nic.clone_from(&nic.nic);
    record.device.clone_from(&nic.device);
    record.instance.clone_from(&nic.instance);
    record.vpc.clone_from(&nic.vpc);
    record.direction = direction_of(direction);
    reason(decision).clone_into(&mut record.reason);
    let Some(decision) = Decision::from_word(decision) else { return };
    record.verdict = decision.verdict().into();
    let Ok(why) = decision.reason() else { return };
    record.stage = Stage::of(why);
    match record.stage {
        Stage::Rule | Stage::IntraGroup => {
            let RuleName { group, rule } = names.rule(decision.number());
            (record.group, record.rule) = (Some((*group).to_owned()), Some((*rule).to_owned()));
        }
        Stage::Default => {
            record.rule = Some("default".to_owned());
            record.groups.clone_from(&nic.groups);
        }
        Stage::Exception | Stage::Reason => {}
    }
}

/// The word of a decision's reason.
fn reason(decision: u64) -> &'static str {
    let reason = Decision::from_word(decision).and_then(|decision| decision.reason().ok());
    reason.map_or("unknown", Reason::name)
}

/// Fills in who sent the first packet to whom. In the key of a flow, ICMP has an identifier in place of the message.
fn ends(record: &mut Record, key: &FlowKey, direction: KernelDirection, is_flow: bool) {
    let (family, number) = (key.l4.family(), key.l4.protocol());
    let remote = (address(family, key.remote_high, key.remote_low), key.l4.remote_port());
    let local = (address(family, key.local_high, key.local_low), key.l4.local_port());
    let (source, destination) = match direction {
        KernelDirection::Ingress => (remote, local),
        KernelDirection::Egress => (local, remote),
    };
    (record.src, record.dst) = (Some(source.0.into()), Some(destination.0.into()));
    record.protocol = Some(number);
    if is_flow && is_icmp(family, number) {
        // Only requests open flows.
        let kind = if family == Family::V4 { 8 } else { 128 };
        record.icmp = Some(IcmpType { kind, code: 0 });
    } else {
        selector(record, family, number, (source.1, destination.1));
    }
    let vlan = key.network();
    record.vlan = Some(vlan).filter(|vlan: &Vlan| !vlan.is_none()).map(|vlan| vlan.to_string());
}

/// Fills in ports, or the ICMP message that stands in place of the destination's.
fn selector(record: &mut Record, family: Family, number: u8, (source, destination): (u16, u16)) {
    if is_icmp(family, number) {
        let [kind, code] = destination.to_be_bytes();
        record.icmp = Some(IcmpType { kind, code });
    } else if has_ports(number) {
        (record.sport, record.dport) = (Some(source), Some(destination));
    }
}

const fn direction_of(direction: KernelDirection) -> Direction {
    match direction {
        KernelDirection::Ingress => Direction::Ingress,
        KernelDirection::Egress => Direction::Egress,
    }
}

fn address(family: Family, high: u64, low: u64) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(high as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
    }
}

#[cfg(test)]
mod tests {
    use sg_common::{
        denied::DeniedKey,
        flow::{First, PortsProtoNic},
    };

    use super::*;
    use crate::samples::{HERTZ, at, names, traffic};

    const EPOCH: i64 = 1_790_000_000;

    fn report(opened: u64, last_seen: u64, phase: FlowPhase, is_first: bool) -> FlowReport {
        FlowReport {
            key: FlowKey::default(),
            phase,
            is_first,
            decision: 0,
            generation: 1,
            status: 0,
            first: First::default(),
            opened: opened as u32,
            last_seen,
            packets: [1, 0],
            bytes: [60, 0],
        }
    }

    #[test]
    fn a_revoked_ping_is_told_as_a_request() {
        let l4 = PortsProtoNic::new((0, 0x1234), 0, protocol::ICMP, Family::V4);
        let seen = |kind: EventKind| {
            let key = FlowKey { l4, ..FlowKey::default() };
            let seen = KernelEvent { key, kind: kind as u8, is_parsed: 1, ..KernelEvent::default() };
            event(&names(), &seen, at(EPOCH)).icmp
        };
        assert_eq!(seen(EventKind::Revoked), Some(IcmpType { kind: 8, code: 0 }), "not of its identifier");
        assert_eq!(seen(EventKind::Denied), Some(IcmpType { kind: 0x12, code: 0x34 }));
    }

    /// The time of day is set, by an hour or by years, while the programs' clock goes on: whatever is told then has an end that
    /// is not before its start, and is no longer than what the programs' clock counted, or than an interval.
    #[test]
    fn a_clock_that_is_set_makes_no_interval_negative_or_huge() {
        let (names, interval) = (names(), SignedDuration::from_secs(60));
        let now = 5_000 * u64::from(HERTZ);
        for step in [0, 3_600, -3_600, 86_400 * 3_650, -86_400 * 3_650] {
            let time = at(EPOCH + step);
            let made = Made { at: time, jiffies: Jiffies { now, hertz: HERTZ } };
            let before = time - interval;
            for seconds in [0, 1, 59, 60, 61, 4_000] {
                let opened = now - seconds * u64::from(HERTZ);
                for phase in [FlowPhase::Begin, FlowPhase::Continue, FlowPhase::End] {
                    for is_first in [true, false] {
                        // The last packet may even be later than the time that was read before the tables were.
                        for last in [opened, now, now + 3] {
                            let record = flow(&names, &report(opened, last, phase, is_first), made, before);
                            let length = record.end.duration_since(record.start);
                            let most = if is_first {
                                SignedDuration::from_secs(seconds.cast_signed())
                            } else {
                                interval
                            };
                            assert!(
                                length >= SignedDuration::ZERO && length <= most,
                                "{step} {seconds} {record:?}"
                            );
                            assert!(record.end <= time, "{record:?}");
                        }
                    }
                }
                for is_first in [true, false] {
                    let denied = Denial {
                        key: DeniedKey::default(),
                        is_named: true,
                        packets: 1,
                        bytes: 60,
                        first: opened,
                        last: now + 2,
                        generation: 1,
                        source_port: 1,
                        is_first,
                    };
                    let record = denial(&names, &denied, made, before);
                    assert!(record.start <= record.end && record.end <= time, "{record:?}");
                }
            }
        }
        // A loss is told with the time of its begin, which was read before.
        let lost = Record::lost(at(EPOCH), at(EPOCH - 3_600), 1, "a test");
        assert!(lost.start <= lost.end);
        // Before the epoch there is no time.
        let early = Made::of(&traffic(0));
        assert_eq!(early.ago(u64::MAX), Timestamp::UNIX_EPOCH);
    }
}
