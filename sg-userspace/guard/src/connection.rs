//! Connections of those who administer the host: to its SSH server, or to its API.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use sg_common::packet::protocol;
use sg_model::{Direction, HeaderNumbers, Nic, Policy, Role};
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts};
use thiserror::Error;

use super::lost::{Lost, judged};

/// A TCP connection to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    remote: SocketAddr,
    local: SocketAddr,
}

/// A text that is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "write it as sshd does in SSH_CONNECTION: the client's address and port, and the server's, such as 192.0.2.7 50000 10.0.0.5 22"
)]
pub struct NoConnection;

impl Connection {
    /// A connection from `remote` to `local`. IPv4 addresses in an IPv6 form are those of the packets.
    #[must_use]
    pub fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { remote: plain(remote), local: plain(local) }
    }

    /// The address of this host.
    #[must_use]
    pub const fn local(self) -> IpAddr {
        self.local.ip()
    }
}

impl FromStr for Connection {
    type Err = NoConnection;

    /// Parses the form of `SSH_CONNECTION`, see `session.c` of OpenSSH.
    fn from_str(text: &str) -> Result<Self, NoConnection> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [remote, remote_port, local, local_port] = words[..] else { return Err(NoConnection) };
        let end = |address: &str, port: &str| {
            // A link-local address may have its device behind it.
            let address = address.split('%').next().unwrap_or_default();
            let address: IpAddr = address.parse().map_err(|_| NoConnection)?;
            Ok(SocketAddr::new(address, port.parse().map_err(|_| NoConnection)?))
        };
        Ok(Self::new(end(remote, remote_port)?, end(local, local_port)?))
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remote, local } = self;
        write!(f, "{} {} {} {}", remote.ip(), remote.port(), local.ip(), local.port())
    }
}

/// The first of `connections` that `policy` takes away. A connection is one of the NIC named with it, or of every NIC of the host
/// that has its local address; `name` is what to call it. What `former` did not accept either, no change takes away, but a NIC that
/// it does not have was not filtered. The facts of the devices must be known.
pub fn lost_connection<'a>(
    policy: &Policy,
    former: impl FnOnce() -> Option<Arc<Policy>>,
    connections: impl IntoIterator<Item = (Option<&'a str>, Connection)>,
    name: &str,
) -> Option<Lost> {
    let mut oracle = Oracle::new(policy);
    let lost = connections.into_iter().filter_map(|(device, connection)| {
        judge(policy, &mut oracle, connection, device, name).map(|lost| (connection, lost))
    });
    let mut lost = lost.peekable();
    lost.peek()?;
    let Some(former) = former() else { return lost.next().map(|(_, lost)| lost) };
    let mut oracle = Oracle::new(&former);
    lost.find_map(|(connection, lost)| {
        let was_lost = judge(&former, &mut oracle, connection, Some(&lost.device), name).is_some();
        (!was_lost).then_some(lost)
    })
}

/// The loss of a connection on the first NIC of the host that does not accept it.
fn judge(
    policy: &Policy,
    oracle: &mut Oracle<'_>,
    connection: Connection,
    device: Option<&str>,
    name: &str,
) -> Option<Lost> {
    let Connection { remote, local } = connection;
    let is_concerned = |nic: &Nic| {
        let is_its =
            device.map_or_else(|| nic.addresses.contains(&local.ip()), |device| nic.device == device);
        nic.role == Role::Host && is_its
    };
    let what = || {
        format!("{name} from {} port {} to {} port {}", remote.ip(), remote.port(), local.ip(), local.port())
    };
    policy.nics().iter().enumerate().filter(|(_, nic)| is_concerned(nic)).find_map(|(nic, _)| {
        let parts = ProbeParts {
            nic,
            direction: Direction::Ingress,
            protocol: protocol::TCP,
            source: remote.ip(),
            destination: local.ip(),
            source_port: Some(remote.port()),
            destination_port: Some(local.port()),
            numbers: HeaderNumbers::default(),
        };
        // A connection between two families is none of this host.
        let probe = Probe::new(parts).ok()?;
        judged(policy, oracle, &probe, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
groups: { web: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: 192.0.2.0/24 } ] } }
nics:
  - { device: eth0, addresses: [10.0.0.5, \"2001:db8::5\"], groups: [web] }
  - { device: tap0, role: guest, addresses: [10.0.0.6], groups: [web] }
";

    fn policy(document: &str) -> Policy {
        sg_document::parse("p.yaml", document.as_bytes()).unwrap().policy
    }

    fn lost(former: Option<&str>, document: &str, connection: &str) -> Option<String> {
        let former = || former.map(|former| Arc::new(policy(former)));
        let connections = [(None, connection.parse().unwrap())];
        let lost = lost_connection(&policy(document), former, connections, "your connection");
        lost.map(|lost| lost.to_string())
    }

    #[test]
    fn sshd_and_this_write_connections_alike() {
        let written = "192.0.2.7 50000 10.0.0.5 22";
        let read: Connection = written.parse().unwrap();
        assert_eq!(read.to_string(), written);
        assert_eq!("::ffff:192.0.2.7 50000 ::ffff:10.0.0.5 22".parse(), Ok(read));
        "fe80::1%eth0 50000 fe80::2%eth0 22".parse::<Connection>().unwrap();
        for wrong in ["", "192.0.2.7 50000 10.0.0.5", "192.0.2.7 70000 10.0.0.5 22", "a b c d", "1 2 3 4 5"] {
            assert_eq!(wrong.parse::<Connection>(), Err(NoConnection), "{wrong}");
        }
    }

    #[test]
    fn a_connection_that_stays_is_no_loss() {
        assert_eq!(lost(None, POLICY, "192.0.2.7 50000 10.0.0.5 22"), None);
        assert_eq!(lost(None, POLICY, "198.51.100.7 50000 10.0.0.9 22"), None, "of no NIC");
        assert_eq!(lost(None, POLICY, "198.51.100.7 50000 10.0.0.6 22"), None, "that of a guest");
        assert_eq!(lost(None, POLICY, "198.51.100.7 50000 2001:db8::5 22"), None, "of two families");
    }

    #[test]
    fn what_a_change_takes_away_is_named() {
        let from = "198.51.100.7 50000 10.0.0.5 22";
        let said = "your connection from 198.51.100.7 port 50000 to 10.0.0.5 port 22: NIC eth0 would not accept it, drop by default";
        assert_eq!(lost(None, POLICY, from).as_deref(), Some(said));
        let open = POLICY.replace("192.0.2.0/24", "any");
        assert_eq!(lost(Some(&open), POLICY, from).as_deref(), Some(said));
        let without = open.replace("eth0", "eth1");
        assert_eq!(lost(Some(&without), POLICY, from).as_deref(), Some(said), "it was not filtered before");
    }

    #[test]
    fn what_was_not_accepted_before_is_not_taken_away() {
        assert_eq!(lost(Some(POLICY), POLICY, "198.51.100.7 50000 10.0.0.5 22"), None);
    }

    #[test]
    fn a_connection_is_one_of_the_nic_that_is_named_with_it() {
        let policy = policy(POLICY);
        let connection = "198.51.100.7 50000 10.0.0.9 22".parse().unwrap();
        let lost = |device| lost_connection(&policy, || None, [(Some(device), connection)], "it").is_some();
        assert_eq!([lost("eth0"), lost("tap0"), lost("eth9")], [true, false, false]);
    }
}
