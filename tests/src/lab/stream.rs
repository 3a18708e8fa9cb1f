//! TCP connections with explicit addresses at both ends.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

fn socket(bound: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(bound), Type::STREAM, Some(Protocol::TCP))?;
    // A test may use the same tuple twice.
    socket.set_reuse_address(true)?;
    socket.bind(&bound.into())?;
    Ok(socket)
}

/// Connects, within `patience`.
pub(super) fn connect(from: SocketAddr, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = socket(from)?;
    socket.connect_timeout(&to.into(), patience)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

pub(super) fn listen(on: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(on)?;
    socket.listen(64)?;
    Ok(socket.into())
}
