//! `sgctl diff`: the packets that two documents judge differently, exactly; or what is in force and a document, with what becomes of
//! live flows. It must never compare by itself: `sg-diff` does, or the agent. `mod.rs` calls it.

pub(crate) mod in_force;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use sg_api_types::LineCounts;
use sg_diff::{AS_WRITTEN, Difference, Effect, Line, Options, Undecided, compare};
use sg_model::{Direction, FamilyName, Policy, text::escaped};

use crate::{
    args::{
        common::{Common, Format},
        policy,
        values::named,
    },
    failure::Failure,
    render::output::{Output, count},
    session::Session,
    stderr::say,
};

/// Show the packets that two documents judge differently: exactly those, as few lines that do not overlap.
///
/// One document alone is compared with what is in force, and live flows are looked at, too: which the document would revoke, and which
/// another rule would accept. Each line says what decides before and after, and shows a packet that `sgctl check` takes. What opens
/// something comes first. Exit code: 0 if every packet is judged alike, 1 if not, 2 if that cannot be said.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policy documents before and after the change; one alone: after it. `-` reads standard input
    #[arg(required = true, num_args = 1..=2, value_name = "DOCUMENT")]
    documents: Vec<PathBuf>,
    /// Name of the document in the store of `sgd serve`, as for `sgctl apply`. Default: document
    #[arg(long, value_parser = named())]
    name: Option<String>,
    /// Only this NIC, by its device
    #[arg(long, value_name = "DEVICE")]
    nic: Option<String>,
    /// Every line. Default: the first 20
    #[arg(long)]
    all: bool,
    /// Lines, too, of packets with the same verdict that another rule decides
    #[arg(long)]
    attribution: bool,
    /// How long it may take, in seconds. What is not known by then is said.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    time: u64,
}

/// Lines that are shown without `--all`.
pub(super) const SHOWN: usize = 20;

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    if matches!(output.format, Format::Yaml | Format::Name) {
        return Err(Failure::input(anyhow!(
            "a difference is for people, or --json: leave -o yaml and name out"
        )));
    }
    let [old, new] = match &args.documents[..] {
        [old, new] => [old, new],
        [new] => return in_force::run(args, new, &mut Session::new(common, out)?),
        _ => return Err(Failure::input(anyhow!("name one or two documents"))),
    };
    if args.name.is_some() {
        return Err(Failure::input(anyhow!(
            "--name is of a document that is compared with what is in force: leave it out"
        )));
    }
    if old == Path::new("-") && new == Path::new("-") {
        return Err(Failure::input(anyhow!("standard input can be one of the documents: name the other")));
    }
    let [before, after] = [old, new].map(|path| policy::load(path));
    let (before, after) = (before?, after?);
    if let Some(nic) = &args.nic
        && before.nic(nic).is_none()
        && after.nic(nic).is_none()
    {
        return Err(Failure::not_found(anyhow!("neither document has a NIC {}", escaped(nic))));
    }
    let options = Options { attribution: args.attribution, time: Duration::from_secs(args.time) };
    let Difference { mut lines, mut undecided } = compare(&before, &after, options);
    if let Some(nic) = &args.nic {
        lines.retain(|line| line.nic == nic);
        undecided.retain(|part| part.nic == nic);
    }
    if output.format.is_table() && (!lines.is_empty() || undecided.is_empty()) {
        output.line(&summary(&counts(&lines)))?;
    }
    let most = if args.all { lines.len() } else { SHOWN };
    for line in lines.iter().take(most) {
        let nic = after.nic(line.nic).or_else(|| before.nic(line.nic));
        let written = line.written(nic);
        if output.format == Format::Json {
            output.line(&serde_json::to_string(&written).map_err(Failure::other)?)?;
        } else {
            let sample = serde_json::to_string(&written.sample).map_err(Failure::other)?;
            output.painted(&line.words(AS_WRITTEN))?;
            output.line(&format!("    such as {sample}"))?;
        }
    }
    let left = lines.len().saturating_sub(most);
    if left > 0 {
        // For programs, too.
        say(&format!("sgctl: and {}: --all shows every line", count(left, "line")));
    }
    for part in &undecided {
        say(&format!("sgctl: warning: {}", not_known(part, &before, &after)));
    }
    match (lines.is_empty(), undecided.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::input(anyhow!(
            "no difference was found in that time, which may be too short: raise --time"
        ))),
        (false, _) => Err(Failure::Different),
    }
}

fn not_known(part: &Undecided<'_>, before: &Policy, after: &Policy) -> String {
    const NAMED: usize = 5;
    let Undecided { nic, direction, family, changed } = part;
    let mut names: Vec<String> = changed.iter().map(|by| by.words(AS_WRITTEN)).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let rules = [before, after].map(|policy| {
        policy.groups().iter().map(|group| group.ingress.len() + group.egress.len()).sum::<usize>()
    });
    format!(
        "not known within the time: what changes of {}{more} do to {} of NIC {}, {} ({} and {} rules); --time raises it",
        names.join(", "),
        direction_word(*direction),
        escaped(nic),
        FamilyName(*family),
        rules[0],
        rules[1],
    )
}

fn counts(lines: &[Line<'_>]) -> LineCounts {
    let number = |wanted: &[Effect]| lines.iter().filter(|line| wanted.contains(&line.effect())).count();
    LineCounts {
        opens: number(&[Effect::OpensToAny, Effect::Opens]),
        closes: number(&[Effect::Closes]),
        refuses: number(&[Effect::Refuses]),
        attributes: number(&[Effect::Attributes]),
    }
}

/// Counts first.
pub(super) fn summary(counts: &LineCounts) -> String {
    let LineCounts { opens, closes, refuses, attributes } = *counts;
    let parts = [
        (opens, "opens"),
        (closes, "closes"),
        (refuses, "drops or rejects differently"),
        (attributes, "decides by another rule"),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, does)| format!("{does} {}", count(*number, "set")))
        .collect();
    if parts.is_empty() {
        "every packet is judged alike".to_owned()
    } else {
        format!("{} of packets", parts.join(", "))
    }
}

pub(super) const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
