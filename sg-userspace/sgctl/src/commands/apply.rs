//! `sgctl apply`: applies a document.

use std::path::Path;

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{Apply, Changed, Comparison, Difference, Happens};
use sg_model::text::escaped_lines;

use crate::{
    args::{PolicyArg, named},
    client::{Address, Call},
    commands::diff::in_force,
    failure::Failure,
    file,
    render::{Output, Yes, cell, count},
    session::Session,
    stderr::say,
};

/// Make the resources of a policy document match it.
///
/// The difference is shown first. Resources that the document does not own are left unchanged.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    policy: PolicyArg,
    /// Name of the document. It owns everything that it creates, and its VPC has the same name.
    #[arg(long, default_value = "document", value_parser = named())]
    name: String,
    /// Region, on the first apply. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Let the document leave out NICs whose devices exist and are filtered. Everything will pass there. Without it, such a
    /// document is refused, unless it names the devices under `allow_unfiltered`.
    #[arg(long)]
    allow_unfiltered: bool,
    /// Show the difference and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) fn run(args: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let path = &args.policy.policy;
    let text = file::read_text(path)?;
    let shown = if path == Path::new("-") { "<stdin>".into() } else { path.display().to_string() };
    let region = args.region.unwrap_or_default();
    let body = Apply {
        text: text.into(),
        name: args.name,
        region,
        file: shown,
        allow_unfiltered: args.allow_unfiltered,
        // The client says it with every change.
        force: false,
    };
    let address = Address::of(&["apply"]);
    let try_out = Call::change(Method::POST, address.clone().with("dry_run", true)).with_json(&body)?;
    let difference: Difference = session
        .waiting("comparing", &try_out)
        .map_err(|error| in_force::refused(error, [(body.file.as_str(), body.text.as_bytes())]))?;
    for warning in &difference.warnings {
        say(&format!("sgctl: warning: {}", escaped_lines(warning)));
    }
    if args.dry_run {
        show(session, &difference)?;
        return if session.output.format.is_table() {
            live_flows(session, &body, &difference)
        } else {
            Ok(())
        };
    }
    if difference.changes.is_empty() {
        return finish(session, &difference);
    }
    if session.output.format.is_table() {
        show(session, &difference)?;
    } else if !args.yes.yes {
        // The user has to see the difference before confirming; standard output is for the result.
        for line in diff(&session.output, &difference) {
            say(&line);
        }
    }
    let changes = count(difference.changes.len(), "change");
    session.output.confirm(&format!("Make {changes}?"), args.yes.yes)?;
    let done: Difference =
        session.waiting("applying", &Call::change(Method::POST, address).with_json(&body)?)?;
    if session.output.format.is_table() && !same(&done, &difference) {
        session.output.line("something else changed meanwhile; this was done:")?;
        show(session, &done)?;
    }
    finish(session, &done)
}

/// Shows what would become of live flows.
fn live_flows(session: &mut Session<'_>, body: &Apply, shown: &Difference) -> Result<(), Failure> {
    let call =
        Call::change(Method::POST, Address::of(&["diff"]).with("limit", 0)).with_json(body)?.question();
    let compared: Comparison = match session.waiting("comparing live flows", &call) {
        Ok(compared) => compared,
        // An agent that has just started: no policy is in force that could have accepted a flow.
        Err(error) if error.is_one_of(&["nothing_in_force"]) => return Ok(()),
        Err(error) => {
            say("sgctl: warning: what would become of live flows is not known");
            return Err(error.into());
        }
    };
    for warning in compared.warnings.iter().filter(|warning| !shown.warnings.contains(warning)) {
        say(&format!("sgctl: warning: {}", escaped_lines(warning)));
    }
    // Without live flows there is nothing to say.
    let flows = compared.flows.iter().filter(|flows| flows.total > 0);
    let lines = flows.flat_map(|flows| in_force::impact(flows, &compared.names));
    lines.collect::<Vec<_>>().iter().try_for_each(|line| session.output.line(line))?;
    in_force::not_known(compared.flows.as_ref()).map_or(Ok(()), |why| Err(Failure::input(anyhow!("{why}"))))
}

/// Whether the applied difference is the one that was shown. New objects have other ids each time.
fn same(done: &Difference, shown: &Difference) -> bool {
    let what = |change: &Changed| (change.action, change.kind.clone(), change.name.clone());
    done.changes.iter().map(what).eq(shown.changes.iter().map(what))
}

fn show(session: &mut Session<'_>, difference: &Difference) -> Result<(), Failure> {
    let output = &mut session.output;
    if output.format.is_data() {
        return output.data(difference);
    }
    if !output.format.is_table() {
        return difference.changes.iter().try_for_each(|change| output.line(&change.id));
    }
    diff(output, difference).iter().try_for_each(|line| output.painted(line))?;
    output.line(&summary(difference, ["to add", "to change", "to remove"]))
}

/// The difference: an object a line, with its changes below.
fn diff(output: &Output<'_>, difference: &Difference) -> Vec<String> {
    let mut lines = Vec::new();
    for change in &difference.changes {
        let (sign, word) = match change.action {
            Happens::Add => ("+", "add"),
            Happens::Change => ("~", "change"),
            Happens::Remove => ("-", "remove"),
        };
        let line = format!("{sign} {} {}", cell(&change.kind), called(change));
        lines.push(output.paint_as(word, &line));
        lines.extend(change.detail.iter().map(|detail| format!("    {}", cell(detail))));
    }
    lines
}

fn called(change: &Changed) -> String {
    match change.name.as_str() {
        "" => cell(&change.id),
        name => cell(name),
    }
}

fn finish(session: &mut Session<'_>, done: &Difference) -> Result<(), Failure> {
    if !session.output.format.is_table() {
        return show(session, done);
    }
    let line = if done.changes.is_empty() {
        "nothing to change: everything is as the document says".to_owned()
    } else {
        format!("in force: {}", summary(done, ["added", "changed", "removed"]))
    };
    session.output.line(&line)
}

fn summary(difference: &Difference, words: [&str; 3]) -> String {
    let number = |action| difference.changes.iter().filter(|change| change.action == action).count();
    let numbers = [Happens::Add, Happens::Change, Happens::Remove].map(number);
    let parts = numbers.iter().zip(words).map(|(number, word)| format!("{number} {word}"));
    parts.collect::<Vec<_>>().join(", ")
}
