//! The arguments of `sgctl check packet`: the same for a packet on a NIC as it is, and for one under a document.

use std::{net::IpAddr, path::PathBuf};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use sg_api_types::CheckPacket;
use sg_check::EngineKind;
use sg_records::{Direction, Protocol};

use crate::{
    args::{numbers::PacketNumbers, service_name::port, values::named, words::packet_protocol},
    failure::Failure,
};

/// Judge one packet on a NIC: by the rules in force, or with --policy under a document.
#[derive(Debug, Args)]
pub(crate) struct PacketArgs {
    /// Id, name or device of the NIC, or an instance, which means its primary NIC. With --policy: its device
    #[arg(value_parser = named())]
    pub(crate) nic: String,
    /// Policy document to check instead of the rules in force; needs no running sgd
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Direction as the NIC's owner sees it
    #[arg(long, value_enum, default_value = "ingress")]
    pub(crate) direction: Direction,
    /// Protocol: tcp, udp, icmp, icmpv6, gre, sctp, or 0 to 255
    #[arg(long, value_parser = packet_protocol)]
    pub(crate) protocol: Protocol,
    /// Remote address: the source of inbound packets, the destination of outbound ones
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) remote: IpAddr,
    /// Local address. Default: the NIC's first address of the remote's family
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) local: Option<IpAddr>,
    /// Destination port, or a service such as ssh; tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite) need it
    #[arg(long, value_parser = port)]
    pub(crate) port: Option<u16>,
    /// Source port. Default: 40000
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub(crate) source_port: Option<u16>,
    #[command(flatten)]
    numbers: PacketNumbers,
    /// Verdict to expect; another one ends the command with exit code 1
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub(crate) expect: Option<Expected>,
    /// With --policy: the engine that judges. Default: oracle, and the others must agree
    #[arg(long, requires = "policy")]
    pub(crate) engine: Option<Engine>,
}

/// A verdict to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expected {
    Accept,
    Drop,
    Reject,
}

/// Which engine judges.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    /// The rules as written.
    Oracle,
    /// The compiled image, read in user space.
    Image,
    /// The eBPF program over a real packet; needs root.
    Kernel,
}

impl Engine {
    pub(crate) const fn kind(self) -> EngineKind {
        match self {
            Self::Oracle => EngineKind::Oracle,
            Self::Image => EngineKind::Image,
            Self::Kernel => EngineKind::Kernel,
        }
    }
}

impl PacketArgs {
    /// The packet.
    pub(crate) fn request(&self) -> CheckPacket {
        let Self {
            nic,
            policy: _,
            direction,
            protocol,
            remote,
            local,
            port,
            source_port,
            numbers,
            expect: _,
            engine: _,
        } = self;
        CheckPacket {
            nic: nic.clone(),
            direction: *direction,
            protocol: *protocol,
            remote: *remote,
            local: *local,
            port: *port,
            source_port: *source_port,
            numbers: (*numbers).into(),
        }
    }

    /// Refuses a protocol with ports without one, in the words of the arguments.
    pub(crate) fn require_port(&self) -> Result<(), Failure> {
        let has_ports = matches!(self.protocol, Protocol::Number(6 | 17 | 33 | 132 | 136));
        if has_ports && self.port.is_none() {
            return Err(Failure::input(anyhow!(
                "{} needs --port: a number from 0 to 65535, or a service such as ssh",
                self.protocol
            )));
        }
        Ok(())
    }

    /// Fails if another verdict was expected than `found`.
    pub(crate) fn compare(&self, found: &str) -> Result<(), Failure> {
        match self.expect.as_ref().map(crate::args::values::word) {
            Some(expected) if expected != found => {
                Err(Failure::other(anyhow!("expected {expected}, but the verdict is {found}")))
            }
            _ => Ok(()),
        }
    }
}
