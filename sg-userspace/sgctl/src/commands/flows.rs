//! `sgctl flows`: the flows in the tables. It asks the agent; where none serves, or the agent is only looked at, it reads the pinned
//! tables, whether an agent runs or not. It deletes flows on demand, and must never change anything else.

use std::io::Write;

use anyhow::anyhow;
use clap::ValueEnum;
use hyper::Method;
use ipnet::IpNet;
use sg_api_types::{DeleteFlows, DeletedFlows, FlowFilter, FlowList, FlowProgress, FlowRow, MOST_FLOWS};
use sg_common::{packet::Vlan, verdict::Reason};
use sg_inspect::flows;
use sg_records::Protocol;

use crate::{
    args::{Common, Format, Watch, port, values, write_end},
    client::{Address, Call},
    failure::Failure,
    render::{Output, Rows, count},
    session::{ask_agent, filter_of, in_force},
};

/// Show and delete flows.
///
/// Of a deleted TCP connection nothing passes any more except a new SYN, which the rules judge. A deleted flow of another
/// protocol is judged by the rules on its next packet, as a new flow.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete the flows found, after confirmation.
    #[arg(long, conflicts_with = "watch")]
    delete: bool,
    /// Do not ask for confirmation.
    #[arg(long, short, requires = "delete")]
    yes: bool,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    watch: Watch,
}

/// Which flows. What is left out may be anything.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// Only flows of this NIC.
    #[arg(long, value_name = "DEVICE")]
    nic: Option<String>,
    /// Only this protocol: tcp, udp, icmp …, or a number.
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Only flows whose remote address is in this prefix.
    #[arg(long, value_name = "CIDR", value_parser = values::prefix)]
    remote: Option<IpNet>,
    /// Only flows whose local address is in this prefix.
    #[arg(long, value_name = "CIDR", value_parser = values::prefix)]
    local: Option<IpNet>,
    /// Only this VLAN: none, a number, ad.NUMBER for an 802.1ad tag, OUTER/INNER for two.
    #[arg(long, value_parser = values::vlan)]
    vlan: Option<Vlan>,
    /// Only flows with this port, or port of a service such as ssh, at either end
    #[arg(long, value_parser = port)]
    port: Option<u16>,
    /// Only flows in this state.
    #[arg(long)]
    state: Option<Progress>,
    /// Only flows that this rule accepted or revoked.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Progress {
    /// No reply yet.
    HalfOpen,
    /// Packets in both directions.
    Established,
    /// Ended by a reset, or by a FIN from both ends.
    Closing,
    /// No longer accepted by the policy.
    Revoked,
}

impl From<Progress> for FlowProgress {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::HalfOpen => Self::HalfOpen,
            Progress::Established => Self::Established,
            Progress::Closing => Self::Closing,
            Progress::Revoked => Self::Revoked,
        }
    }
}

/// The word for a state.
const fn word(progress: FlowProgress) -> &'static str {
    match progress {
        FlowProgress::HalfOpen => "half-open",
        FlowProgress::Established => "established",
        FlowProgress::Closing => "closing",
        FlowProgress::Revoked => "revoked",
    }
}

impl Wanted {
    fn filter(&self) -> FlowFilter {
        let Self { nic, protocol, remote, local, vlan, port, state, rule } = self;
        FlowFilter {
            nic: nic.clone(),
            protocol: *protocol,
            remote: remote.map(|prefix| prefix.to_string()),
            local: local.map(|prefix| prefix.to_string()),
            vlan: vlan.map(|vlan| if vlan.is_none() { values::NO_VLAN.to_owned() } else { vlan.to_string() }),
            port: *port,
            state: state.map(FlowProgress::from),
            rule: rule.clone(),
        }
    }
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    let filter = args.wanted.filter();
    if args.delete {
        return delete(args, &filter, common, &mut output);
    }
    args.watch.show(&mut output, |output| print(&found(&filter, MOST_FLOWS, common)?, output))
}

/// The number of flows and so many of them, from the agent; or all of them, from what is pinned.
fn found(filter: &FlowFilter, most: usize, common: &Common) -> Result<FlowList, Failure> {
    if let Some(found) = ask_agent(common, &Call::get(address(filter).with("limit", most)))? {
        return Ok(found);
    }
    let instance = filter_of(common)?;
    Ok(flows::list(&instance, &in_force(&instance)?, filter, usize::MAX)?)
}

fn address(filter: &FlowFilter) -> Address {
    let FlowFilter { nic, protocol, remote, local, vlan, port, state, rule } = filter;
    Address::of(&["flows"])
        .with_some("nic", nic.as_ref())
        .with_some("protocol", *protocol)
        .with_some("remote", remote.as_ref())
        .with_some("local", local.as_ref())
        .with_some("vlan", vlan.as_ref())
        .with_some("port", *port)
        .with_some("state", state.map(word))
        .with_some("rule", rule.as_ref())
}

fn print(found: &FlowList, output: &mut Output<'_>) -> Result<(), Failure> {
    let rows = &found.flows;
    match output.format {
        Format::Table | Format::Wide if rows.is_empty() => output.line("no flows"),
        Format::Table | Format::Wide => output.table(written(rows)),
        Format::Json | Format::Yaml => output.data(rows),
        Format::Name => Err(Failure::input(anyhow!("flows have no ids: ask for table, json or yaml"))),
    }?;
    let more = found.total.saturating_sub(rows.len());
    if more > 0 {
        output.remark(&format!("{} not listed: narrow the filter", count(more, "flow")));
    }
    Ok(())
}

fn delete(args: &Args, filter: &FlowFilter, common: &Common, output: &mut Output<'_>) -> Result<(), Failure> {
    // Their number is asked for; none of them is looked at.
    let found = found(filter, 1, common)?.total;
    if found == 0 {
        return output.line("no flows");
    }
    output.confirm(&format!("Delete {}?", count(found, "flow")), args.yes)?;
    let order = DeleteFlows { filter: filter.clone(), all: *filter == FlowFilter::default() };
    let call = Call::change(Method::POST, Address::of(&["flows", "delete"])).with_json(&order)?.unguarded();
    let deleted = if let Some(DeletedFlows { deleted }) = ask_agent(common, &call)? {
        deleted
    } else {
        let instance = filter_of(common)?;
        flows::delete(&instance, &in_force(&instance)?, filter, order.all)?
    };
    output.line(&format!("deleted {}", count(deleted, "flow")))
}

/// The columns of the table.
pub(crate) const TITLES: [&str; 11] =
    ["NIC", "VLAN", "PROTOCOL", "OPENED", "REMOTE", "LOCAL", "STATE", "GROUP", "RULE", "PACKETS", "BYTES"];

/// What stands for a group or rule that does not exist any more.
pub(crate) const GONE: &str = "(gone)";

/// The cells of the group and the rule that decided.
pub(crate) fn decider(flow: &FlowRow) -> [&str; 2] {
    let is = |reason: Reason| flow.reason == reason.name();
    let cell = |name, is_gone| match name {
        Some(name) => name,
        None if is_gone => GONE,
        None => "-",
    };
    let FlowRow { group, rule, .. } = flow;
    let (by_rule, by_group) = (is(Reason::Rule), is(Reason::IntraGroup));
    [cell(group.as_deref(), by_rule || by_group), cell(rule.as_deref(), by_rule)]
}

fn written(rows: &[FlowRow]) -> Rows {
    let cells = rows.iter().map(|row| {
        let [group, rule] = decider(row).map(str::to_owned);
        vec![
            row.nic.clone(),
            row.vlan.clone().unwrap_or_else(|| "-".to_owned()),
            row.protocol.clone(),
            row.direction.to_string(),
            write_end(row.remote, row.remote_port),
            write_end(row.local, row.local_port),
            word(row.state).to_owned(),
            group,
            rule,
            format!("{}/{}", row.packets[0], row.packets[1]),
            format!("{}/{}", row.bytes[0], row.bytes[1]),
        ]
    });
    Rows::new(&TITLES, &["PACKETS", "BYTES"], cells)
}
