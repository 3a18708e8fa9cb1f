//! `sgctl candidate`: a policy that is asked beside the one in force. It must never compare: the agent does.

use std::path::{Path, PathBuf};

use hyper::Method;
use sg_api_types::{
    CandidateReport, CandidateState, DropCandidate, DroppedCandidate, PromoteCandidate, PromotedCandidate,
    SetCandidate, Unattributed,
};
use sg_model::text::{escaped, escaped_lines};

use super::diff::{received, summary};
use crate::{
    args::{values::named, write_time},
    client::{Address, http::Call},
    failure::Failure,
    file,
    render::output::count,
    session::Session,
    stderr::say,
};

/// Observe what another policy would decide about live traffic, without changing a verdict.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Set(SetArgs),
    Report(ReportArgs),
    Promote(PromoteArgs),
    Drop(DropArgs),
}

/// Set a document as the candidate, in place of any other.
///
/// From now on it is asked about each new flow and each packet that rules do not accept, and once about each live flow. What was observed
/// before is forgotten.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Policy document; `-` reads standard input
    document: PathBuf,
    /// Name of the document in the store of `sgd serve`, as for `sgctl apply`. Default: document
    #[arg(long, value_parser = named())]
    name: Option<String>,
}

/// Show what the candidate would have decided: each set of packets that it judges differently, and how many packets were seen in it.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Every line. Default: the first 20
    #[arg(long)]
    all: bool,
    /// Rules of the candidate, too, with the packets that each would have decided
    #[arg(long)]
    rules: bool,
}

/// Put the candidate in force: the very images that were observed.
///
/// Under `sgd run` it takes the place of the document; with `--confirm-changes` it is to be confirmed. Under `sgd serve` it is applied.
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {}

/// Drop the candidate.
#[derive(Debug, clap::Args)]
pub(crate) struct DropArgs {}

/// Lines that are shown without `--all`.
const SHOWN: usize = 20;

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Set(args) => set(&args, session),
        Verb::Report(args) => report(&args, session),
        Verb::Promote(_) => promote(session),
        Verb::Drop(_) => {
            let call = Call::change(Method::POST, Address::of(&["candidate", "drop"]));
            let call = call.with_json(&DropCandidate {})?.unguarded().without_token();
            let dropped: DroppedCandidate = session.client.call(&call)?;
            if session.output.format.is_data() {
                return session.output.data(&dropped);
            }
            session.output.line(&format!("the candidate of {} is dropped", escaped(&dropped.owner)))
        }
    }
}

fn set(args: &SetArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let SetArgs { document, name } = args;
    let text = file::read_text(document)?;
    let file = if document == Path::new("-") { "<stdin>".into() } else { document.display().to_string() };
    let name = name.clone().unwrap_or_else(|| "document".to_owned());
    let body = SetCandidate { text: text.into(), name, file };
    let call =
        Call::change(Method::POST, Address::of(&["candidate"])).with_json(&body)?.unguarded().without_token();
    let state: CandidateState = session.waiting("setting the candidate", &call)?;
    if session.output.format.is_data() {
        return session.output.data(&state);
    }
    warn(&state);
    session.output.line(&format!("the candidate is asked about {}", count(state.nics.len(), "NIC")))
}

fn warn(state: &CandidateState) {
    for warning in &state.warnings {
        say(&format!("sgctl: warning: {}", escaped_lines(warning)));
    }
    if !state.not_asked.is_empty() {
        let nics: Vec<_> = state.not_asked.iter().map(|nic| escaped(nic).to_string()).collect();
        say(&format!(
            "sgctl: not asked about, being of one of the two policies or without a device: {}",
            nics.join(", ")
        ));
    }
    if !state.only_new_flows.is_empty() {
        let nics: Vec<_> = state.only_new_flows.iter().map(|nic| escaped(nic).to_string()).collect();
        say(&format!("sgctl: asked about new flows only (established: keep): {}", nics.join(", ")));
    }
}

fn report(args: &ReportArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["candidate"]);
    let address = if args.all { address.with("all", true) } else { address.with("limit", SHOWN) };
    let report: CandidateReport = session.get(address)?;
    let is_different = !report.lines.is_empty() || report.left_out > 0;
    let output = &mut session.output;
    if output.format.is_data() {
        return output.data(&report);
    }
    let CandidateReport {
        candidate,
        decisions,
        rules,
        counts,
        lines,
        left_out,
        never_seen,
        unattributed,
        undecided,
    } = &report;
    warn(candidate);
    output.line(&format!(
        "candidate of {}, observed since {}",
        escaped(&candidate.owner),
        write_time(candidate.since)
    ))?;
    output.line(&summary(received(counts)))?;
    for line in lines {
        let seen = if line.packets == 0 { "never seen".to_owned() } else { packets(line.packets) };
        output.line(&format!("{} ({seen})", line.line.text))?;
        output.line(&format!("    such as {}", line.line.sample))?;
    }
    if *left_out > 0 {
        say(&format!("sgctl: and {}: --all shows every line", count(*left_out, "line")));
    }
    if is_different {
        output.line(&format!("{} of {} never seen", never_seen, count(lines.len() + left_out, "line")))?;
    }
    for row in decisions {
        output.line(&format!(
            "{} {}: {} now, {} then: {}",
            escaped(&row.nic),
            row.direction,
            row.now,
            row.then,
            packets(row.packets)
        ))?;
    }
    for row in rules.iter().filter(|_| args.rules) {
        let by = match (&row.group, &row.rule) {
            (Some(group), Some(rule)) => format!("rule {} of group {}", escaped(rule), escaped(group)),
            (Some(group), None) => format!("membership of group {}", escaped(group)),
            (None, _) => "default".to_owned(),
        };
        output.line(&format!(
            "{} {} by {by}: {} now, {} then: {}",
            escaped(&row.nic),
            row.direction,
            row.now,
            row.then,
            packets(row.packets)
        ))?;
    }
    let Unattributed { unnamed, source_ports, elsewhere } = *unattributed;
    for (number, why) in [
        (unnamed, "there was no room for their addresses"),
        (source_ports, "their line depends on source ports, of which there were several"),
        (
            elsewhere,
            "they are in no line, because a policy changed meanwhile or the difference is not known in time",
        ),
    ] {
        if number > 0 {
            say(&format!(
                "sgctl: {} that would be judged differently, in no line here: {why}",
                packets(number)
            ));
        }
    }
    for part in undecided {
        say(&format!(
            "sgctl: warning: not known within the time: what changes of {} do to {} of NIC {}, IPv{}",
            escaped(&part.changed.join(", ")),
            part.direction,
            escaped(&part.nic),
            part.family
        ));
    }
    Ok(())
}

fn packets(number: u64) -> String {
    if number == 1 { "1 packet".to_owned() } else { format!("{number} packets") }
}

fn promote(session: &mut Session<'_>) -> Result<(), Failure> {
    let call = Call::change(Method::POST, Address::of(&["candidate", "promote"]));
    let promoted: PromotedCandidate =
        session.client.call(&call.with_json(&PromoteCandidate {})?.without_token())?;
    session.client.found_pending(promoted.pending.clone());
    if session.output.format.is_data() {
        return session.output.data(&promoted);
    }
    let nics = count(promoted.nics.len(), "NIC");
    session
        .output
        .line(&format!("the candidate is in force, with the images that were observed on {nics}"))?;
    if let Some(pending) = &promoted.pending {
        session.output.line(&format!(
            "change {} is in force until {} unless it is confirmed",
            pending.id,
            write_time(pending.deadline)
        ))?;
    }
    Ok(())
}
