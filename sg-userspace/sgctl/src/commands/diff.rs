//! `sgctl diff`: the packets that two documents judge differently, exactly.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use ipnet::IpNet;
use sg_common::{packet::protocol, verdict::Verdict};
use sg_diff::{By, Difference, Effect, Line, Named, Options, Outcome, Span, Undecided, all_but, compare};
use sg_model::{Direction, Family, FamilyName, Policy, ProtocolName, shortest, text::escaped};

use crate::{
    args::{
        common::{Common, Format},
        policy,
    },
    failure::Failure,
    render::output::{Output, count},
    stderr::say,
};

/// Show the packets that two documents judge differently: exactly those, as few lines that do not overlap.
///
/// Each line says what decides before and after, and shows a packet that `sgctl check` takes. What opens something comes first. Live
/// flows are not looked at. Exit code: 0 if every packet is judged alike, 1 if not, 2 if that cannot be said.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policy document before the change
    old: PathBuf,
    /// Policy document after the change; `-` for either reads standard input
    new: PathBuf,
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
/// Prefixes or ranges that are shown of a list, for people.
const OF_A_LIST: usize = 6;

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut output = Output::new(&common.output, out)?;
    output.without_table()?;
    if matches!(output.format, Format::Yaml | Format::Name) {
        return Err(Failure::input(anyhow!(
            "a difference is for people, or --json: leave -o yaml and name out"
        )));
    }
    if args.old == Path::new("-") && args.new == Path::new("-") {
        return Err(Failure::input(anyhow!("standard input can be one of the documents: name the other")));
    }
    let [before, after] = [&args.old, &args.new].map(|path| policy::load(path));
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
        output.line(&summary(&lines))?;
    }
    let most = if args.all { lines.len() } else { SHOWN };
    for line in lines.iter().take(most) {
        let nic = after.nic(line.nic).or_else(|| before.nic(line.nic));
        let written = line.written(nic);
        if output.format == Format::Json {
            output.line(&serde_json::to_string(&written).map_err(Failure::other)?)?;
        } else {
            let sample = serde_json::to_string(&written.sample).map_err(Failure::other)?;
            output.line(&words(line))?;
            output.line(&format!("    such as {sample}"))?;
        }
    }
    let left = lines.len().saturating_sub(most);
    if left > 0 {
        output.remark(&format!("and {}: --all shows every line", count(left, "line")));
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
    let mut names: Vec<String> = changed.iter().map(|by| by_words(*by)).collect();
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

/// Counts first.
fn summary(lines: &[Line<'_>]) -> String {
    let number = |wanted: &[Effect]| lines.iter().filter(|line| wanted.contains(&line.effect())).count();
    let parts = [
        (number(&[Effect::OpensToAny, Effect::Opens]), "opens"),
        (number(&[Effect::Closes]), "closes"),
        (number(&[Effect::Refuses]), "drops or rejects differently"),
        (number(&[Effect::Attributes]), "decides by another rule"),
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

/// A line for people.
fn words(line: &Line<'_>) -> String {
    let sign = match line.effect() {
        Effect::OpensToAny | Effect::Opens => '+',
        Effect::Closes => '-',
        Effect::Refuses => '~',
        Effect::Attributes => '=',
    };
    format!("{sign} {}: {} -> {}", packets(line), outcome(&line.before), outcome(&line.after))
}

/// The packets of a line for people.
pub(super) fn packets(line: &Line<'_>) -> String {
    let Line {
        nic,
        direction,
        family,
        remote,
        local,
        protocols,
        ports,
        source_ports,
        icmp,
        dscp,
        before,
        after,
    } = line;
    let (towards, own) = match direction {
        Direction::Ingress => ("from", "to"),
        Direction::Egress => ("to", "from"),
    };
    let mut text = format!("{} {} {}:", escaped(nic), direction_word(*direction), FamilyName(*family));
    let mut add = |name: &str, list: Option<String>| {
        if let Some(list) = list {
            text.extend([" ", name, " ", &list]);
        }
    };
    add("packets of", Some(services(protocols.as_ref(), *family)));
    add("to port", ports.as_ref().map(|list| spans(list)));
    add("from port", source_ports.as_ref().map(|list| spans(list)));
    add(
        "type/code",
        icmp.as_ref()
            .map(|list| short(list.iter().map(|[kinds, codes]| format!("{}/{}", span(kinds), span(codes))))),
    );
    add("DSCP", dscp.as_ref().map(|list| spans(list)));
    add(towards, Some(remote.as_ref().map_or_else(|| "any".to_owned(), |nets| addresses(nets, *family))));
    let named = [after, before].into_iter().find_map(|outcome| outcome.named);
    if remote.is_some() {
        add(
            "of",
            named.map(|named| match named {
                Named::Group(name) => format!("group {}", escaped(name)),
                Named::PrefixList(name) => format!("prefix list {}", escaped(name)),
            }),
        );
    }
    add(own, local.as_ref().map(|nets| addresses(nets, *family)));
    text
}

fn services(protocols: Option<&Vec<Span<u8>>>, family: Family) -> String {
    let Some(list) = protocols else { return "any protocol".to_owned() };
    short(list.iter().map(|(first, last)| {
        let is_foreign = *first == protocol::ICMP && family == Family::V6;
        if first == last && !is_foreign {
            ProtocolName(*first).to_string()
        } else {
            format!("protocols {first}-{last}")
        }
    }))
}

fn span<T: PartialEq + ToString>((first, last): &Span<T>) -> String {
    if first == last { first.to_string() } else { format!("{}-{}", first.to_string(), last.to_string()) }
}

fn spans<T: PartialEq + ToString>(list: &[Span<T>]) -> String {
    short(list.iter().map(span))
}

/// Prefixes, or those that are left out of the shortest that has them all, where these are fewer.
fn addresses(nets: &[IpNet], family: Family) -> String {
    let whole = nets.first().zip(nets.last()).map(|(first, last)| common(*first, *last));
    if let Some(whole) = whole {
        let others: Vec<_> = all_but(nets, family).into_iter().filter(|net| whole.contains(net)).collect();
        if !others.is_empty() && others.len() < nets.len() {
            let whole = if whole.prefix_len() == 0 { "any".to_owned() } else { shortest(whole) };
            return format!("{whole} but {}", short(others.iter().map(|net| shortest(*net))));
        }
    }
    short(nets.iter().map(|net| shortest(*net)))
}

/// The longest prefix that has both, which are of one family.
fn common(one: IpNet, other: IpNet) -> IpNet {
    let mut net = one;
    while !net.contains(&other) {
        match net.supernet() {
            Some(wider) => net = wider,
            None => break,
        }
    }
    net
}

/// The first of a list.
fn short(list: impl ExactSizeIterator<Item = String>) -> String {
    let more = list.len().saturating_sub(OF_A_LIST);
    let shown: Vec<_> = list.take(OF_A_LIST).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(","))
}

pub(super) fn outcome(outcome: &Outcome<'_>) -> String {
    let verdict = match outcome.verdict {
        Verdict::Accept => "accept",
        Verdict::Drop => "drop",
        Verdict::Reject => "reject",
    };
    format!("{verdict} by {}", by_words(outcome.by))
}

fn by_words(by: By<'_>) -> String {
    match by {
        By::Reason(reason) => reason.name().to_owned(),
        By::Group(group) => format!("inner access of group {}", escaped(group)),
        By::Rule { group, rule } => format!("rule {} of group {}", escaped(rule), escaped(group)),
        By::Default => "default".to_owned(),
        By::Unfiltered => "no filter".to_owned(),
    }
}
