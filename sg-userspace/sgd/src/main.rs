//! The agent: keeps a policy in force on the NICs of this host, that of a document (`run`) or that of a store which
//! clients change (`serve`).

// Both panic once nobody reads, and the agent must not end for that: `lines` writes instead.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod help;
mod journal;
mod lines;
mod logging;
mod manual;
mod metrics;
mod observe;
mod open_files;
mod recorded;
mod run;
mod serve;
mod socket;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, error::ErrorKind, value_parser,
};
use sg_agent::{AgentError, AgentOptions, AllowUnfiltered, Instance, RefusalCause};
use sg_audit::Trail;
use sg_common::flow::{DEFAULT_TIMEOUTS_SECONDS, LONGEST_TIMEOUT_SECONDS, TIMEOUT_NAMES};
use sg_kernel::{Attachment, FlowOptions, Limits, RejectRate, TcxOrder, remedy};
use sg_model::text::escaped_lines;

/// Keeps security groups in force on the NICs of this host.
#[derive(Debug, Parser)]
#[command(name = "sgd", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enforce the policy of a document until SIGTERM or SIGINT; SIGHUP reads it again.
    Run(run::Arguments),
    /// Keep groups, rules and NICs in a store, serve the APIs that change them, and enforce them until SIGTERM or
    /// SIGINT.
    Serve(serve::Arguments),
    #[command(hide = true)]
    Man(manual::Arguments),
}

impl Command {
    /// The format of the log.
    const fn log_format(&self) -> logging::Format {
        match self {
            Self::Run(arguments) => arguments.agent.log_format,
            Self::Serve(arguments) => arguments.agent.log_format,
            Self::Man(_) => logging::Format::Text,
        }
    }

    /// How much is logged, if the arguments say it.
    const fn log_level(&self) -> Option<logging::Level> {
        match self {
            Self::Run(arguments) => arguments.agent.log_level,
            Self::Serve(arguments) => arguments.agent.log_level,
            Self::Man(_) => None,
        }
    }

    /// The policy document, if there is one.
    fn policy(&self) -> Option<PathBuf> {
        match self {
            Self::Run(arguments) => Some(arguments.policy.clone()),
            Self::Serve(_) | Self::Man(_) => None,
        }
    }
}

#[derive(Debug, clap::Args)]
struct AgentArguments {
    /// Name of the instance: of its files and pins.
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    instance: String,
    /// How programs attach to devices.
    #[arg(long, value_enum, value_name = "MODE", default_value = "auto")]
    attach: Attach,
    /// Position among other TCX programs on the device. Default: last on first attach, unchanged on restart.
    #[arg(long, value_enum, value_name = "PLACE")]
    tcx_order: Option<Order>,
    /// Remove the filter when the agent ends. By default it stays in force.
    #[arg(long)]
    detach_on_exit: bool,
    /// Refuse to start if the filter would not outlive the agent: bpffs is not the host's.
    #[arg(long, conflicts_with = "detach_on_exit")]
    require_pinned: bool,
    /// Format of the log on stderr.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: logging::Format,
    /// How much sgd logs of its own steps. Default: that of `RUST_LOG`, or info.
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<logging::Level>,
    /// Log level of the programs in the kernel.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "off")]
    bpf_log: BpfLog,
    /// Maximum size of one NIC's image.
    #[arg(long, value_name = "MiB", default_value = "64", value_parser = value_parser!(u32).range(1..=64))]
    image_budget: u32,
    /// Maximum number of flows of all NICs, per address family.
    #[arg(long, value_name = "N", default_value = "262144", value_parser = value_parser!(u32).range(1..))]
    max_flows: u32,
    /// Maximum number of established flows of one NIC. Default: half of --max-flows.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    flows_per_nic: Option<u32>,
    /// Idle timeout of flows in a state, in seconds. May be repeated. States and defaults: tcp-new 30, tcp-established 910,
    /// tcp-closing 3, udp-new 30, udp-established 180, icmp 30, other-new 30, other-established 180.
    #[arg(long = "timeout", value_name = "STATE=SECONDS", value_parser = timeout)]
    timeouts: Vec<(usize, u32)>,
    /// Resets and ICMP errors that one NIC sends for rejected packets, per second on average; 0 sends none.
    #[arg(long, value_name = "N", default_value = "1000")]
    reject_rate: u32,
    /// Maximum number of NICs.
    #[arg(long, value_name = "N", default_value = "256", value_parser = value_parser!(u32).range(1..=65536))]
    max_nics: u32,
    /// Maximum number of counters: 64 for the host, 64 per NIC, one per rule.
    #[arg(long, value_name = "N", default_value = "65536", value_parser = value_parser!(u32).range(128..))]
    max_counters: u32,
    /// Maximum number of entries in which packets that do not pass are counted by who sent what to whom; 0 counts them by rule
    /// only.
    #[arg(long, value_name = "N", default_value = "65536", value_parser = value_parser!(u32).range(0..=1 << 20))]
    max_denied: u32,
    #[command(flatten)]
    observe: observe::ObserveArguments,
    #[command(flatten)]
    metrics: metrics::MetricsArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Attach {
    /// TCX where the kernel has it, clsact elsewhere.
    Auto,
    /// By links, from Linux 6.6 on.
    Tcx,
    /// By filters of a qdisc, on every kernel.
    Clsact,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Before the programs of others.
    First,
    /// Behind them.
    Last,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BpfLog {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl AgentArguments {
    fn options(&self) -> Result<AgentOptions, AgentError> {
        Ok(AgentOptions {
            instance: Instance::new(&self.instance)?,
            attachment: match self.attach {
                Attach::Auto => Attachment::Auto,
                Attach::Tcx => Attachment::Tcx,
                Attach::Clsact => Attachment::Clsact,
            },
            order: self.tcx_order.map(|order| match order {
                Order::First => TcxOrder::First,
                Order::Last => TcxOrder::Last,
            }),
            detach_on_exit: self.detach_on_exit,
            require_pinned: self.require_pinned,
            program_log: self.bpf_log as u8,
            budget_words: self.image_budget as usize * (1 << 20) / size_of::<u64>(),
            flows: FlowOptions {
                timeouts: self.timeouts.iter().fold(
                    DEFAULT_TIMEOUTS_SECONDS,
                    |mut all, &(state, seconds)| {
                        all[state] = seconds;
                        all
                    },
                ),
                per_nic: self.flows_per_nic.unwrap_or(self.max_flows.div_ceil(2)),
            },
            rejects: RejectRate(self.reject_rate),
            allow_unfiltered: AllowUnfiltered::default(),
            started_over: None,
            trail: Trail::none(),
            traffic: None,
            measure: None,
            confirm: None,
            history: None,
            limits: Limits {
                nics: self.max_nics,
                flows: self.max_flows,
                counters: self.max_counters,
                denied: self.max_denied,
            },
        })
    }
}

/// `STATE=SECONDS`, as the place in the table and the seconds.
fn timeout(text: &str) -> Result<(usize, u32), String> {
    let states = TIMEOUT_NAMES.join(", ");
    let (state, seconds) =
        text.split_once('=').ok_or_else(|| format!("write STATE=SECONDS; states are {states}"))?;
    let place = TIMEOUT_NAMES.iter().position(|name| *name == state);
    let place = place.ok_or_else(|| format!("no state {state:?}; there are {states}"))?;
    match seconds.parse() {
        Ok(seconds) if (1..=LONGEST_TIMEOUT_SECONDS).contains(&seconds) => Ok((place, seconds)),
        _ => Err(format!("{seconds:?} is not a number of seconds from 1 to {LONGEST_TIMEOUT_SECONDS}")),
    }
}

/// The arguments. clap prints an error, or the help, and ends the process.
fn parsed() -> Arguments {
    let mut command = help::of(Arguments::command());
    let matches = command.get_matches_mut();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

fn main() -> ExitCode {
    let command = parsed().command;
    let log_format = command.log_format();
    let policy = command.policy();
    if let Err(error) = logging::init(log_format, command.log_level()) {
        Arguments::command().error(ErrorKind::InvalidValue, error).exit();
    }
    let ended = open_files::raise().and_then(|()| match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Man(arguments) => manual::write(&arguments, Arguments::command()),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match log_format {
                logging::Format::Text => escaped_lines(&told(&error, policy.as_deref()))
                    .lines()
                    .for_each(|line| lines::warn(&format!("sgd: {line}"))),
                logging::Format::Json => tracing::error!("{}", said(&error)),
            }
            ExitCode::from(exit_code(&error))
        }
    }
}

/// 2: the policy is at fault; 3: it would leave a device unfiltered or lose what must be kept; 1: anything else.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<AgentError>() {
        Some(error) if error.refusal_cause() == RefusalCause::Guard => 3,
        Some(error) if error.concerns_policy() => 2,
        _ => 1,
    }
}

/// An error with its causes, each once, and what to do about it where none of them says so.
fn said(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    match error.root_cause().downcast_ref().and_then(remedy) {
        Some(remedy) if !said.contains(remedy) => format!("{said}: {remedy}"),
        _ => said,
    }
}

/// The same for people: of a document with faults, also how to see its lines.
fn told(error: &anyhow::Error, policy: Option<&Path>) -> String {
    match (error.downcast_ref(), policy) {
        (Some(AgentError::Policy { .. }), Some(file)) if file.is_file() => {
            format!("{}\n`sgctl validate -f {}` shows the lines", said(error), file.display())
        }
        _ => said(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_does_not_exist_is_refused_by_name() {
        let read = |format: &str| {
            Arguments::try_parse_from(["sgd", "run", "--policy", "p.yaml", "--log-format", format])
        };
        let error = read("yaml").unwrap_err().to_string();
        assert!(
            error.contains("'yaml'") && error.contains("--log-format") && error.contains("text, json"),
            "{error}"
        );
        assert_eq!(read("json").unwrap().command.log_format(), logging::Format::Json);
        let usual = Arguments::try_parse_from(["sgd", "serve"]).unwrap();
        assert_eq!(usual.command.log_format(), logging::Format::Text);
    }
}
