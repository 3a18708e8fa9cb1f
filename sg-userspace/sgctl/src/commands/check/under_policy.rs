//! The verdict for packets under a document, and why. It needs no running agent.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use nix::unistd::geteuid;
use sg_check::{EngineKind, Form};
use sg_model::{
    Policy,
    text::{escaped, escaped_json},
};
use sg_oracle::Oracle;
use sg_probe::{CheckResult, Probe, Reader};
use sg_records::Protocol;

use crate::{
    args::{
        common::{Format, OutputArgs},
        policy::{self, PolicyArg},
    },
    commands::check::{
        explain,
        packet::{Engine, PacketArgs},
    },
    failure::Failure,
    render::output::Output,
    stderr::say,
};

/// Judge the packets of a file under a document.
#[derive(Debug, Args)]
pub(crate) struct ProbesArgs {
    /// Probes, one JSON object per line; `-` reads standard input
    probes: PathBuf,
    #[command(flatten)]
    policy: PolicyArg,
    /// Engine that judges
    #[arg(long, default_value = "image")]
    engine: Engine,
}

/// Fields of a probe, and their flags.
const FLAGS: [(&str, &str); 4] = [
    ("sport", "--source-port"),
    ("dport", "--port"),
    ("icmp_type", "--icmp-type"),
    ("icmp_code", "--icmp-code"),
];

/// The probe that the arguments describe.
fn probe(args: &PacketArgs, policy: &Policy) -> Result<Probe, Failure> {
    args.require_port()?;
    let index = Reader::new(policy).nic(&args.nic).map_err(Failure::not_found)?;
    let of_family = |address: &&IpAddr| address.is_ipv4() == args.remote.is_ipv4();
    let addresses = policy.nics().get(index).map(|nic| nic.addresses.as_slice()).unwrap_or_default();
    let local = args.local.or_else(|| addresses.iter().find(of_family).copied()).ok_or_else(|| {
        let family = if args.remote.is_ipv4() { "IPv4" } else { "IPv6" };
        Failure::input(anyhow!(
            "NIC {} has no {family} address in the document or on this host: give --local",
            args.nic
        ))
    })?;
    let Protocol::Number(protocol) = args.protocol else {
        return Err(Failure::input(anyhow!("a packet has one protocol: give --protocol tcp, udp, icmp …")));
    };
    let parts = args.request().parts(index, protocol, local);
    Probe::new(parts).map_err(|error| Failure::input(error.in_words(&FLAGS)))
}

pub(crate) fn packet(
    args: &PacketArgs,
    policy: &Path,
    output: &OutputArgs,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut output = Output::new(output, out)?;
    output.without_table()?;
    let policy = policy::load(policy)?;
    warn_of_no_addresses(&policy, Some(&args.nic));
    let probe = probe(args, &policy)?;
    let engine = args.engine.map_or(EngineKind::Oracle, Engine::kind);
    if output.format.is_table() {
        let verdict = explain_and_compare(&policy, &probe, engine, output.out)?;
        return args.compare(verdict);
    }
    let result = check(&policy, engine, &probe)?;
    let written = result.written(&policy);
    let verdict = result.verdict.name();
    match output.format {
        Format::Name => output.line(verdict)?,
        // On one line, like the results for many probes.
        Format::Json => {
            output.painted(&escaped_json(&serde_json::to_string(&written).map_err(Failure::other)?))?;
        }
        _ => output.data(&written)?,
    }
    args.compare(verdict)
}

pub(crate) fn probes(args: &ProbesArgs, output: &OutputArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let output = Output::new(output, out)?;
    output.without_table()?;
    let form = match output.format {
        Format::Json => Form::Json,
        Format::Table | Format::Wide => Form::Words,
        Format::Yaml | Format::Name => {
            return Err(Failure::input(anyhow!("results for probes are words, or with --json JSON lines")));
        }
    };
    if args.probes == Path::new("-") && args.policy.policy == Path::new("-") {
        return Err(Failure::input(anyhow!("only one of the probes and the document can be standard input")));
    }
    let policy = policy::load(&args.policy.policy)?;
    warn_of_no_addresses(&policy, None);
    let mut engine = args.engine.kind().start(&policy)?;
    let (file, mut probes) = open(&args.probes).map_err(Failure::Input)?;
    Ok(sg_check::stream(&policy, &file, &mut probes, &mut *engine, form, output.out)?)
}

/// Says which NICs have no address: their packets get other verdicts than on the host that has the device. With `nic`, only that
/// one matters.
fn warn_of_no_addresses(policy: &Policy, nic: Option<&str>) {
    /// Further devices are counted.
    const SHOWN: usize = 5;
    let nics = policy.nics().iter().filter(|found| nic.is_none_or(|nic| nic == found.device));
    let unknown = nics.filter(|nic| nic.addresses_from_device && nic.addresses.is_empty());
    let devices: Vec<&str> = unknown.map(|nic| nic.device.as_str()).collect();
    if devices.is_empty() {
        return;
    }
    let more = devices.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = devices[..devices.len().min(SHOWN)].join(", ");
    say(&format!(
        "sgctl: warning: no address of {}{more} is known: the document names none, and this host has none there; what \
         depends on them is judged without: name them under addresses",
        escaped(&shown)
    ));
}

fn open(path: &Path) -> anyhow::Result<(String, BufReader<Box<dyn Read>>)> {
    const BUFFER: usize = 64 * 1024;
    if path == Path::new("-") {
        return Ok(("<stdin>".to_owned(), BufReader::with_capacity(BUFFER, Box::new(io::stdin()))));
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| name.clone())?;
    Ok((name, BufReader::with_capacity(BUFFER, Box::new(file))))
}

fn check(policy: &Policy, engine: EngineKind, probe: &Probe) -> Result<CheckResult, Failure> {
    Ok(engine.start(policy).and_then(|mut engine| engine.check(probe))?)
}

/// The explanation of `probe`, then the result of every other engine. An engine that was not requested by name may be
/// unavailable; a different result is a failure. Returns the verdict.
fn explain_and_compare(
    policy: &Policy,
    probe: &Probe,
    engine: EngineKind,
    out: &mut dyn Write,
) -> Result<&'static str, Failure> {
    let explanation = Oracle::new(policy).explain(probe);
    explain::write(policy, probe, &explanation, out)?;
    let expected = explanation.result;
    let mut agreeing = vec![EngineKind::Oracle.name()];
    for other in [EngineKind::Image, EngineKind::Kernel] {
        if other == EngineKind::Kernel && engine != other && !geteuid().is_root() {
            writeln!(out, "skipped: kernel (it needs root)")?;
            continue;
        }
        let found = match check(policy, other, probe) {
            Ok(found) => found,
            Err(Failure::Other(error)) if other == EngineKind::Kernel && engine != other => {
                writeln!(out, "skipped: kernel ({})", escaped(&format!("{error:#}")))?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if found != expected {
            let (expected, found) = (expected.written(policy), found.written(policy));
            return Err(Failure::other(anyhow!(
                "the engines disagree: oracle says {expected}; {other} says {found}. This is a defect; please \
                 report it with the policy and the packet"
            )));
        }
        agreeing.push(other.name());
    }
    writeln!(out, "agreed: {}", agreeing.join(", "))?;
    Ok(expected.verdict.name())
}
