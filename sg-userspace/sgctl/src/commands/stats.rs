//! `sgctl stats`: the counters of every rule, default and reason. It reads the catalog and the pinned counters, so it works
//! whether an agent runs or not. It must never change either.

use std::io::Write;

use anyhow::{Context, anyhow};
use serde::Serialize;
use sg_agent::{Catalog, Outcome, nic_block, read_counters};
use sg_common::{
    abi::{self, Counter, reason_counter},
    flow::Direction,
    verdict::Reason,
};
use sg_kernel::KernelError;
use sg_model::text::escaped_json;

use crate::{
    args::{Common, Format},
    failure::Failure,
    render::{Output, Rows},
    session::{filter_of, in_force},
};

/// Show the counters of rules, defaults and reasons.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this NIC and the rules of its groups. A rule counts the packets of all NICs that hold its group.
    #[arg(long, value_name = "DEVICE")]
    nic: Option<String>,
    /// Include counters that are zero.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    let instance = filter_of(common)?;
    let catalog = in_force(&instance)?;
    if let Some(device) = &args.nic
        && catalog.nic(device).is_none()
    {
        let known: Vec<&str> = catalog.nics.iter().map(|nic| nic.device.as_str()).collect();
        let known = known.join(", ");
        return Err(Failure::not_found(anyhow!(
            "no NIC {device:?} in the policy in force; there are: {known}"
        )));
    }
    let pins = instance.pins();
    let mut stats = Stats::collect(&catalog, args.nic.as_deref(), |numbers| read_counters(&pins, numbers))
        .with_context(|| format!("cannot read the counters pinned in {}", pins.display()))
        .map_err(Failure::other)?;
    if output.format.is_data() && !args.all {
        stats.reasons.retain(|row| row.count.packets > 0);
    }
    match output.format {
        Format::Table | Format::Wide => match stats.tables(args.all) {
            tables if tables.is_empty() => output.line("nothing was counted yet; --all shows zeros, too"),
            tables => output.tables(tables),
        },
        // On one line, as it has always been.
        Format::Json => {
            output.painted(&escaped_json(&serde_json::to_string(&stats).map_err(Failure::other)?))
        }
        Format::Yaml => output.data(&stats),
        Format::Name => Err(Failure::input(anyhow!("counters have no ids: ask for table, json or yaml"))),
    }
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    packets: u64,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RuleRow {
    group: String,
    rule: String,
    direction: &'static str,
    action: Outcome,
    #[serde(flatten)]
    count: Count,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct GroupRow {
    group: String,
    #[serde(flatten)]
    count: Count,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct DefaultRow {
    nic: String,
    direction: &'static str,
    verdict: Outcome,
    #[serde(flatten)]
    count: Count,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ReasonRow {
    /// None: packets of devices that are no NIC.
    nic: Option<String>,
    direction: &'static str,
    reason: &'static str,
    #[serde(flatten)]
    count: Count,
}

/// The flow tables of the host, as of the agent's last ageing pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Flows {
    /// Established flows, and their maximum.
    established: u64,
    max_established: u32,
    /// Half-open flows, likewise.
    half_open: u64,
    max_half_open: u32,
    /// Half-open flows that were evicted since the tables were created.
    evicted: u64,
}

/// All counts, in the order of the document.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Stats {
    rules: Vec<RuleRow>,
    intra_group: Vec<GroupRow>,
    defaults: Vec<DefaultRow>,
    reasons: Vec<ReasonRow>,
    /// None: the counts are of one NIC only.
    flows: Option<Flows>,
}

const DIRECTIONS: [(Direction, &str); 2] = [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")];

impl Stats {
    /// Counts of `nic`, or of all. `read` returns the values of counter numbers, in their order.
    fn collect(
        catalog: &Catalog,
        nic: Option<&str>,
        read: impl FnOnce(&[u32]) -> Result<Vec<Counter>, KernelError>,
    ) -> Result<Self, KernelError> {
        let (mut stats, mut numbers) = Self::rows(catalog, nic);
        numbers.extend(abi::flows::ALL);
        let mut counters = read(&numbers)?;
        let tables = counters.split_off(numbers.len() - abi::flows::ALL.len());
        if let (None, [evicted, established, half_open]) = (nic, &tables[..]) {
            stats.flows = Some(Flows {
                established: established.packets,
                max_established: catalog.limits.flows,
                half_open: half_open.packets,
                max_half_open: catalog.limits.half_open(),
                evicted: evicted.packets,
            });
        }
        for (count, counter) in stats.counts().zip(counters) {
            *count = Count { packets: counter.packets, bytes: counter.bytes };
        }
        Ok(stats)
    }

    /// Rows without their counts, and the counter number of each, in the order of [`Self::counts`].
    fn rows(catalog: &Catalog, only: Option<&str>) -> (Self, Vec<u32>) {
        let (mut stats, mut numbers, count) = (Self::default(), Vec::new(), Count::default());
        let nics = || catalog.nics.iter().filter(|nic| only.is_none_or(|only| nic.device == only));
        let groups = || {
            let holds = |name: &String| nics().any(|nic| nic.groups.contains(name));
            catalog.numbers.groups.iter().filter(move |group| only.is_none() || holds(&group.name))
        };
        for group in groups() {
            for (direction, name) in DIRECTIONS {
                for rule in group.rules(direction) {
                    let (group, action) = (group.name.clone(), rule.action);
                    stats.rules.push(RuleRow {
                        group,
                        rule: rule.id.clone(),
                        direction: name,
                        action,
                        count,
                    });
                    numbers.push(rule.number);
                }
            }
        }
        for group in groups() {
            if let Some(number) = group.intra_group {
                stats.intra_group.push(GroupRow { group: group.name.clone(), count });
                numbers.push(number);
            }
        }
        for nic in nics() {
            for (direction, name) in DIRECTIONS {
                let verdict = match direction {
                    Direction::Ingress => nic.ingress_default,
                    Direction::Egress => nic.egress_default,
                };
                stats.defaults.push(DefaultRow { nic: nic.device.clone(), direction: name, verdict, count });
                numbers.push(reason_counter(nic_block(nic.slot), direction, Reason::Default));
            }
        }
        let blocks = nics().map(|nic| (nic.device.clone(), nic_block(nic.slot)));
        for (nic, first) in blocks {
            for (direction, name) in DIRECTIONS {
                for reason in Reason::ALL.into_iter().filter(|&reason| has_own_counter(reason)) {
                    let nic = Some(nic.clone());
                    stats.reasons.push(ReasonRow { nic, direction: name, reason: reason.name(), count });
                    numbers.push(reason_counter(first, direction, reason));
                }
            }
        }
        for reason in abi::HOST_REASONS.into_iter().filter(|_| only.is_none()) {
            // The packet's direction is not known.
            stats.reasons.push(ReasonRow { nic: None, direction: "ingress", reason: reason.name(), count });
            numbers.push(abi::host_counter(reason));
        }
        (stats, numbers)
    }

    fn counts(&mut self) -> impl Iterator<Item = &mut Count> {
        let rules = self.rules.iter_mut().map(|row| &mut row.count);
        let groups = self.intra_group.iter_mut().map(|row| &mut row.count);
        let defaults = self.defaults.iter_mut().map(|row| &mut row.count);
        let reasons = self.reasons.iter_mut().map(|row| &mut row.count);
        rules.chain(groups).chain(defaults).chain(reasons)
    }

    /// The tables for people; `all` also shows counts of zero.
    fn tables(&self, all: bool) -> Vec<Rows> {
        let wanted = |count: Count| all || count.packets > 0;
        let owned = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<String>>();
        let rules = self
            .rules
            .iter()
            .map(|row| (owned(&[&row.group, &row.rule, row.direction, row.action.name()]), row.count));
        let groups = self
            .intra_group
            .iter()
            .map(|row| (owned(&[&row.group, "(between members)", "ingress", "accept"]), row.count));
        let defaults = self.defaults.iter().map(|row| {
            (owned(&[&row.nic, row.direction, "(no rule matched)", row.verdict.name()]), row.count)
        });
        let reasons = self.reasons.iter().map(|row| {
            (owned(&[row.nic.as_deref().unwrap_or("(no NIC)"), row.direction, row.reason]), row.count)
        });
        let rules: Vec<Row> = rules.chain(groups).filter(|row| wanted(row.1)).collect();
        let defaults: Vec<Row> = defaults.filter(|row| wanted(row.1)).collect();
        let reasons: Vec<Row> = reasons.filter(|row| wanted(row.1)).collect();
        let tables = [
            table(&["GROUP", "RULE", "DIRECTION", "ACTION"], rules),
            table(&["NIC", "DIRECTION", "DEFAULT", "ACTION"], defaults),
            table(&["NIC", "DIRECTION", "REASON"], reasons),
        ];
        let flows = self.flows.filter(|flows| all || flows.established + flows.half_open + flows.evicted > 0);
        let flows = flows.map(Flows::table);
        tables.into_iter().flatten().chain(flows).collect()
    }
}

impl Flows {
    fn table(self) -> Rows {
        let row = |name: &str, now: u64, max: u32, evicted: String| {
            [name.to_owned(), now.to_string(), max.to_string(), evicted]
        };
        let rows = [
            row("established", self.established, self.max_established, String::new()),
            row("half-open", self.half_open, self.max_half_open, self.evicted.to_string()),
        ];
        let titles = ["FLOWS", "NOW", "MAX-PER-FAMILY", "EVICTED"];
        Rows::new(&titles, &titles[1..], rows.into_iter().map(Vec::from))
    }
}

/// Whether packets decided for this reason have a counter by reason: others count for their rule, group or default.
fn has_own_counter(reason: Reason) -> bool {
    !matches!(reason, Reason::Rule | Reason::IntraGroup | Reason::Default)
}

/// The cells of a row except its count.
type Row = (Vec<String>, Count);

fn table(columns: &[&'static str], rows: Vec<Row>) -> Option<Rows> {
    if rows.is_empty() {
        return None;
    }
    let titles: Vec<&'static str> = columns.iter().copied().chain(["PACKETS", "BYTES"]).collect();
    let rows = rows.into_iter().map(|(mut cells, count)| {
        cells.extend([count.packets.to_string(), count.bytes.to_string()]);
        cells
    });
    Some(Rows::new(&titles, &["PACKETS", "BYTES"], rows))
}

#[cfg(test)]
mod tests;
