//! `sgctl observe`: what happened to traffic, as the agent's observer recorded it, and what happens now. It asks the agent, and hands
//! what comes to the one of three writers. It must never judge what the flags ask for: the agent refuses what it does not know.

mod lost;
mod packets;
mod written;

use std::{path::PathBuf, time::Duration};

use anyhow::anyhow;
use sg_observe::record::{Event, Record};

use crate::{
    args::{Format, numbered},
    client::{Address, Call, Next, lines::Lines},
    failure::Failure,
    render::{Output, output::is_read_by_nobody},
    session::Session,
};
use lost::Losses;
use packets::PacketFile;

/// How long to wait for records before looking whether anybody still reads them.
const QUIET: Duration = Duration::from_millis(500);

/// Show what happened to traffic, and with -f what happens now.
///
/// Without -f or --since, all records that are remembered are shown: those of the last 15 minutes, unless `sgd` was told otherwise.
/// Conditions of the same kind may be repeated or separated by commas; then any of them will do. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on with records as they are made, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only these records: begin, continue, end, denied, revoked, policy, lost
    #[arg(long = "event", value_name = "EVENT,…", value_delimiter = ',')]
    events: Vec<String>,
    /// Only packets with this verdict: accept, drop, reject
    #[arg(long = "verdict", value_name = "VERDICT,…", value_delimiter = ',')]
    verdicts: Vec<String>,
    /// Only flows of which the first packet had this direction: ingress, egress
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<String>,
    /// Only packets of this NIC, by its device or, in a store, its id; may be repeated
    #[arg(long = "nic", value_name = "NIC")]
    nics: Vec<String>,
    /// Only what rules of this group decided, or what no rule of it matched; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Only what this rule decided: RULE or GROUP/RULE; may be repeated
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Only what was decided for this reason, by its word in `sgctl stats`
    #[arg(long = "reason", value_name = "REASON,…", value_delimiter = ',')]
    reasons: Vec<String>,
    /// Only packets of remotes in this address or prefix
    #[arg(long = "remote", value_name = "CIDR,…", value_delimiter = ',')]
    remotes: Vec<String>,
    /// Only packets of local addresses in this address or prefix
    #[arg(long = "local", value_name = "CIDR,…", value_delimiter = ',')]
    locals: Vec<String>,
    /// Only flows to these destination ports, ranges such as 8000-8100, or services such as ssh
    #[arg(long = "port", value_name = "PORT,…")]
    ports: Option<String>,
    /// Only these protocols: tcp, udp, icmp …, or numbers
    #[arg(long = "protocol", value_name = "PROTOCOL,…", value_delimiter = ',')]
    protocols: Vec<String>,
    /// Only these ICMP messages: TYPE or TYPE/CODE
    #[arg(long = "icmp", value_name = "TYPE[/CODE],…", value_delimiter = ',')]
    icmp: Vec<String>,
    /// Only records since this time, such as 2026-11-30T13:00:00Z, or so long ago, such as 5m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only records until this time, or until so long ago
    #[arg(long, value_name = "TIME", conflicts_with_all = ["follow", "packets", "write"])]
    until: Option<String>,
    /// Only the newest so many records
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Sum records that are equal in these fields: remote, remote/24, local, port, protocol, rule, nic, reason, drop-source-port. With
    /// -f, sums of five seconds
    #[arg(long, value_name = "FIELD,…")]
    aggregate_by: Option<String>,
    /// Show single packets: the first of each flow, and all that do not pass. Implies -f
    #[arg(long, conflicts_with_all = ["since", "last", "aggregate_by"])]
    packets: bool,
    /// Write the same packets, the first 128 bytes of each, into a pcapng file, with verdict and rule as comments; `-` is standard
    /// output
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["since", "last", "aggregate_by"])]
    write: Option<PathBuf>,
}

impl Args {
    fn follows(&self) -> bool {
        self.follow || self.packets || self.write.is_some()
    }

    fn address(&self) -> Address {
        let Self {
            follow: _,
            events,
            verdicts,
            direction,
            nics,
            groups,
            rules,
            reasons,
            remotes,
            locals,
            ports,
            protocols,
            icmp,
            since,
            until,
            last,
            aggregate_by,
            packets,
            write,
        } = self;
        let packets = match (packets, write) {
            (_, Some(_)) => Some("frames"),
            (true, None) => Some("each"),
            (false, None) => None,
        };
        let ports = ports.as_deref().map(numbered).unwrap_or_default();
        let ports: Vec<String> =
            ports.split(',').filter(|port| !port.is_empty()).map(str::to_owned).collect();
        let lists = [
            ("event", events),
            ("verdict", verdicts),
            ("nic", nics),
            ("group", groups),
            ("rule", rules),
            ("reason", reasons),
            ("remote", remotes),
            ("local", locals),
            ("port", &ports),
            ("protocol", protocols),
            ("icmp", icmp),
        ];
        let address = Address::of(&["observe"]).with_some("follow", self.follows().then_some(true));
        let values = lists.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        values
            .fold(address, |address, (key, value)| address.with(key, value))
            .with_some("direction", direction.as_ref())
            .with_some("since", since.as_ref())
            .with_some("until", until.as_ref())
            .with_some("last", *last)
            .with_some("aggregate_by", aggregate_by.as_ref())
            .with_some("packets", packets)
    }

    /// Whether losses are requested like any record.
    fn wants_losses(&self) -> bool {
        self.events.iter().any(|event| event == Event::Lost.name())
    }
}

/// What becomes of records.
enum Writer {
    Text,
    Json,
    Yaml,
    Packets(PacketFile),
}

impl Writer {
    /// Refuses what there is no writer for, before the agent is asked for anything.
    fn check(args: &Args, output: &Output<'_>) -> Result<(), Failure> {
        output.without_table()?;
        match &args.write {
            Some(path) => packets::check(path, output),
            None if output.format == Format::Name => {
                Err(Failure::input(anyhow!("records have no ids: ask for table, json or yaml")))
            }
            None => Ok(()),
        }
    }

    /// The writer. It begins its file, which replaces an older one: only now is it certain that there is something to write.
    fn begin(args: &Args, output: &Output<'_>) -> Result<Self, Failure> {
        if let Some(path) = &args.write {
            return Ok(Self::Packets(PacketFile::create(path)?));
        }
        Ok(match output.format {
            Format::Table | Format::Wide | Format::Name => Self::Text,
            Format::Json => Self::Json,
            Format::Yaml => Self::Yaml,
        })
    }

    fn line(&mut self, line: &[u8], losses: &mut Losses, output: &mut Output<'_>) -> Result<(), Failure> {
        if matches!(self, Self::Json) && !written::may_be_lost(line) {
            return written::json(line, output);
        }
        let record: Record = serde_json::from_slice(line).map_err(|error| {
            Failure::other(anyhow!(error).context("a record of sgd cannot be read: it is of another version"))
        })?;
        let is_lost = record.event == Event::Lost;
        if is_lost {
            losses.add(&record);
        }
        match self {
            Self::Text if is_lost && !losses.are_wanted => Ok(()),
            Self::Text => written::text(&record, output),
            Self::Json => written::json(line, output),
            Self::Yaml => written::yaml(&record, output),
            Self::Packets(file) => file.write(&record, output),
        }
    }

    fn flush(&mut self, output: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Text | Self::Json | Self::Yaml => Ok(output.out.flush()?),
            Self::Packets(file) => file.flush(output),
        }
    }
}

pub(crate) fn run(args: &Args, session: &mut Session<'_>) -> Result<(), Failure> {
    Writer::check(args, &session.output)?;
    let Session { client, output } = session;
    let (timeout, server) = (client.timeout(), client.server().to_string());
    let mut lines = client.lines(&Call::get(args.address()))?;
    if !lines.have_begun() {
        return Ok(());
    }
    let mut writer = Writer::begin(args, output)?;
    let mut losses = Losses::new(args.wants_losses());
    let done = follow(args, &mut lines, (timeout, &server), output, &mut writer, &mut losses);
    losses.end();
    if let Writer::Packets(file) = &writer {
        file.end(output);
    }
    done
}

/// Reads until the end: of the records, of the wait for them (from a server, so long at most), or by Ctrl-C.
fn follow(
    args: &Args,
    lines: &mut Lines<'_>,
    (timeout, server): (Duration, &str),
    output: &mut Output<'_>,
    writer: &mut Writer,
    losses: &mut Losses,
) -> Result<(), Failure> {
    // The head of a file is there before the first packet is.
    writer.flush(output)?;
    let mut quiet = Duration::ZERO;
    loop {
        match lines.next(QUIET)? {
            Next::Lines(lines) => {
                quiet = Duration::ZERO;
                let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                lines.into_iter().try_for_each(|line| writer.line(line, losses, output))?;
                writer.flush(output)?;
            }
            Next::Quiet if args.follows() => {
                if is_read_by_nobody() {
                    return Err(Failure::BrokenPipe);
                }
            }
            Next::Quiet => {
                quiet += QUIET;
                if quiet >= timeout {
                    let seconds = timeout.as_secs();
                    return Err(Failure::other(anyhow!(
                        "{server} sent nothing for {seconds} seconds (--timeout)"
                    )));
                }
            }
            Next::End if args.follows() => {
                return Err(Failure::other(anyhow!(
                    "{server} has ended the records: sgd was stopped or restarted"
                )));
            }
            Next::End | Next::Interrupted => return Ok(()),
        }
        losses.tell();
    }
}

#[cfg(test)]
mod tests;
