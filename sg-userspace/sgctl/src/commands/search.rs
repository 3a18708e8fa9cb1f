//! `sgctl search`: the packets that a document accepts, drops or rejects, exactly; without a document, what is in force. It must
//! never search by itself: `sg-diff` does, or the agent.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{Found, FoundLine, Search, UndecidedNic};
use sg_diff::{AS_WRITTEN, search};
use sg_model::{
    Family, FamilyName, Over, Packets, Policy, Resolve as _,
    text::{escaped, escaped_json},
};
use sg_records::{Action, Direction, GroupId, InPolicy, NotInPolicy, Ports, Protocol, Remote};

use super::diff::SHOWN;
use crate::{
    args::{
        common::{Common, Format},
        numbers::RuleNumbers,
        policy,
        values::{ports, remote},
        words::{ActionParser, rule_protocol},
    },
    client::{Address, Call},
    failure::Failure,
    render::output::{Output, count},
    session::Session,
    stderr::say,
};

/// Show the packets that a document or what is in force accepts, or drops or rejects: exactly those, as few lines that do not overlap.
///
/// Each line says what decides, and shows a packet that `sgctl check` takes. Only packets that start a flow are meant. Exit code: 0 if
/// there are none, 1 if there are, 2 if that cannot be said: a search for what must not be there is a check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policy document in YAML or JSON; `-` reads standard input. Default: what is in force
    #[arg(short = 'f', long = "policy", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Only this NIC, by its device. Default: all
    #[arg(long, value_name = "DEVICE", conflicts_with = "group")]
    nic: Option<String>,
    /// Only NICs that hold this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only this direction, as the owner of the NIC sees it
    #[arg(long, value_enum)]
    direction: Option<Towards>,
    /// Only this family
    #[arg(long, value_parser = family, value_name = "4|6")]
    family: Option<Family>,
    /// With this verdict; several are separated by commas
    #[arg(long, value_parser = ActionParser, value_delimiter = ',', default_value = "accept")]
    verdict: Vec<Action>,
    /// Decided by a rule of this id
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Remotes: an address or prefix, `group:NAME`, `prefix-list:NAME`; several are separated by commas. Default: any
    #[arg(long, value_name = "REMOTE,…", value_parser = remote, value_delimiter = ',')]
    remote: Vec<Remote>,
    /// But not these remotes
    #[arg(long, value_name = "REMOTE,…", value_parser = remote, value_delimiter = ',')]
    not_remote: Vec<Remote>,
    /// Local addresses, written like --remote. Default: any
    #[arg(long, value_name = "LOCAL,…", value_parser = remote, value_delimiter = ',')]
    local: Vec<Remote>,
    /// But not these local addresses
    #[arg(long, value_name = "LOCAL,…", value_parser = remote, value_delimiter = ',')]
    not_local: Vec<Remote>,
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, all, or 0 to 255. Default: all; with ports, each that has them
    #[arg(long, value_parser = rule_protocol)]
    protocol: Option<Protocol>,
    /// Destination ports: `22`, `80,8000-8100`, or `port-list:NAME`. Default: any
    #[arg(long, visible_alias = "ports", value_name = "PORTS", value_parser = ports)]
    port: Option<Ports>,
    /// Source ports, written like --port. Default: any
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    source_ports: Option<Ports>,
    #[command(flatten)]
    numbers: RuleNumbers,
    /// Every line. Default: the first 20
    #[arg(long)]
    all: bool,
    /// How long it may take, in seconds. What is not known by then is said.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    time: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Towards {
    Ingress,
    Egress,
}

fn family(text: &str) -> Result<Family, String> {
    match text {
        "4" => Ok(Family::V4),
        "6" => Ok(Family::V6),
        _ => Err("allowed are 4 and 6".to_owned()),
    }
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let wanted = args.search();
    wanted.check().map_err(Failure::input)?;
    let ended = match &args.policy {
        Some(path) => of_document(args, &wanted, path, common, out),
        None => in_force(args, &wanted, &mut Session::new(common, out)?),
    };
    ended.map_err(Failure::not_1)
}

fn refuse_forms(output: &Output<'_>) -> Result<(), Failure> {
    output.without_table()?;
    if matches!(output.format, Format::Yaml | Format::Name) {
        return Err(Failure::input(anyhow!(
            "what a search finds is for people, or --json: leave -o yaml and name out"
        )));
    }
    Ok(())
}

fn of_document(
    args: &Args,
    wanted: &Search,
    path: &Path,
    common: &Common,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    refuse_forms(&output)?;
    let policy = policy::load(path)?;
    let packets = packets(wanted, &policy)?;
    let verdicts: Vec<_> = wanted.verdicts().into_iter().map(Into::into).collect();
    let time = Duration::from_secs(args.time);
    let found = search(&policy, &packets, &verdicts, wanted.rule.as_deref(), time);
    let most = if args.all { found.lines.len() } else { SHOWN };
    let total = found.lines.len();
    begin(&mut output, total, found.undecided.is_empty() && !found.idle)?;
    for line in found.lines.iter().take(most) {
        let written = line.written_found(policy.nic(line.nic));
        let text = format!("{}: {}", line.packets(AS_WRITTEN), line.after.words(AS_WRITTEN));
        let sample = serde_json::to_string(&written.sample).map_err(Failure::other)?;
        show(&mut output, &written, &text, &sample)?;
    }
    let undecided =
        found.undecided.into_iter().map(|(nic, direction, family)| (nic, direction.into(), family));
    end((total, total.saturating_sub(most)), found.idle, undecided)
}

fn in_force(args: &Args, wanted: &Search, session: &mut Session<'_>) -> Result<(), Failure> {
    refuse_forms(&session.output)?;
    if args.time > 3 {
        return Err(Failure::input(anyhow!(
            "--time is at most 3 seconds where an agent searches what is in force"
        )));
    }
    let address = Address::of(&["search"]).with("time", args.time);
    let address = if args.all { address.with("all", true) } else { address.with("limit", SHOWN) };
    // A query; it is no GET only because of its length.
    let call = Call::change(Method::POST, address).with_json(wanted)?.unguarded();
    let Found { lines, left_out, undecided, names: _, idle } = session.waiting("searching", &call)?;
    let output = &mut session.output;
    let total = lines.len() + left_out;
    begin(output, total, undecided.is_empty() && !idle)?;
    for line in &lines {
        let FoundLine { text, sample, .. } = line;
        show(output, line, text, &sample.to_string())?;
    }
    let undecided = undecided.iter().map(|UndecidedNic { nic, direction, family }| {
        (nic.as_str(), *direction, if *family == 4 { Family::V4 } else { Family::V6 })
    });
    end((total, left_out), idle, undecided)
}

/// How much was found, first.
fn begin(output: &mut Output<'_>, total: usize, is_whole: bool) -> Result<(), Failure> {
    if output.format.is_table() && (total > 0 || is_whole) {
        let found = if total == 0 { "no packet".to_owned() } else { count(total, "set") + " of packets" };
        output.line(&found)?;
    }
    Ok(())
}

fn show(
    output: &mut Output<'_>,
    line: &impl serde::Serialize,
    text: &str,
    sample: &str,
) -> Result<(), Failure> {
    if output.format == Format::Json {
        return output.painted(&escaped_json(&serde_json::to_string(line).map_err(Failure::other)?));
    }
    output.line(text)?;
    output.painted(&format!("    such as {}", escaped_json(sample)))
}

/// What is not shown or not known, and how the command ends.
fn end<'n>(
    (total, left): (usize, usize),
    is_idle: bool,
    undecided: impl Iterator<Item = (&'n str, Direction, Family)>,
) -> Result<(), Failure> {
    if left > 0 {
        // For programs, too.
        say(&format!("sgctl: and {}: --all shows every line", count(left, "line")));
    }
    let mut is_whole = true;
    for (nic, direction, family) in undecided {
        is_whole = false;
        say(&format!(
            "sgctl: warning: not known within the time and the memory for it: {direction} of NIC {}, {}; --time raises the time, and what \
             is searched for can be narrower",
            escaped(nic),
            FamilyName(family),
        ));
    }
    match (total, is_whole) {
        (0, _) if is_idle => Err(Failure::input(anyhow!(
            "nothing can be found, whatever is accepted: no NIC holds the group, no packet is of these addresses, protocol and \
             family, or no rule has the id"
        ))),
        (0, true) => Ok(()),
        (0, false) => Err(Failure::input(anyhow!("nothing was found in that time, which may be too short"))),
        _ => Err(Failure::Different),
    }
}

/// The packets in a document.
fn packets(wanted: &Search, policy: &Policy) -> Result<Packets, Failure> {
    let missing = |NotInPolicy { what, name }: NotInPolicy| {
        Failure::not_found(anyhow!("the document has no {what} {}", escaped(&name)))
    };
    let mut names = InPolicy(policy);
    let over = match (&wanted.nic, &wanted.group) {
        (Some(nic), _) if policy.nic(nic).is_none() => {
            return Err(Failure::not_found(anyhow!("the document has no NIC {}", escaped(nic))));
        }
        (Some(nic), _) => Over::Device(nic.clone()),
        (None, Some(group)) => Over::Group(names.group(group).map_err(missing)?),
        (None, None) => Over::Every,
    };
    wanted.packets(over, &mut names).map_err(missing)
}

impl Args {
    fn search(&self) -> Search {
        Search {
            nic: self.nic.clone(),
            group: self.group.as_deref().map(GroupId::from),
            direction: self.direction.map(|direction| match direction {
                Towards::Ingress => Direction::Ingress,
                Towards::Egress => Direction::Egress,
            }),
            family: self.family.map(|family| if family == Family::V4 { 4 } else { 6 }),
            verdict: self.verdict.clone(),
            rule: self.rule.clone(),
            remote: self.remote.clone(),
            not_remote: self.not_remote.clone(),
            local: self.local.clone(),
            not_local: self.not_local.clone(),
            protocol: self.protocol,
            ports: self.port.clone(),
            source_ports: self.source_ports.clone(),
            numbers: self.numbers.clone().into(),
        }
    }
}
