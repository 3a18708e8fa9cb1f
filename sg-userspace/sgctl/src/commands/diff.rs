//! `sgctl diff`: the packets that two policies judge differently, exactly. Two documents need no agent; what is or was in force, and
//! exports, the agent compares, with what becomes of live flows. It must never compare by itself: `sg-diff` does, or the agent.
//! `mod.rs` calls it.

pub(crate) mod in_force;

use std::{
    fs::File,
    io::{Read as _, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use sg_api_types::LineCounts;
use sg_diff::{AS_WRITTEN, Counts, Difference, Options, Undecided, compare};
use sg_model::{
    FamilyName, Policy,
    text::{escaped, escaped_json},
};

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

/// Show the packets that two policies judge differently: exactly those, as few lines that do not overlap.
///
/// A policy is a document, an export of a store (`sgctl export`), `@7`: what was in force after change 7 (`sgctl history --changes`), or
/// `@`: what is in force. One alone is compared with what is in force, and live flows are looked at, too: which it would revoke, and
/// which another rule would accept. Each line says what decides before and after, and shows a packet that `sgctl check` takes. What
/// opens something comes first. Exit code: 0 if every packet is judged alike, 1 if not, 2 if that cannot be said.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policies before and after; one alone: after what is in force. `-` reads a document from standard input
    #[arg(required = true, num_args = 1..=2, value_name = "POLICY", value_parser = side)]
    policies: Vec<Side>,
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

/// A policy to compare.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// `@`: what is in force.
    InForce,
    /// `@7`: what was in force after this change.
    After(u64),
    /// A document, or an export.
    File(PathBuf),
}

fn side(text: &str) -> Result<Side, String> {
    match text.strip_prefix('@') {
        None => Ok(Side::File(text.into())),
        Some("") => Ok(Side::InForce),
        Some(number) => number.parse().map(Side::After).map_err(|_| {
            format!("write @NUMBER, of a change in `sgctl history --changes`; a file is ./{text}")
        }),
    }
}

/// Whether a file is an export of a store. What is no file, such as a pipe, is taken for a document.
fn is_export(path: &Path) -> bool {
    const BEGIN: &[u8] = b"{\"format\":\"sgd state\"";
    let mut begin = [0; BEGIN.len()];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
        && begin == *BEGIN
}

/// Lines that are shown without `--all`.
pub(crate) const SHOWN: usize = 20;

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    compared(args, common, out).map_err(Failure::not_1)
}

fn compared(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    if matches!(output.format, Format::Yaml | Format::Name) {
        return Err(Failure::input(anyhow!(
            "a difference is for people, or --json: leave -o yaml and name out"
        )));
    }
    let [old, new] = match &args.policies[..] {
        [Side::File(old), Side::File(new)] if !is_export(old) && !is_export(new) => [old, new],
        [old, new] => return in_force::run(args, [old, new], &mut Session::new(common, out)?),
        [new] => return in_force::run(args, [&Side::InForce, new], &mut Session::new(common, out)?),
        _ => return Err(Failure::input(anyhow!("name one or two policies"))),
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
    let time = Duration::from_secs(args.time);
    let options = Options { attribution: args.attribution, time, nic: args.nic.as_deref() };
    let Difference { lines, undecided } = compare(&before, &after, options);
    if output.format.is_table() && (!lines.is_empty() || undecided.is_empty()) {
        output.line(&summary(Counts::of(&lines)))?;
    }
    let most = if args.all { lines.len() } else { SHOWN };
    for line in lines.iter().take(most) {
        let nic = after.nic(line.nic).or_else(|| before.nic(line.nic));
        let written = line.written(nic);
        if output.format == Format::Json {
            output.painted(&escaped_json(&serde_json::to_string(&written).map_err(Failure::other)?))?;
        } else {
            let sample = serde_json::to_string(&written.sample).map_err(Failure::other)?;
            output.painted(&line.words(AS_WRITTEN))?;
            output.painted(&format!("    such as {}", escaped_json(&sample)))?;
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
    let Undecided { nic, direction, family, changed: _ } = part;
    let mut names = part.words(AS_WRITTEN);
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let rules = [before, after].map(|policy| {
        policy.groups().iter().map(|group| group.ingress.len() + group.egress.len()).sum::<usize>()
    });
    format!(
        "not known within the time and the memory for it: what changes of {}{more} do to {} of NIC {}, {} ({} and {} rules); --time raises it",
        names.join(", "),
        direction.name(),
        escaped(nic),
        FamilyName(*family),
        rules[0],
        rules[1],
    )
}

/// The counts of a response.
pub(super) const fn received(counts: &LineCounts) -> Counts {
    let LineCounts { opens, closes, refuses, attributes } = *counts;
    Counts { opens, closes, refuses, attributes }
}

/// Counts first.
pub(super) fn summary(counts: Counts) -> String {
    let Counts { opens, closes, refuses, attributes } = counts;
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
