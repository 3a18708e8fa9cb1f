//! Whose a TCP connection of this host is: every user can connect to loopback, and the kernel knows who did (sock_diag(7)).
//! Called once for each such connection, when it is accepted.

use std::{io, net::SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

/// `INET_DIAG_NOCOOKIE`, include/uapi/linux/inet_diag.h: whichever socket has these addresses.
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// Whether both ends are on this host.
pub(super) fn is_of_this_host(client: SocketAddr, server: SocketAddr) -> bool {
    let ip = client.ip().to_canonical();
    ip.is_loopback() || ip == server.ip().to_canonical()
}

/// The user whose socket the other end of a connection is; `None` where it was closed before this was asked: the kernel then
/// names root.
///
/// # Errors
/// Where the kernel does not tell.
pub(super) fn user(client: SocketAddr, server: SocketAddr) -> io::Result<Option<u32>> {
    let (from, to) = (client.ip().to_canonical(), server.ip().to_canonical());
    let mut socket_id = if from.is_ipv4() { SocketId::new_v4() } else { SocketId::new_v6() };
    (socket_id.source_address, socket_id.source_port) = (from, client.port());
    (socket_id.destination_address, socket_id.destination_port) = (to, server.port());
    socket_id.cookie = ANY_COOKIE;
    let request = InetRequest {
        family: if from.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: socket_id.clone(),
    };
    let mut message = NetlinkMessage::from(SockDiagMessage::InetRequest(request));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
            let found = response.header;
            // A socket that listens has no other end.
            let is_it = found.socket_id.destination_port == socket_id.destination_port;
            Ok((is_it && found.inode != 0).then_some(found.uid))
        }
        NetlinkPayload::Error(error) => match error.to_io() {
            error if error.kind() == io::ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use nix::unistd::geteuid;

    use super::*;

    #[test]
    fn the_kernel_says_whose_a_connection_is() {
        for here in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(here).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, from) = listener.accept().unwrap();
            let to = accepted.local_addr().unwrap();
            assert!(is_of_this_host(from, to));
            assert_eq!(user(from, to).unwrap(), Some(geteuid().as_raw()));
            // The process's own end is one, too.
            assert_eq!(user(to, from).unwrap(), Some(geteuid().as_raw()));
            drop(client);
            // Closed, and waiting for our end: it is nobody's.
            assert_eq!(user(from, to).unwrap(), None);
            drop(accepted);
            assert_eq!(user("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()).unwrap(), None);
        }
        assert!(!is_of_this_host("192.0.2.1:1".parse().unwrap(), "192.0.2.2:1".parse().unwrap()));
        assert!(is_of_this_host("192.0.2.1:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap()));
    }
}
