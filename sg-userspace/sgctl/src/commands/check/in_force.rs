//! The verdict for a packet on a NIC as it is now: `sgd serve` judges, and this displays its response.

use std::net::IpAddr;

use clap::Args;
use hyper::Method;
use sg_api_types::{Checked, CommonCheck};
use sg_model::text::escaped;

use crate::{
    args::{
        common::Format,
        values::{named, write_ids},
    },
    client::{address::Address, http::Call},
    commands::{check::packet::PacketArgs, rule::words},
    failure::Failure,
    names::{Names, Wanted},
    render::column::{Column, Render, name_or},
    session::Session,
};

/// The maximum number of listed rules; the rest is only counted.
const LISTED: usize = 30;

/// Show whether common ports are open: 22, 80, 443, 3389, 8080, and ping.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Id, name or device of the NIC; an instance means its primary NIC.
    #[arg(value_parser = named())]
    nic: String,
    /// Address that would connect.
    #[arg(long, value_name = "ADDRESS")]
    remote: IpAddr,
}

pub(crate) fn packet(args: &PacketArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    args.require_port()?;
    // A query; it is no GET only because of its length.
    let call = Call::change(Method::POST, Address::of(&["check"])).with_json(&args.request())?.question();
    let checked: Checked = session.client.call(&call)?;
    match session.output.format {
        Format::Table | Format::Wide => explain(session, &checked),
        Format::Json | Format::Yaml => session.output.data(&checked),
        Format::Name => session.output.line(&checked.verdict),
    }?;
    args.compare(&checked.verdict)
}

/// What decided, in words.
fn by(checked: &Checked) -> String {
    let group = match (&checked.group_name, &checked.group) {
        (Some(name), _) if !name.is_empty() => format!(" of group {name}"),
        (_, Some(group)) => format!(" of group {group}"),
        _ => String::new(),
    };
    match &checked.rule {
        Some(rule) => format!("by rule {}{group}", name_or(&rule.spec.name, &rule.id)),
        None => format!("by {}{group}", checked.reason),
    }
}

/// Displays a verdict of the agent, and why.
pub(super) fn explain(session: &mut Session<'_>, checked: &Checked) -> Result<(), Failure> {
    let mut wanted = Wanted::default();
    let rules = checked.rule.iter().chain(checked.shadowed.iter().map(|concerned| &concerned.rule));
    rules.for_each(|rule| rule.mentions(&mut wanted));
    wanted.ids("groups", checked.evaluated.iter().map(|evaluated| &evaluated.group));
    let names = session.names(&wanted)?;
    let output = &mut session.output;
    let verdict = output.paint_as(&checked.verdict, &escaped(&checked.verdict));
    output.painted(&format!("{verdict} {}", escaped(&by(checked))))?;
    if let Some(rule) = &checked.rule {
        output.line(&format!("  {}", words(rule, &names)))?;
    }
    let hidden = checked.evaluated.len().saturating_sub(LISTED);
    if !checked.evaluated.is_empty() {
        output.line("evaluated before:")?;
    }
    if hidden > 0 {
        output.line(&format!("  … {hidden} more that do not match"))?;
    }
    // The rules closest to the decision are the ones that were expected to decide.
    for evaluated in &checked.evaluated[hidden..] {
        let group = names.of(&evaluated.group);
        let line = match &evaluated.rule {
            Some(rule) => format!("  {rule} of {group}: {}", evaluated.because),
            None => format!("  members of {group}: {}", evaluated.because),
        };
        output.line(&line)?;
    }
    if !checked.shadowed.is_empty() {
        output.line("shadowed (they match this packet too, but are never reached):")?;
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
        Column::new("RULE", |common| {
            common.checked.rule.as_ref().map(|rule| name_or(&rule.spec.name, &rule.id)).unwrap_or_default()
        }),
        Column::wide("ID", |common| write_ids(common.checked.rule.iter().map(|rule| &rule.id))),
        Column::wide("SHADOWED", |common| {
            write_ids(common.checked.shadowed.iter().map(|concerned| &concerned.rule.id))
        }),
    ];

    fn id(&self) -> String {
        self.name.clone()
    }
}

pub(crate) fn common(args: &CommonArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["check", "common"]).with("nic", &args.nic).with("remote", args.remote);
    let checks: Vec<CommonCheck> = session.get(address)?;
    session.output.many(&checks, &Names::default())
}
