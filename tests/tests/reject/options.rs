//! Who connects with IP options set is told like everybody else: real sockets, whose kernel writes the options or extension headers
//! into the SYN and must take the reset as the reply to it.

use std::{io, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::SetStruct},
};
use sg_tests::lab::{Attach, Family, Lab, PATIENCE};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    reject::reply_sent::scene,
    support::{
        scene::{Client, Counted, Role, Server, Who, counts, over_roles, web},
        suite::Suite,
    },
};

/// The most that an IPv4 header has room for; for IPv6 a header that is longer than its shortest form.
const LENGTH: usize = 40;
const PORT: u16 = 81;

#[derive(Clone, Copy, Debug)]
struct Ipv4Options;
nix::setsockopt_impl!(
    Ipv4Options,
    libc::IPPROTO_IP,
    libc::IP_OPTIONS,
    [u8; LENGTH],
    SetStruct<'_, [u8; LENGTH]>
);

#[derive(Clone, Copy, Debug)]
struct HopByHop;
nix::setsockopt_impl!(
    HopByHop,
    libc::IPPROTO_IPV6,
    libc::IPV6_HOPOPTS,
    [u8; LENGTH],
    SetStruct<'_, [u8; LENGTH]>
);

#[derive(Clone, Copy, Debug)]
struct DestinationOptions;
nix::setsockopt_impl!(
    DestinationOptions,
    libc::IPPROTO_IPV6,
    libc::IPV6_DSTOPTS,
    [u8; LENGTH],
    SetStruct<'_, [u8; LENGTH]>
);

/// What is set on a socket before it connects.
#[derive(Clone, Copy, Debug)]
enum Set {
    /// No operation, forty times.
    Nothing,
    /// A timestamp of each hop, with room for nine (RFC 791).
    Timestamps,
    /// Padding that every hop looks at.
    HopByHop,
    /// Padding for the receiver.
    DestinationOptions,
    /// Both headers.
    Both,
}

impl Set {
    fn of(family: Family) -> &'static [Self] {
        match family {
            Family::V4 => &[Self::Nothing, Self::Timestamps],
            Family::V6 => &[Self::HopByHop, Self::DestinationOptions, Self::Both],
        }
    }

    fn set(self, socket: &Socket) -> Result<()> {
        // One option `PadN` (RFC 8200 4.2), behind the next header, which the kernel writes, and the length in units of eight
        // bytes.
        let mut padding = [0; LENGTH];
        padding[..4].copy_from_slice(&[0, (LENGTH / 8 - 1) as u8, 1, (LENGTH - 4) as u8]);
        let mut timestamps = [0; LENGTH];
        timestamps[..4].copy_from_slice(&[68, LENGTH as u8, 5, 0]);
        match self {
            Self::Nothing => setsockopt(socket, Ipv4Options, &[1; LENGTH])?,
            Self::Timestamps => setsockopt(socket, Ipv4Options, &timestamps)?,
            Self::HopByHop => setsockopt(socket, HopByHop, &padding)?,
            Self::DestinationOptions => setsockopt(socket, DestinationOptions, &padding)?,
            Self::Both => {
                setsockopt(socket, HopByHop, &padding)?;
                setsockopt(socket, DestinationOptions, &padding)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "who_connects_with_options_is_told", who_connects_with_options);
}

fn who_connects_with_options(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const RULES: &str = "
ingress:
  - { id: in, action: reject, protocol: tcp, ports: 81 }
egress:
  - { id: out, action: reject, protocol: tcp, ports: 81 }
";
    let (scene, agent, _other) = scene(lab, attach, role, &web(role, RULES))?;
    for (from, to, rule) in [(Client, Server, "in"), (Server, Client, "out")] {
        for family in Family::ALL {
            for &set in Set::of(family) {
                let connect = || scene.host(from).inside(|| is_refused(from, to, family, set));
                // One SYN, and one reject, which was understood.
                let told = || counts(&agent, Counted::Rule(rule), 1..=1, connect);
                counts(&agent, Counted::Reason("reject-sent"), 1..=1, told)
                    .with_context(|| format!("{rule}, {family}, {set:?}"))?;
            }
        }
    }
    Ok(())
}

fn is_refused(from: Who, to: Who, family: Family, set: Set) -> Result<()> {
    let source = SocketAddr::new(from.address(family), 0);
    let socket = Socket::new(Domain::for_address(source), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&source.into())?;
    set.set(&socket).context("setting the options")?;
    let connected = socket.connect_timeout(&SocketAddr::new(to.address(family), PORT).into(), PATIENCE);
    let kind = connected.map_err(|error| error.kind());
    ensure!(kind == Err(io::ErrorKind::ConnectionRefused), "{kind:?}");
    Ok(())
}
