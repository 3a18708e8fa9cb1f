//! `sgctl check packet` and `common`: the verdict for a packet on a NIC as it is now.

use std::net::IpAddr;

use anyhow::anyhow;
use clap::Args;
use hyper::Method;
use sg_common::packet::has_ports;

use super::{
    address::Address,
    args::{named, write_ids},
    client::Call,
    failure::Failure,
    names::{Names, Wanted},
    output::Format,
    rule::words,
    session::Session,
    table::{Column, Render},
};
use crate::{
    model::text::escaped,
    service::{CheckPacket, Checked, CommonCheck},
    store::{Direction, Protocol},
};

/// The maximum number of listed rules; the rest is only counted.
const LISTED: usize = 30;

/// Judge a packet on a NIC by the rules in force.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  sgctl check packet eth0 --protocol tcp --port 22 --remote 203.0.113.9
  sgctl check packet web-1 --direction egress --protocol icmp --remote 10.0.0.9")]
pub(super) struct PacketArgs {
    /// Id, name or device of the NIC; an instance means its primary NIC.
    #[arg(value_parser = named())]
    nic: String,
    /// Direction as the NIC's owner sees it.
    #[arg(long, value_enum, default_value = "ingress")]
    direction: Direction,
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, or 0 to 255.
    #[arg(long)]
    protocol: Protocol,
    /// Remote address: the source of inbound packets, the destination of outbound ones.
    #[arg(long, value_name = "ADDRESS")]
    remote: IpAddr,
    /// Local address [default: the NIC's first address of the remote's family].
    #[arg(long, value_name = "ADDRESS")]
    local: Option<IpAddr>,
    /// Destination port; required for tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite).
    #[arg(long)]
    port: Option<u16>,
    /// Source port [default: 40000].
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
    /// ICMP type [default: echo request].
    #[arg(long, value_name = "NUMBER")]
    icmp_type: Option<u8>,
    /// ICMP code [default: 0].
    #[arg(long, value_name = "NUMBER")]
    icmp_code: Option<u8>,
}

/// Show whether common ports are open: 22, 80, 443, 3389, 8080, and ping.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  sgctl check common eth0 --remote 203.0.113.9")]
pub(super) struct CommonArgs {
    /// Id, name or device of the NIC; an instance means its primary NIC.
    #[arg(value_parser = named())]
    nic: String,
    /// Address that would connect.
    #[arg(long, value_name = "ADDRESS")]
    remote: IpAddr,
}

pub(super) fn packet(typed: PacketArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    if let (Protocol::Number(number), None) = (typed.protocol, typed.port)
        && has_ports(number)
    {
        return Err(Failure::input(anyhow!("{} needs --port, 0 to 65535", typed.protocol)));
    }
    let body = CheckPacket {
        nic: typed.nic,
        direction: typed.direction,
        protocol: typed.protocol,
        remote: typed.remote,
        local: typed.local,
        port: typed.port,
        source_port: typed.source_port,
        icmp_type: typed.icmp_type,
        icmp_code: typed.icmp_code,
    };
    // A query; it is no GET only because of its length.
    let call = Call::change(Method::POST, Address::of(&["check"])).with_json(&body)?;
    let checked: Checked = session.client.call(&call)?;
    match session.output.format {
        Format::Table | Format::Wide => explain(session, &checked),
        Format::Json | Format::Yaml => session.output.data(&checked),
        Format::Name => session.output.line(&checked.verdict),
    }
}

/// What decided, in words.
fn by(checked: &Checked) -> String {
    let group = match (&checked.group_name, &checked.group) {
        (Some(name), _) if !name.is_empty() => format!(" of group {name}"),
        (_, Some(group)) => format!(" of group {group}"),
        _ => String::new(),
    };
    match &checked.rule {
        Some(rule) => format!("by rule {}{group}", rule.id),
        None => format!("by {}{group}", checked.reason),
    }
}

fn explain(session: &mut Session<'_>, checked: &Checked) -> Result<(), Failure> {
    let mut wanted = Wanted::default();
    let rules = checked.rule.iter().chain(checked.shadowed.iter().map(|concerned| &concerned.rule));
    rules.for_each(|rule| rule.mentions(&mut wanted));
    wanted.ids("groups", checked.asked.iter().map(|asked| &asked.group));
    let names = session.names(&wanted)?;
    let output = &mut session.output;
    let verdict = output.paint_as(&checked.verdict, &escaped(&checked.verdict));
    output.painted(&format!("{verdict} {}", escaped(&by(checked))))?;
    if let Some(rule) = &checked.rule {
        output.line(&format!("  {}", words(rule, &names)))?;
    }
    let hidden = checked.asked.len().saturating_sub(LISTED);
    if !checked.asked.is_empty() {
        output.line("asked before:")?;
    }
    if hidden > 0 {
        output.line(&format!("  … {hidden} more that do not match"))?;
    }
    // The rules closest to the decision are the ones that were expected to decide.
    for asked in &checked.asked[hidden..] {
        let group = names.of(&asked.group);
        let line = match &asked.rule {
            Some(rule) => format!("  {rule} of {group}: {}", asked.because),
            None => format!("  members of {group}: {}", asked.because),
        };
        output.line(&line)?;
    }
    if !checked.shadowed.is_empty() {
        output.line("shadowed (they match this packet too, but are never asked):")?;
    }
    for concerned in checked.shadowed.iter().take(LISTED) {
        let rule = &concerned.rule;
        output.line(&format!("  {} of {}: {}", rule.id, concerned.group_name, words(rule, &names)))?;
    }
    match checked.shadowed.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => output.line(&format!("  … {more} more")),
    }
}

impl Render for CommonCheck {
    const NOUN: &'static str = "check";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("PORT", |common| common.name.clone()),
        Column::new("VERDICT", |common| common.checked.verdict.clone()),
        Column::new("REASON", |common| common.checked.reason.clone()),
        Column::new("GROUP", |common| common.checked.group_name.clone().unwrap_or_default()),
        Column::new("RULE", |common| write_ids(common.checked.rule.iter().map(|rule| &rule.id))),
        Column::wide("SHADOWED", |common| {
            write_ids(common.checked.shadowed.iter().map(|concerned| &concerned.rule.id))
        }),
    ];

    fn id(&self) -> String {
        self.name.clone()
    }
}

pub(super) fn common(typed: &CommonArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["check", "common"]).with("nic", &typed.nic).with("remote", typed.remote);
    let checks: Vec<CommonCheck> = session.get(address)?;
    session.output.many(&checks, &Names::default())
}
