//! What the screen shows: four tables and a header, made of what the agent says. It must never know the agent or the terminal. `mod.rs`
//! hands it news, `keys` changes what is shown, `view` draws it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sg_api_types::{Count, FlowList, FlowRow, Stats, Status};
use sg_model::text::escaped;
use sg_records::{Action, Direction};

use crate::{args::write_end, commands::flows::decider, names::Names};

use super::{
    counters::{Owner, counters},
    denials::Denials,
    feed::{News, Part, Sample},
    rates::{Counted, Rate, Rates},
    table::{Cell, Column, Row, Table, Width},
};

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Nics,
    Rules,
    Talkers,
    Denials,
}

impl View {
    pub(super) const ALL: [Self; 4] = [Self::Nics, Self::Rules, Self::Talkers, Self::Denials];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Nics => "NICs",
            Self::Rules => "Rules",
            Self::Talkers => "Talkers",
            Self::Denials => "Denials",
        }
    }
}

const NICS: &[Column] = &[
    Column::text("NIC", Width::Rest),
    Column::text("GROUPS", Width::Rest),
    Column::text("GEN", Width::Fixed(6)),
    Column::number("FLOWS", 6),
    Column::number("IN B/S", 7),
    Column::number("OUT B/S", 7),
    Column::number("DENIED/S", 8),
];
const RULES: &[Column] = &[
    Column::text("GROUP", Width::Rest),
    Column::text("RULE", Width::Rest),
    Column::text("DIRECTION", Width::Fixed(9)),
    Column::text("ACTION", Width::Fixed(6)),
    Column::number("HITS/S", 7),
    Column::number("BYTES/S", 7),
    Column::number("PACKETS", 7),
];
const TALKERS: &[Column] = &[
    Column::text("NIC", Width::Fixed(7)),
    Column::text("PROTO", Width::Fixed(6)),
    Column::text("REMOTE", Width::Rest),
    Column::text("LOCAL", Width::Rest),
    Column::text("RULE", Width::Fixed(10)),
    Column::number("BYTES/S", 7),
    Column::number("PKTS/S", 6),
];
const DENIALS: &[Column] = &[
    Column::text("NIC", Width::Fixed(6)),
    Column::text("DIR", Width::Fixed(3)),
    Column::text("PROTO", Width::Fixed(5)),
    Column::text("REMOTE", Width::Rest),
    Column::text("LOCAL", Width::Rest),
    Column::text("BY", Width::Fixed(13)),
    Column::number("PKTS/S", 6),
    Column::number("PACKETS", 7),
];

/// The rates of everything, and how full the flow tables are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) accepted: Rate,
    pub(super) denied: Rate,
    pub(super) established: u64,
    pub(super) max_established: u64,
    pub(super) half_open: u64,
    pub(super) evicted: u64,
    /// Flows that were not read, because there are too many.
    pub(super) unread_flows: usize,
}

/// Who exchanges packets with whom.
type FlowKey = (String, Option<String>, String, Direction, SocketAddr, SocketAddr);

/// A side of a flow: 0, that which opened it, or 1.
type Side = (FlowKey, usize);

/// Everything that the screen shows.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) instance: String,
    pub(super) interval: Duration,
    pub(super) view: View,
    tables: [Table; 4],
    pub(super) totals: Totals,
    pub(super) filter: String,
    /// Whether keys are letters of the filter.
    pub(super) edits_filter: bool,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Why parts cannot be read at the moment, in the order of [`Part`].
    trouble: [Option<String>; 2],
    pub(super) lost: u64,
    counters: Rates<Owner>,
    flows: Rates<Side>,
    denials: Denials,
    names: Arc<Names>,
    nics: Vec<Nic>,
    /// Tells the feed whether anybody looks at flows.
    wants_flows: Arc<AtomicBool>,
}

/// A NIC, without what is counted of denials.
#[derive(Debug)]
struct Nic {
    device: String,
    groups: String,
    generation: u32,
    flows: u64,
    inbound: Rate,
    outbound: Rate,
}

impl Model {
    pub(super) fn new(instance: String, interval: Duration, wants_flows: Arc<AtomicBool>) -> Self {
        let tables =
            [Table::new(NICS, 0), Table::new(RULES, 4), Table::new(TALKERS, 5), Table::new(DENIALS, 6)];
        Self {
            instance,
            interval,
            view: View::Nics,
            tables,
            totals: Totals::default(),
            filter: String::new(),
            edits_filter: false,
            is_paused: false,
            shows_help: false,
            trouble: [None, None],
            lost: 0,
            counters: Rates::default(),
            flows: Rates::default(),
            denials: Denials::default(),
            names: Arc::default(),
            nics: Vec::new(),
            wants_flows,
        }
    }

    /// The table that is shown.
    pub(super) const fn table(&self) -> &Table {
        &self.tables[self.view as usize]
    }

    /// The same, to change its order.
    pub(super) const fn table_mut(&mut self) -> &mut Table {
        &mut self.tables[self.view as usize]
    }

    /// Learns how many rows the screen has room for.
    pub(super) fn fit(&mut self, room: usize) {
        self.tables[self.view as usize].fit(room, &self.filter);
    }

    /// Why the agent cannot be read at the moment, all of it or a part.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.iter().find_map(Option::as_deref)
    }

    /// Shows another table.
    pub(super) fn choose(&mut self, view: View) {
        self.view = view;
        let wants_flows = matches!(view, View::Nics | View::Talkers);
        if !self.wants_flows.swap(wants_flows, Ordering::Relaxed) && wants_flows {
            // Since the last look at flows is too long ago for a rate.
            self.flows.forget();
        }
    }

    /// Learns what is new. While it is paused, nothing that is shown changes.
    pub(super) fn learn(&mut self, news: News, now: Instant) {
        match news {
            News::Sample(sample) => {
                self.trouble[Part::Counters as usize] = None;
                self.sample(*sample, now);
            }
            News::Denied(records) => {
                self.trouble[Part::Denials as usize] = None;
                for record in &records {
                    self.denials.add(record, now);
                }
                if !self.is_paused {
                    self.lost = self.denials.lost;
                    self.fill_denials(now);
                }
            }
            News::Trouble(part, why) => {
                let why = match part {
                    Part::Counters => why,
                    Part::Denials => format!("denials: {why}"),
                };
                self.trouble[part as usize] = Some(escaped(&why).into_owned());
            }
            News::Signal => {}
        }
    }

    fn sample(&mut self, sample: Sample, now: Instant) {
        let Sample { at, status, stats, flows, names } = sample;
        let (rules, totals) = self.rules(at, &stats, &names);
        let talkers = flows.map(|flows| self.talkers(at, &status, &flows, &names));
        if self.is_paused {
            return;
        }
        self.names = names;
        let unread_flows = self.totals.unread_flows;
        self.totals = Totals { unread_flows, ..totals };
        self.tables[View::Rules as usize].fill(rules);
        if let Some(Talkers { rows, nics, unread }) = talkers {
            self.tables[View::Talkers as usize].fill(rows);
            self.totals.unread_flows = unread;
            self.nics = nics;
        }
        self.fill_denials(now);
    }

    fn fill_denials(&mut self, now: Instant) {
        let denied = self.denials.of_devices(now);
        let row = |nic: &Nic| {
            let Nic { device, groups, generation, flows, inbound, outbound } = nic;
            vec![
                text(device),
                text(groups),
                Cell::Ordinal(*generation),
                Cell::Count(*flows),
                Cell::Rate(inbound.bytes),
                Cell::Rate(outbound.bytes),
                Cell::Rate(denied.get(device.as_str()).copied().unwrap_or(0.0)),
            ]
        };
        let nics = self.nics.iter().map(row).collect();
        self.tables[View::Nics as usize].fill(nics);
        self.tables[View::Denials as usize].fill(self.denials.rows(now, &self.names));
    }

    /// The rows of rules, and what everything comes to.
    fn rules(&mut self, at: Instant, stats: &Stats, names: &Names) -> (Vec<Row>, Totals) {
        let rows = counters(stats, names);
        let counters = rows.iter().map(|(owner, _, _, count)| (owner.clone(), counted(*count)));
        let rates = self.counters.look(at, counters.collect::<Vec<_>>(), true);
        let mut totals = Totals::default();
        if let Some(flows) = stats.flows {
            totals.established = flows.established;
            totals.max_established = u64::from(flows.max_established);
            (totals.half_open, totals.evicted) = (flows.half_open, flows.evicted);
        }
        let mut shown = Vec::with_capacity(rows.len());
        for ((owner, action, words, count), rate) in rows.into_iter().zip(rates) {
            match action {
                Some(Action::Accept) => totals.accepted.add(rate),
                Some(Action::Drop | Action::Reject) => totals.denied.add(rate),
                None => {}
            }
            let [group, rule] = words;
            let action = action.map_or_else(|| "-".to_owned(), |action| action.to_string());
            let mut row =
                [group, rule, owner.direction().to_owned(), action].map(|cell| text(&cell)).to_vec();
            row.extend([Cell::Rate(rate.packets), Cell::Rate(rate.bytes), Cell::Count(count.packets)]);
            shown.push(row);
        }
        (shown, totals)
    }

    fn talkers(&mut self, at: Instant, status: &Status, flows: &FlowList, names: &Names) -> Talkers {
        let counters = flows.flows.iter().flat_map(sides);
        // If not all flows were read, one that was not read before is not new.
        let is_complete = flows.flows.len() == flows.total;
        let rates = self.flows.look(at, counters.collect::<Vec<_>>(), is_complete);
        let mut of_nics: HashMap<&str, (u64, Rate, Rate)> = HashMap::new();
        let mut rows = Vec::with_capacity(flows.flows.len());
        for (flow, rates) in flows.flows.iter().zip(rates.as_chunks::<2>().0) {
            let (count, inbound, outbound) = of_nics.entry(&flow.nic).or_default();
            *count += 1;
            let [first, second] = *rates;
            let mut rate = first;
            rate.add(second);
            let (of_opener, of_other) = match flow.direction {
                Direction::Ingress => (inbound, outbound),
                Direction::Egress => (outbound, inbound),
            };
            of_opener.add(first);
            of_other.add(second);
            let rule = decided(flow, names);
            let remote = write_end(flow.remote, flow.remote_port);
            let local = write_end(flow.local, flow.local_port);
            let mut row = [flow.nic.as_str(), &flow.protocol, &remote, &local, &rule].map(text).to_vec();
            row.extend([Cell::Rate(rate.bytes), Cell::Rate(rate.packets)]);
            rows.push(row);
        }
        let nics = status.in_force.iter().map(|nic| {
            let (flows, inbound, outbound) = of_nics.get(nic.device.as_str()).copied().unwrap_or_default();
            let (device, groups) = (nic.device.clone(), names.all(&nic.groups));
            Nic { device, groups, generation: nic.generation, flows, inbound, outbound }
        });
        let unread = flows.total.saturating_sub(flows.flows.len());
        Talkers { rows, nics: nics.collect(), unread }
    }
}

struct Talkers {
    rows: Vec<Row>,
    nics: Vec<Nic>,
    unread: usize,
}

fn text(text: &str) -> Cell {
    Cell::Text(escaped(text).into_owned())
}

const fn counted(count: Count) -> Counted {
    Counted { packets: count.packets, bytes: count.bytes }
}

fn flow_key(flow: &FlowRow) -> FlowKey {
    let remote = SocketAddr::new(flow.remote, flow.remote_port);
    let local = SocketAddr::new(flow.local, flow.local_port);
    (flow.nic.clone(), flow.vlan.clone(), flow.protocol.clone(), flow.direction, remote, local)
}

/// What each side of a flow has sent.
fn sides(flow: &FlowRow) -> [(Side, Counted); 2] {
    [0, 1].map(|side| {
        let counted = Counted { packets: flow.packets[side], bytes: flow.bytes[side] };
        ((flow_key(flow), side), counted)
    })
}

/// What decided a flow, in one word.
fn decided(flow: &FlowRow, names: &Names) -> String {
    match decider(flow) {
        // An agent of an earlier version does not say what `-` stands for.
        ["-", "-"] if flow.reason.is_empty() => "-".to_owned(),
        ["-", "-"] => flow.reason.clone(),
        [group, "-"] => names.of(&group),
        [_, rule] => rule.to_owned(),
    }
}
