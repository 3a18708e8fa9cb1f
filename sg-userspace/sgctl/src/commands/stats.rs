//! `sgctl stats`: the counters of every rule, default and reason. It asks the agent; where none serves, it reads the catalog and the
//! pinned counters, so it works whether an agent runs or not. It must never change either.

use std::io::Write;

use anyhow::anyhow;
use sg_api_types::{Count, FlowCounts, Stats};
use sg_inspect::stats::stats;
use sg_model::text::escaped_json;
use sg_records::Direction;

use crate::{
    args::{Common, Format, Watch},
    client::{Address, Call},
    failure::Failure,
    render::{Output, Rows},
    session::{ask_agent, filter_of, in_force},
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
    #[command(flatten)]
    watch: Watch,
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    args.watch.show(&mut output, |output| print(&counted(args, common)?, args.all, output))
}

/// The counts, from the agent or from what is pinned.
fn counted(args: &Args, common: &Common) -> Result<Stats, Failure> {
    let address = Address::of(&["stats"]).with_some("nic", args.nic.as_ref());
    let address = address.with_some("all", args.all.then_some(true));
    if let Some(stats) = ask_agent(common, &Call::get(address))? {
        return Ok(stats);
    }
    let instance = filter_of(common)?;
    let mut stats = stats(&instance, &in_force(&instance)?, args.nic.as_deref())?;
    if !args.all {
        stats.reasons.retain(|row| row.count.packets > 0);
    }
    Ok(stats)
}

fn print(stats: &Stats, all: bool, output: &mut Output<'_>) -> Result<(), Failure> {
    match output.format {
        Format::Table | Format::Wide => match tables(stats, all) {
            tables if tables.is_empty() => output.line("nothing was counted yet; --all shows zeros, too"),
            tables => output.tables(tables),
        },
        // On one line, as it has always been.
        Format::Json => output.painted(&escaped_json(&serde_json::to_string(stats).map_err(Failure::other)?)),
        Format::Yaml => output.data(stats),
        Format::Name => Err(Failure::input(anyhow!("counters have no ids: ask for table, json or yaml"))),
    }
}

/// The tables for people; `all` also shows counts of zero.
fn tables(stats: &Stats, all: bool) -> Vec<Rows> {
    let Stats { rules, intra_group, defaults, reasons, flows } = stats;
    let wanted = |count: Count| all || count.packets > 0;
    let cells = |cells: &[&dyn ToString]| cells.iter().map(|cell| cell.to_string()).collect::<Vec<String>>();
    let rules =
        rules.iter().map(|row| (cells(&[&row.group, &row.rule, &row.direction, &row.action]), row.count));
    let groups = intra_group
        .iter()
        .map(|row| (cells(&[&row.group, &"(between members)", &Direction::Ingress, &"accept"]), row.count));
    let defaults = defaults
        .iter()
        .map(|row| (cells(&[&row.nic, &row.direction, &"(no rule matched)", &row.verdict]), row.count));
    let reasons = reasons.iter().map(|row| {
        let nic = row.nic.as_deref().unwrap_or("(no NIC)");
        (cells(&[&nic, &row.direction, &row.reason]), row.count)
    });
    let rules: Vec<Row> = rules.chain(groups).filter(|row| wanted(row.1)).collect();
    let defaults: Vec<Row> = defaults.filter(|row| wanted(row.1)).collect();
    let reasons: Vec<Row> = reasons.filter(|row| wanted(row.1)).collect();
    let tables = [
        table(&["GROUP", "RULE", "DIRECTION", "ACTION"], rules),
        table(&["NIC", "DIRECTION", "DEFAULT", "ACTION"], defaults),
        table(&["NIC", "DIRECTION", "REASON"], reasons),
    ];
    let flows = flows.filter(|flows| all || flows.established + flows.half_open + flows.evicted > 0);
    tables.into_iter().flatten().chain(flows.map(flow_table)).collect()
}

fn flow_table(flows: FlowCounts) -> Rows {
    let FlowCounts {
        established,
        max_established,
        half_open,
        max_half_open,
        evicted,
        replaced: _,
        unread: _,
    } = flows;
    let row = |name: &str, now: u64, max: u32, evicted: String| {
        [name.to_owned(), now.to_string(), max.to_string(), evicted]
    };
    let rows = [
        row("established", established, max_established, String::new()),
        row("half-open", half_open, max_half_open, evicted.to_string()),
    ];
    let titles = ["FLOWS", "NOW", "MAX-PER-FAMILY", "EVICTED"];
    Rows::new(&titles, &titles[1..], rows.into_iter().map(Vec::from))
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
mod tests {
    use serde_json::json;

    use super::*;

    fn text(stats: &Stats, all: bool) -> String {
        tables(stats, all).into_iter().map(|rows| rows.text(true, false)).collect()
    }

    #[test]
    fn zeros_are_shown_on_request() {
        let count = |packets: u64| json!({ "packets": packets, "bytes": packets * 100 });
        let row = |more: serde_json::Value, packets: u64| {
            let mut row = count(packets);
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            row
        };
        let stats = |packets: u64| -> Stats {
            serde_json::from_value(json!({
                "rules": [row(json!({"group": "web", "rule": "b", "direction": "ingress", "action": "drop"}), packets)],
                "intra_group": [row(json!({"group": "ops"}), packets)],
                "defaults": [row(json!({"nic": "eth0", "direction": "egress", "verdict": "accept"}), packets)],
                "reasons": [row(json!({"nic": null, "direction": "ingress", "reason": "no-nic"}), packets)],
                "flows": {"established": packets, "max_established": 8, "half_open": 0, "max_half_open": 4, "evicted": 0},
            }))
            .unwrap()
        };
        assert!(tables(&stats(0), false).is_empty());
        for (stats, all) in [(stats(0), true), (stats(7), false)] {
            let all = text(&stats, all);
            for expected in [
                "web    b                  ingress    drop",
                "(between members)",
                "eth0  egress     (no rule matched)  accept",
                "(no NIC)",
                "EVICTED",
            ] {
                assert!(all.contains(expected), "{expected}: {all}");
            }
        }
    }
}
