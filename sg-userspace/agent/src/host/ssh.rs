//! Established connections to SSH servers of this host, as the pinned flow tables have them. It must never decide whether one may
//! end. `lifecycle` asks before a document is put in force.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, State},
    packet::{Family, protocol},
};
use sg_guard::Connection;
use sg_kernel::{Flows, KernelError, pins};

/// An accepted connection from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Established {
    /// The slot of its NIC.
    pub(crate) slot: u16,
    /// The generation of the NIC's policy that accepted it last.
    pub(crate) generation: u32,
    pub(crate) connection: Connection,
}

/// The accepted connections from outside to one of `ports`.
///
/// # Errors
/// If the tables cannot be read.
pub(crate) fn connections(directory: &Path, ports: &[u16]) -> Result<Vec<Established>, KernelError> {
    if !pins::exist(directory) {
        return Ok(Vec::new());
    }
    let flows = Flows::open(directory)?.list()?;
    let wanted = flows.iter().filter(|(key, entry)| is_established(key, entry, ports));
    let established = |(key, entry): &(FlowKey, FlowEntry)| Established {
        slot: key.l4.nic(),
        generation: entry.generation,
        connection: connection(key),
    };
    Ok(wanted.map(established).collect())
}

fn is_established(key: &FlowKey, entry: &FlowEntry, ports: &[u16]) -> bool {
    key.l4.protocol() == protocol::TCP
        && ports.contains(&key.l4.local_port())
        && entry.direction() == Direction::Ingress
        && entry.state() == State::Established as u8
        && !entry.is_revoked()
}

fn connection(key: &FlowKey) -> Connection {
    let address = |high: u64, low: u64| -> IpAddr {
        match key.l4.family() {
            Family::V4 => Ipv4Addr::from_bits(high as u32).into(),
            Family::V6 => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
        }
    };
    let remote = SocketAddr::new(address(key.remote_high, key.remote_low), key.l4.remote_port());
    Connection::new(remote, SocketAddr::new(address(key.local_high, key.local_low), key.l4.local_port()))
}
