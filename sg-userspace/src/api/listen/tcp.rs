//! TCP sockets: loopback, unless somebody said otherwise.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::{ListenError, serve::BACKLOG};

/// Which addresses may be listened on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exposure {
    /// Those of this host alone.
    Loopback {
        /// The command-line flag that allows others, for the refusal.
        flag: &'static str,
    },
    /// Any: the operator allowed it.
    Anywhere,
}

/// Listens on `address`, which `flag` named.
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
    // Connections of the process before this one may still be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
