//! `sgctl flows`: the flows in the pinned tables, whether an agent runs or not. It deletes flows on demand, and must never change
//! anything else.

use std::{
    collections::HashMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use ipnet::IpNet;
use serde::Serialize;
use sg_agent::Catalog;
use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, State},
    packet::{Family, Vlan},
    verdict::Decision,
};
use sg_kernel::Flows;
use sg_records::Protocol;

use crate::{
    args::{Common, Format, port, values},
    failure::Failure,
    render::{Output, Rows, count},
    session::{filter_of, in_force},
};

/// Show and delete flows.
///
/// Of a deleted TCP connection nothing passes any more except a new SYN, which the rules judge. A deleted flow of another
/// protocol is judged by the rules on its next packet, as a new flow.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Delete the flows found, after confirmation.
    #[arg(long)]
    delete: bool,
    /// Do not ask for confirmation.
    #[arg(long, short, requires = "delete")]
    yes: bool,
    #[command(flatten)]
    wanted: Wanted,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
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

/// A flow for display.
#[derive(Debug, Serialize)]
struct Row {
    nic: String,
    /// The network of its packets by their VLAN tags; none: without tags, or with a priority only.
    vlan: Option<String>,
    protocol: String,
    /// The direction of the first packet.
    direction: &'static str,
    remote: IpAddr,
    remote_port: u16,
    local: IpAddr,
    local_port: u16,
    state: Progress,
    /// The group whose rule decided; none: a default.
    group: Option<String>,
    rule: Option<String>,
    /// Of the end that opened the flow, and of the other.
    packets: [u64; 2],
    bytes: [u64; 2],
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    let instance = filter_of(common)?;
    let catalog = in_force(&instance)?;
    let pins = instance.pins();
    let mut flows = Flows::open(&pins)
        .with_context(|| format!("cannot read the flows pinned in {}", pins.display()))
        .map_err(Failure::other)?;
    let known = CatalogNames::of(&catalog);
    let found: Vec<(FlowKey, FlowEntry, Row)> = flows
        .list()
        .map_err(Failure::other)?
        .into_iter()
        .map(|(key, entry)| (key, entry, known.row(&key, &entry)))
        .filter(|(key, _, row)| args.wanted.admits(key, row))
        .collect();
    if args.delete {
        return delete(args, &mut flows, &pins, &found, &mut output);
    }
    let rows: Vec<&Row> = found.iter().map(|(.., row)| row).collect();
    match output.format {
        Format::Table | Format::Wide if rows.is_empty() => output.line("no flows"),
        Format::Table | Format::Wide => output.table(written(&rows)),
        Format::Json | Format::Yaml => output.data(&rows),
        Format::Name => Err(Failure::input(anyhow!("flows have no ids: ask for table, json or yaml"))),
    }
}

fn delete(
    args: &Args,
    flows: &mut Flows,
    pins: &Path,
    found: &[(FlowKey, FlowEntry, Row)],
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    if found.is_empty() {
        return output.line("no flows");
    }
    output.confirm(&format!("Delete {}?", count(found.len(), "flow")), args.yes)?;
    for (key, ..) in found {
        flows.end_one(pins, key).map_err(Failure::other)?;
    }
    output.line(&format!("deleted {}", count(found.len(), "flow")))
}

/// The columns of the table.
pub(crate) const TITLES: [&str; 11] =
    ["NIC", "VLAN", "PROTOCOL", "OPENED", "REMOTE", "LOCAL", "STATE", "GROUP", "RULE", "PACKETS", "BYTES"];

fn written(rows: &[&Row]) -> Rows {
    let end = |address: IpAddr, port: u16| match (address, port) {
        (address, 0) => address.to_string(),
        (IpAddr::V4(address), port) => format!("{address}:{port}"),
        (IpAddr::V6(address), port) => format!("[{address}]:{port}"),
    };
    let cells = rows.iter().map(|row| {
        vec![
            row.nic.clone(),
            row.vlan.clone().unwrap_or_else(|| "-".to_owned()),
            row.protocol.clone(),
            row.direction.to_owned(),
            end(row.remote, row.remote_port),
            end(row.local, row.local_port),
            values::word(&row.state),
            row.group.clone().unwrap_or_else(|| "-".to_owned()),
            row.rule.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{}/{}", row.packets[0], row.packets[1]),
            format!("{}/{}", row.bytes[0], row.bytes[1]),
        ]
    });
    Rows::new(&TITLES, &["PACKETS", "BYTES"], cells)
}

/// The names of numbers in the tables.
struct CatalogNames<'a> {
    nics: HashMap<u16, &'a str>,
    /// Group and rule, by the number of the counter.
    rules: HashMap<u32, (&'a str, Option<&'a str>)>,
}

impl<'a> CatalogNames<'a> {
    fn of(catalog: &'a Catalog) -> Self {
        let nics = catalog.nics.iter().map(|nic| (nic.slot, nic.device.as_str())).collect();
        let mut rules = HashMap::new();
        for group in &catalog.numbers.groups {
            let name = group.name.as_str();
            for rule in group.ingress.iter().chain(&group.egress) {
                rules.insert(rule.number, (name, Some(rule.id.as_str())));
            }
            rules.extend(group.intra_group.map(|number| (number, (name, None))));
        }
        Self { nics, rules }
    }

    fn row(&self, key: &FlowKey, entry: &FlowEntry) -> Row {
        let decision = Decision::from_word(entry.decision);
        let decided = decision.and_then(|decision| self.rules.get(&decision.number()));
        let text = |text: &str| text.to_owned();
        // Of an echo flow, the remote port is its identifier, and the local one says which end sent the request.
        let echo = matches!(key.l4.protocol(), 1 | 58);
        Row {
            nic: self
                .nics
                .get(&key.l4.nic())
                .map_or_else(|| format!("slot {}", key.l4.nic()), |name| text(name)),
            vlan: Some(key.network()).filter(|vlan| !vlan.is_none()).map(|vlan| vlan.to_string()),
            protocol: Protocol::Number(key.l4.protocol()).to_string(),
            direction: match entry.direction() {
                Direction::Ingress => "ingress",
                Direction::Egress => "egress",
            },
            remote: address(key.l4.family(), key.remote_high, key.remote_low),
            remote_port: if echo { 0 } else { key.l4.remote_port() },
            local: address(key.l4.family(), key.local_high, key.local_low),
            local_port: if echo { 0 } else { key.l4.local_port() },
            state: match entry.state() {
                _ if entry.is_revoked() => Progress::Revoked,
                state if state == State::New as u8 => Progress::HalfOpen,
                state if state == State::Established as u8 => Progress::Established,
                _ => Progress::Closing,
            },
            group: decided.map(|(group, _)| text(group)),
            rule: decided.and_then(|(_, rule)| rule.map(text)),
            packets: entry.packets,
            bytes: entry.bytes,
        }
    }
}

fn address(family: Family, high: u64, low: u64) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(high as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
    }
}

impl Wanted {
    fn admits(&self, key: &FlowKey, row: &Row) -> bool {
        let protocol = |wanted| wanted == Protocol::All || wanted == Protocol::Number(key.l4.protocol());
        let rule = |wanted: &String| row.rule.as_ref() == Some(wanted);
        self.nic.as_ref().is_none_or(|wanted| row.nic == *wanted)
            && self.protocol.is_none_or(protocol)
            && self.vlan.is_none_or(|wanted| key.network() == wanted)
            && self.remote.is_none_or(|wanted| wanted.contains(&row.remote))
            && self.local.is_none_or(|wanted| wanted.contains(&row.local))
            && self.port.is_none_or(|wanted| [row.remote_port, row.local_port].contains(&wanted))
            && self.state.is_none_or(|wanted| row.state == wanted)
            && self.rule.as_ref().is_none_or(rule)
    }
}
