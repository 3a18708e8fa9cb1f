//! `sgctl history`: who changed what, and why. It asks the agent; without one, root reads the file of the audit trail. It must never
//! write it.

use std::{io::Write, path::PathBuf, thread, time::Duration};

use anyhow::anyhow;
use clap::ValueEnum;
use jiff::Timestamp;
use sg_audit::{Entry, HistoryPage, HistoryQuery, LARGEST_PAGE, Outcome};
use sg_model::{
    MOMENT, moment,
    text::{escaped, escaped_json},
};

use crate::{
    args::{Common, Format, named, write_time},
    client::{Address, Call, ClientError},
    commands::changes,
    failure::Failure,
    names::Names,
    render::{Column, Output, Render, output::is_read_by_nobody},
    session::Session,
};

/// How often `--follow` looks for what is new.
const PAUSE: Duration = Duration::from_secs(1);
/// Objects of an entry in a table.
const SHOWN: usize = 3;

/// Show who changed what: every change that was requested, with its outcome.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Entries of the last while (90s, 1h, 7d), or since a time (2026-11-30T13:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Entries before then: as --since
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// Entries of this uid, access key, document or address; * stands for any text
    #[arg(long, value_name = "WHO", value_parser = named())]
    who: Option<String>,
    /// Entries about the object with this id or name; * stands for any text
    #[arg(long, value_name = "OBJECT", value_parser = named())]
    object: Option<String>,
    /// Entries about this operation; * stands for any text
    #[arg(long, value_name = "OPERATION", value_parser = named())]
    operation: Option<String>,
    /// Entries with this outcome
    #[arg(long, value_enum, value_name = "OUTCOME")]
    outcome: Option<Wanted>,
    /// Number of entries, the newest ones. Default: 100, with --since all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Go on with what is new, one line an entry, or a document of YAML
    #[arg(short, long)]
    follow: bool,
    /// Only changes of the policy, with what each opened and closed: those that `sgctl rollback` can go back to
    #[arg(long, conflicts_with_all = ["since", "until", "who", "object", "operation", "outcome", "follow", "file"])]
    changes: bool,
    /// Only the change of the policy with this number, with the packets that are judged differently since
    #[arg(long, value_name = "CHANGE", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["changes", "since",
        "until", "who", "object", "operation", "outcome", "follow", "file", "last"])]
    change: Option<u64>,
    /// Read this file of an audit trail, and the older ones beside it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    Done,
    Refused,
    NotInForce,
    Partly,
    Lost,
}

impl Wanted {
    const fn outcome(self) -> Outcome {
        match self {
            Self::Done => Outcome::Done,
            Self::Refused => Outcome::Refused,
            Self::NotInForce => Outcome::NotInForce,
            Self::Partly => Outcome::Partly,
            Self::Lost => Outcome::Lost,
        }
    }
}

/// A time, or how long ago it was.
fn time(text: &str) -> Result<Timestamp, String> {
    moment(text, Timestamp::now()).ok_or_else(|| format!("write {MOMENT}"))
}

impl Render for Entry {
    const NOUN: &'static str = "change";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::number("CHANGE", |entry| entry.change.map(|number| number.to_string()).unwrap_or_default()),
        Column::new("TIME", |entry| write_time(entry.time)),
        Column::new("WHO", |entry| entry.who.to_string()),
        Column::wide("FROM", |entry| entry.from.clone()),
        Column::new("OPERATION", |entry| entry.operation.clone()),
        Column::new("OUTCOME", |entry| entry.outcome.name().to_owned()),
        Column::new("WHAT", what),
        Column::new("REASON", |entry| entry.reason.clone().unwrap_or_default()),
        Column::wide("REQUEST", |entry| entry.request.clone().unwrap_or_default()),
        Column::wide("NUMBER", |entry| entry.sequence.to_string()),
    ];

    fn id(&self) -> String {
        self.sequence.to_string()
    }
}

/// What changed, or why nothing did.
fn what(entry: &Entry) -> String {
    let Entry { target, code, message, objects, more_objects, missing, force, skip_tests, .. } = entry;
    let mut parts: Vec<String> = objects
        .iter()
        .take(SHOWN)
        .map(|object| {
            let name = if object.name.is_empty() { &object.id } else { &object.name };
            format!("{} {} {name}", object.change.name(), object.kind)
        })
        .collect();
    let more = objects.len().saturating_sub(SHOWN) as u64 + more_objects;
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if let Some(target) = target.as_ref().filter(|_| objects.is_empty()) {
        parts.push(target.clone());
    }
    match (message, code) {
        (Some(message), _) => parts.push(message.lines().next().unwrap_or_default().to_owned()),
        (None, Some(code)) => parts.push(code.clone()),
        (None, None) => {}
    }
    for (insisted, word) in [(force, "forced"), (skip_tests, "tests skipped")] {
        parts.extend(insisted.then(|| word.to_owned()));
    }
    if *missing > 0 {
        parts.push(format!("{missing} entries are missing before it"));
    }
    parts.join("; ")
}

/// Where the trail is read.
enum Source {
    Server,
    File(PathBuf),
}

impl Source {
    fn page(&self, session: &mut Session<'_>, query: &HistoryQuery) -> Result<HistoryPage, Failure> {
        match self {
            Self::Server => Ok(session.client.call(&Call::get(address(query)))?),
            Self::File(path) => sg_audit::read(path, query).map_err(Failure::other),
        }
    }
}

fn address(query: &HistoryQuery) -> Address {
    let HistoryQuery { since, until, who, object, operation, outcome, newer_than, limit, after } = query;
    Address::of(&["history"])
        .with_some("since", since.as_ref())
        .with_some("until", until.as_ref())
        .with_some("who", who.as_ref())
        .with_some("object", object.as_ref())
        .with_some("operation", operation.as_ref())
        .with_some("outcome", outcome.as_ref().map(|outcome| outcome.name()))
        .with_some("newer_than", newer_than.as_ref())
        .with_some("limit", limit.as_ref())
        .with_some("after", after.as_ref())
}

pub(crate) fn run(args: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let of_file = args.file.is_some().then(|| common.of_file()).transpose()?;
    let common = of_file.as_ref().unwrap_or(common);
    let mut session = Session::new(common, out)?;
    if let Some(number) = args.change {
        return changes::show(number, &mut session);
    }
    if args.changes {
        return changes::list(args.last, &mut session);
    }
    if args.follow {
        session.output.without_table()?;
    }
    let mut query = HistoryQuery {
        since: args.since,
        until: args.until,
        who: args.who.clone(),
        object: args.object.clone(),
        operation: args.operation.clone(),
        outcome: args.outcome.map(Wanted::outcome),
        ..HistoryQuery::default()
    };
    let mut source = match &args.file {
        Some(file) => readable(file.clone())?,
        None => Source::Server,
    };
    let most = match args.last {
        Some(last) => usize::try_from(last).unwrap_or(usize::MAX),
        None if args.since.is_some() => usize::MAX,
        None => 100,
    };
    let found = match newest(&source, &mut session, &query, most) {
        Err(failure) if is_nobody_there(&failure) && !common.names_a_server() => {
            source = file_of(common)?;
            newest(&source, &mut session, &query, most)
        }
        found => found,
    };
    let Found { entries, has_more } = found?;
    if has_more && args.last.is_none() {
        session.output.remark(&format!("these are the newest {most}; --last and --since show more"));
    }
    if !args.follow {
        return session.output.many(&entries, &Names::default());
    }
    query.newer_than = entries.last().map(|entry| entry.sequence);
    print_lines(&mut session.output, &entries)?;
    loop {
        session.output.out.flush()?;
        thread::sleep(PAUSE);
        if is_read_by_nobody() {
            return Err(Failure::BrokenPipe);
        }
        let Found { entries, .. } = newest(&source, &mut session, &query, usize::MAX)?;
        query.newer_than = entries.last().map(|entry| entry.sequence).or(query.newer_than);
        print_lines(&mut session.output, &entries)?;
    }
}

fn is_nobody_there(failure: &Failure) -> bool {
    matches!(failure.is_a(), Some(ClientError::NobodyThere { .. }))
}

/// The file of the instance.
fn file_of(common: &Common) -> Result<Source, Failure> {
    let places = sg_audit::places(common.instance()?.name());
    let known = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
    let found = places.into_iter().find(|place| place.exists());
    let found = found.ok_or_else(|| {
        Failure::not_found(anyhow!(
            "there is no server, and no audit trail can be seen at {known}: say --file, or ask as root"
        ))
    })?;
    readable(found)
}

/// Refuses a file that is not there: its entries are not none.
fn readable(path: PathBuf) -> Result<Source, Failure> {
    match std::fs::File::open(&path) {
        Ok(_) => Ok(Source::File(path)),
        Err(error) => Err(Failure::input(anyhow!("cannot read {}: {error}", path.display()))),
    }
}

struct Found {
    /// The oldest first.
    entries: Vec<Entry>,
    has_more: bool,
}

fn newest(
    source: &Source,
    session: &mut Session<'_>,
    query: &HistoryQuery,
    most: usize,
) -> Result<Found, Failure> {
    let mut query = query.clone();
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    let has_more = loop {
        query.limit = Some((most - entries.len()).clamp(1, LARGEST_PAGE));
        let page = source.page(session, &query)?;
        unreadable = page.unreadable.max(unreadable);
        let ends = page.items.is_empty() || page.next.is_none() || page.next == query.after;
        entries.extend(page.items);
        if ends || entries.len() >= most {
            break !ends;
        }
        query.after = page.next;
    };
    if unreadable > 0 && query.newer_than.is_none() {
        session.output.remark(&format!("{unreadable} lines of the audit trail are no entries, and left out"));
    }
    entries.reverse();
    Ok(Found { entries, has_more })
}

/// One line an entry, or one document of YAML, as they come.
fn print_lines(output: &mut Output<'_>, entries: &[Entry]) -> Result<(), Failure> {
    entries.iter().try_for_each(|entry| match output.format {
        Format::Json => {
            let line = serde_json::to_string(entry).map_err(Failure::other)?;
            output.painted(&escaped_json(&line))
        }
        Format::Yaml => {
            output.text("---\n")?;
            output.data(entry)
        }
        Format::Name => output.line(&entry.id()),
        Format::Table | Format::Wide => {
            let Entry { time, who, operation, outcome, .. } = entry;
            let (time, outcome) = (write_time(*time), outcome.name());
            let why = entry.reason.as_ref().map(|reason| format!("  ({reason})")).unwrap_or_default();
            let line = format!("{time}  {who}  {operation}  {outcome}  {}{why}", what(entry));
            output.painted(&escaped(&line))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::common::OutputArgs;

    #[test]
    fn what_goes_on_has_the_format_that_was_asked_for() {
        let entry = r#"{"sequence":7,"time":"2026-11-30T13:00:00Z","who":{"uid":0},"from":"","api":"native","operation":"x","outcome":"done"}"#;
        let entry: Entry = serde_json::from_str(entry).unwrap();
        for (format, begin) in [
            (Format::Table, "2026-11-30T13:00:00Z  "),
            (Format::Json, "{\"sequence\":7,"),
            (Format::Yaml, "---\nsequence: 7\n"),
            (Format::Name, "7\n"),
        ] {
            let mut out = Vec::new();
            let mut output = Output::new(&OutputArgs::default(), &mut out).unwrap();
            output.format = format;
            print_lines(&mut output, std::slice::from_ref(&entry)).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.starts_with(begin), "{out}");
        }
    }

    #[test]
    fn who_insisted_is_said() {
        let entry = |force, skip_tests| {
            let target = Some("web".to_owned());
            what(&Entry {
                target,
                force,
                skip_tests,
                ..Entry::new(sg_audit::Api::Native, "put", sg_audit::Who::default(), "")
            })
        };
        assert_eq!(entry(false, false), "web");
        assert_eq!(entry(true, true), "web; forced; tests skipped");
    }
}
