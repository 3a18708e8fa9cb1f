//! `sgctl check --policy`: the verdict for a packet under a document, and why. It needs no running agent.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use nix::unistd::geteuid;

use super::{explain, failure::Failure, output::Format, policy};
use crate::{
    check::{self, EngineKind, Form},
    model::{
        Direction, Policy,
        text::{escaped, escaped_json},
    },
    oracle::Oracle,
    probe::{CheckResult, Probe, ProbeParts, ProtocolName, Reader},
};

/// Probes and who answers them.
#[derive(Debug, Args)]
pub(super) struct TypedProbes {
    /// Probes, one JSON object per line; `-` reads standard input.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "TypedPacket",
        conflicts_with = "TypedPacket"
    )]
    probes: Option<PathBuf>,
    /// Engine that judges [default: image for --probes, oracle for a single packet].
    #[arg(long)]
    engine: Option<TypedEngine>,
    #[command(flatten, next_help_heading = "A single packet")]
    packet: Option<TypedPacket>,
}

/// A single packet.
#[derive(Debug, Args)]
struct TypedPacket {
    /// Device of the NIC.
    #[arg(long)]
    nic: String,
    /// Direction as the NIC's owner sees it.
    #[arg(long)]
    direction: TypedDirection,
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, or 0 to 255.
    #[arg(long)]
    protocol: ProtocolName,
    /// Source address.
    #[arg(long, value_name = "ADDRESS")]
    src: IpAddr,
    /// Destination address.
    #[arg(long, value_name = "ADDRESS")]
    dst: IpAddr,
    /// Source port [default: 40000].
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// Destination port; required for tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite).
    #[arg(long, value_name = "PORT")]
    dport: Option<u16>,
    /// ICMP type; required for icmp and icmpv6.
    #[arg(long, value_name = "NUMBER")]
    icmp_type: Option<u8>,
    /// ICMP code [default: 0].
    #[arg(long, value_name = "NUMBER")]
    icmp_code: Option<u8>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TypedDirection {
    Ingress,
    Egress,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TypedEngine {
    /// The rules as written.
    Oracle,
    /// The compiled image, read in user space.
    Image,
    /// The eBPF program over a real packet; needs root.
    Kernel,
}

/// The request that the arguments describe.
enum Request {
    /// Check all the probes in a file.
    Stream { probes: PathBuf, engine: EngineKind, form: Form },
    /// Check one probe, for a program.
    CheckResult { probe: Probe, engine: EngineKind },
    /// Check one probe, for people, and compare the other engines.
    Explain { probe: Probe, engine: EngineKind },
}

impl TypedProbes {
    fn into_request(self, policy: &Policy, json: bool) -> Result<Request, Failure> {
        let engine = self.engine.map(|engine| match engine {
            TypedEngine::Oracle => EngineKind::Oracle,
            TypedEngine::Image => EngineKind::Image,
            TypedEngine::Kernel => EngineKind::Kernel,
        });
        match (self.probes, self.packet) {
            (Some(probes), _) => {
                let form = if json { Form::Json } else { Form::Words };
                Ok(Request::Stream { probes, engine: engine.unwrap_or(EngineKind::Image), form })
            }
            (None, Some(packet)) => {
                let probe = packet.probe(policy).map_err(Failure::Input)?;
                let engine = engine.unwrap_or(EngineKind::Oracle);
                Ok(if json {
                    Request::CheckResult { probe, engine }
                } else {
                    Request::Explain { probe, engine }
                })
            }
            (None, None) => Err(Failure::input(anyhow!("either --probes or a packet is needed"))),
        }
    }
}

impl TypedPacket {
    fn probe(&self, policy: &Policy) -> anyhow::Result<Probe> {
        let parts = ProbeParts {
            nic: Reader::new(policy).nic(&self.nic)?,
            direction: match self.direction {
                TypedDirection::Ingress => Direction::Ingress,
                TypedDirection::Egress => Direction::Egress,
            },
            protocol: self.protocol.0,
            source: self.src,
            destination: self.dst,
            source_port: self.sport,
            destination_port: self.dport,
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
        };
        const FLAGS: [(&str, &str); 4] = [
            ("sport", "--sport"),
            ("dport", "--dport"),
            ("icmp_type", "--icmp-type"),
            ("icmp_code", "--icmp-code"),
        ];
        Ok(Probe::new(parts).map_err(|error| error.in_words(&FLAGS))?)
    }
}

pub(super) fn run(
    typed: TypedProbes,
    policy: &Path,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let json = match format {
        Format::Json => true,
        Format::Table | Format::Wide => false,
        Format::Yaml | Format::Name => {
            return Err(Failure::input(anyhow!(
                "answers about a document are words, or with --json JSON lines"
            )));
        }
    };
    let policy = policy::load(policy)?;
    warn_of_no_addresses(&policy, typed.packet.as_ref().map(|packet| packet.nic.as_str()));
    match typed.into_request(&policy, json)? {
        Request::Stream { probes, engine, form } => {
            let mut engine = engine.start(&policy)?;
            let (file, mut probes) = open(&probes).map_err(Failure::Input)?;
            Ok(check::stream(&policy, &file, &mut probes, &mut *engine, form, out)?)
        }
        Request::CheckResult { probe, engine } => {
            let answer = answer(&policy, engine, &probe)?.written(&policy);
            let answer = serde_json::to_string(&answer).map_err(io::Error::from)?;
            Ok(writeln!(out, "{}", escaped_json(&answer))?)
        }
        Request::Explain { probe, engine } => explain_and_compare(&policy, &probe, engine, out),
    }
}

/// Says which NICs have no address: their packets get other verdicts than on the host that has the device. With `nic`, only that
/// one matters.
fn warn_of_no_addresses(policy: &Policy, nic: Option<&str>) {
    let nics = policy.nics().iter().filter(|found| nic.is_none_or(|nic| nic == found.device));
    let unknown = nics.filter(|nic| nic.addresses_from_device && nic.addresses.is_empty());
    let devices: Vec<&str> = unknown.map(|nic| nic.device.as_str()).collect();
    if devices.is_empty() {
        return;
    }
    /// Further devices are counted.
    const SHOWN: usize = 5;
    let more = devices.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = devices[..devices.len().min(SHOWN)].join(", ");
    eprintln!(
        "sgctl: warning: no address of {}{more} is known: the document names none, and this host has none there; what \
         depends on them is judged without: name them under addresses",
        escaped(&shown)
    );
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

fn answer(policy: &Policy, engine: EngineKind, probe: &Probe) -> Result<CheckResult, Failure> {
    Ok(engine.start(policy).and_then(|mut engine| engine.answer(probe))?)
}

/// The explanation of `probe`, then the result of every other engine. An engine that was not requested by name may be
/// unavailable; a different result is a failure.
fn explain_and_compare(
    policy: &Policy,
    probe: &Probe,
    engine: EngineKind,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let explanation = Oracle::new(policy).explain(probe);
    explain::write(policy, probe, &explanation, out)?;
    let expected = explanation.answer;
    let mut agreeing = vec![EngineKind::Oracle.name()];
    for other in [EngineKind::Image, EngineKind::Kernel] {
        if other == EngineKind::Kernel && engine != other && !geteuid().is_root() {
            writeln!(out, "not asked: kernel (it needs root)")?;
            continue;
        }
        let found = match answer(policy, other, probe) {
            Ok(found) => found,
            Err(Failure::Other(error)) if other == EngineKind::Kernel && engine != other => {
                writeln!(out, "not asked: kernel ({})", escaped(&format!("{error:#}")))?;
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
    Ok(writeln!(out, "agreed: {}", agreeing.join(", "))?)
}
