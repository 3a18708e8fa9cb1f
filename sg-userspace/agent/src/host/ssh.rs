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

/// The accepted connections from outside to one of `ports`, each with the slot of its NIC.
///
/// # Errors
/// If the tables cannot be read.
pub(crate) fn connections(directory: &Path, ports: &[u16]) -> Result<Vec<(u16, Connection)>, KernelError> {
    if !pins::exist(directory) {
        return Ok(Vec::new());
    }
    let flows = Flows::open(directory)?.list()?;
    let wanted = flows.iter().filter(|(key, entry)| is_established(key, entry, ports));
    Ok(wanted.map(|(key, _)| (key.l4.nic(), connection(key))).collect())
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
