//! What the program is told that somebody wants to see: the filter of a watcher as far as the program can test it, for a few
//! seconds at a time, so that a watcher that was killed costs packets nothing. It must never test a record: the watchers do.
//! Called by `thread`.

use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::event::{CAPTURE, EventKind, Watch};
use sg_observe::{
    filter::Filter,
    history::Packets,
    record::{Direction, Event, Verdict},
};

use crate::names::Names;

/// What all watchers together want to see. With several, or one that asks for several values of a field, the program shows more
/// than anybody wants, and never less.
pub(crate) fn watch(names: &Names, wanted: &[Filter], packets: Packets, until: u64) -> Watch {
    let mut watch = Watch { until, kinds: kinds(wanted, packets != Packets::None), ..Watch::default() };
    if packets == Packets::Frames {
        watch.capture = CAPTURE as u8;
    }
    let [only] = wanted else { return watch };
    let Filter { nics, directions, verdicts, remotes, ports, protocols, .. } = only;
    if let [nic] = &nics[..]
        && let Some(slot) = names.slot(nic)
    {
        watch.nic = u32::from(slot) + 1;
    }
    if let [direction] = directions[..] {
        watch.direction = match direction {
            Direction::Ingress => 1,
            Direction::Egress => 2,
        };
    }
    if let [verdict] = verdicts[..] {
        watch.verdict = match verdict {
            Verdict::Drop => 1,
            Verdict::Reject => 2,
            Verdict::Accept => 3,
        };
    }
    if let [protocol] = protocols[..] {
        (watch.has_protocol, watch.protocol) = (1, protocol);
    }
    if let [range] = ports[..]
        && range.first() == range.last()
    {
        watch.port = range.first();
    }
    if let [remote] = remotes[..] {
        prefix(&mut watch, remote);
    }
    watch
}

/// Each packet that does not pass is an event of its own only for those who want packets; others see the first of its kind.
fn kinds(wanted: &[Filter], packets: bool) -> u32 {
    let wants = |events: &[Event]| {
        wanted.iter().any(|filter| {
            filter.events.is_empty() || filter.events.iter().any(|event| events.contains(event))
        })
    };
    let mut kinds = 0;
    if wants(&[Event::Begin]) {
        kinds |= EventKind::Opened.bit();
    }
    if wants(&[Event::Revoked]) {
        kinds |= EventKind::Revoked.bit();
    }
    if wants(&[Event::Denied]) {
        kinds |= EventKind::DeniedFirst.bit();
        if packets {
            kinds |= EventKind::Denied.bit();
        }
    }
    kinds
}

fn prefix(watch: &mut Watch, remote: IpNet) {
    let length = u32::from(remote.prefix_len());
    match remote.network() {
        IpAddr::V4(network) => {
            watch.family = 1;
            watch.remote = [u64::from(network.to_bits()), 0];
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            watch.mask = [u64::from(mask), 0];
        }
        IpAddr::V6(network) => {
            watch.family = 2;
            let halves = |bits: u128| [(bits >> 64) as u64, bits as u64];
            watch.remote = halves(network.to_bits());
            watch.mask = halves(u128::MAX.checked_shl(128 - length).unwrap_or(0));
        }
    }
}
