//! What does not pass, by who sent what to whom: the records that the agent's observer makes, summed since the screen began. It
//! keeps the newest if there are too many. It must never count a single event: a later record counts it. `model` calls it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sg_model::{ProtocolName, text::escaped};
use sg_observe::record::{Direction, Record};

use super::table::{Cell, Row};
use crate::names::Names;

/// Kinds of denials that are kept.
const MOST: usize = 4096;
/// A rate is that of the last record, as long as no record should have followed it.
const FRESH: Duration = Duration::from_secs(7);

/// Everything that is equal in one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: String,
    direction: &'static str,
    protocol: String,
    remote: String,
    local: String,
    /// The group of the rule that decided.
    group: Option<String>,
    /// The rule, or the reason.
    decider: String,
}

#[derive(Clone, Copy, Debug)]
struct Denied {
    packets: u64,
    rate: f64,
    /// When the rate was learnt.
    fresh: Option<Instant>,
    last: Timestamp,
}

/// Sums of denials.
#[derive(Debug, Default)]
pub(super) struct Denials {
    sums: HashMap<Key, Denied>,
    /// Records that were lost.
    pub(super) lost: u64,
}

impl Denials {
    pub(super) fn add(&mut self, record: &Record, now: Instant) {
        if !record.event.is_traffic() {
            self.lost = self.lost.saturating_add(record.count.unwrap_or(0));
            return;
        }
        let new = Denied { packets: 0, rate: 0.0, fresh: None, last: record.end };
        let sum = self.sums.entry(key(record)).or_insert(new);
        sum.last = sum.last.max(record.end);
        if !record.live {
            let packets = record.all_packets();
            sum.packets = sum.packets.saturating_add(packets);
            // A record of the past, which is there from the beginning, is no rate of now.
            if Timestamp::now().duration_since(record.end).as_secs().unsigned_abs() <= FRESH.as_secs() {
                (sum.rate, sum.fresh) = (rate(packets, record), Some(now));
            }
        }
        if self.sums.len() > MOST {
            self.forget_the_oldest();
        }
    }

    /// Packets each second, by device.
    pub(super) fn of_devices(&self, now: Instant) -> HashMap<&str, f64> {
        let mut rates = HashMap::new();
        for (key, sum) in &self.sums {
            *rates.entry(key.device.as_str()).or_default() += sum.rate(now);
        }
        rates
    }

    /// A row for each kind.
    pub(super) fn rows(&self, now: Instant, names: &Names) -> Vec<Row> {
        let row = |(key, sum): (&Key, &Denied)| {
            let Key { device, direction, protocol, remote, local, group, decider } = key;
            let by = group.as_ref().map(|group| format!("{}/{decider}", names.of(group)));
            let by = by.as_ref().unwrap_or(decider);
            let mut row: Row = [device, *direction, protocol, remote, local, by]
                .map(|text: &str| Cell::Text(escaped(text).into_owned()))
                .into();
            row.extend([Cell::Rate(sum.rate(now)), Cell::Count(sum.packets)]);
            row
        };
        self.sums.iter().map(row).collect()
    }

    /// Makes room for a while: forgets a quarter.
    fn forget_the_oldest(&mut self) {
        let mut times: Vec<Timestamp> = self.sums.values().map(|sum| sum.last).collect();
        times.sort_unstable();
        let Some(limit) = times.get(times.len() / 4).copied() else { return };
        self.sums.retain(|_, sum| sum.last > limit);
    }
}

impl Denied {
    fn rate(&self, now: Instant) -> f64 {
        let is_fresh = self.fresh.is_some_and(|fresh| now.duration_since(fresh) < FRESH);
        if is_fresh { self.rate } else { 0.0 }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
fn rate(packets: u64, record: &Record) -> f64 {
    packets as f64 / record.end.duration_since(record.start).as_secs_f64().max(1.0)
}

fn key(record: &Record) -> Key {
    let net = |net: Option<ipnet::IpNet>| match net {
        None => "any".to_owned(),
        Some(net) if net.prefix_len() < net.max_prefix_len() => net.to_string(),
        Some(net) => net.addr().to_string(),
    };
    let direction = match record.direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    };
    // The destination's port is that of the local end only inbound.
    let with_port = |net: String| match (record.dport, record.icmp) {
        (Some(port), _) if net.contains(':') => format!("[{net}]:{port}"),
        (Some(port), _) => format!("{net}:{port}"),
        (None, Some(icmp)) => format!("{net} {}/{}", icmp.kind, icmp.code),
        (None, None) => net,
    };
    let (remote, local) = (net(record.remote()), net(record.local()));
    let (remote, local) = match record.direction {
        Direction::Ingress => (remote, with_port(local)),
        Direction::Egress => (with_port(remote), local),
    };
    let decider = record.rule.as_ref().unwrap_or(&record.reason).clone();
    Key {
        device: if record.device.is_empty() { record.nic.clone() } else { record.device.clone() },
        direction,
        protocol: record.protocol.map_or_else(|| "-".to_owned(), |number| ProtocolName(number).to_string()),
        remote,
        local,
        group: record.group.clone().filter(|_| record.rule.is_some()),
        decider,
    }
}

#[cfg(test)]
mod tests {
    use sg_observe::record::Event;

    use super::*;

    fn record(seconds_ago: i64, port: u16, packets: u64) -> Record {
        let end = Timestamp::now() - jiff::SignedDuration::from_secs(seconds_ago);
        let mut record = Record::new(Event::Denied, end - jiff::SignedDuration::from_secs(5), end);
        (record.packets, record.dport, record.protocol) = ([packets, 0], Some(port), Some(6));
        (record.src, record.dst) = ("192.0.2.7/32".parse().ok(), "2001:db8::5/128".parse().ok());
        "eth0".clone_into(&mut record.device);
        record
    }

    #[test]
    fn records_are_summed_and_single_events_are_not() {
        let (mut denials, now) = (Denials::default(), Instant::now());
        denials.add(&record(100, 443, 7), now);
        assert!(denials.of_devices(now)["eth0"] < 0.1, "it was long ago");
        denials.add(&record(0, 443, 10), now);
        let mut live = record(0, 443, 1);
        live.live = true;
        denials.add(&live, now);
        denials.add(&Record::lost(live.end, live.end, 9, "slow"), now);
        let rows = denials.rows(now, &Names::default());
        assert_eq!((rows.len(), denials.lost), (1, 9));
        assert_eq!(rows[0][4], Cell::Text("[2001:db8::5]:443".into()));
        assert_eq!(rows[0][6..], [Cell::Rate(2.0), Cell::Count(17)]);
        assert!(denials.of_devices(now + FRESH)["eth0"] < 0.1, "nothing followed");
    }

    #[test]
    fn a_flood_of_kinds_is_bounded_and_the_newest_stay() {
        let (mut denials, now) = (Denials::default(), Instant::now());
        for port in 0..=MOST as u16 {
            denials.add(&record(i64::from(MOST as u16 - port), port, 1), now);
        }
        assert!(denials.sums.len() <= MOST && denials.sums.len() > MOST / 2);
        let key = key(&record(0, MOST as u16, 1));
        assert!(denials.sums.contains_key(&key));
    }
}
