//! TCP sockets: loopback only, unless the operator allows other addresses.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::{ListenError, limits::BACKLOG};

/// The addresses on which to allow listening.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exposure {
    /// Only those of this host.
    Loopback {
        /// The command-line flag that allows others, for the refusal.
        flag: &'static str,
    },
    /// Any address: the operator allowed it.
    Anywhere,
}

/// Listens on `address`, given by `flag`.
pub(super) fn bind(
    address: SocketAddr,
    exposure: Exposure,
    flag: &'static str,
) -> Result<TcpListener, ListenError> {
    if let Exposure::Loopback { flag } = exposure
        && !address.ip().to_canonical().is_loopback()
    {
        return Err(ListenError::NotLoopback { address, flag });
    }
    listen(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { address, flag },
        _ => ListenError::Tcp { address, source, flag },
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the previous process may still be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
