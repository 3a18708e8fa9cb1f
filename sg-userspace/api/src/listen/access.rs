//! The peer of a connection, and who may connect. It must never ask the file system: the mode of the socket belongs to `unix`.

use std::{collections::BTreeSet, net::SocketAddr};

use nix::unistd::geteuid;

/// The peer of a connection; every request carries it as an extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// A process of this host, as the kernel knows it. The process may have ended since.
    Process {
        /// Its effective uid at the time of the connection.
        uid: u32,
        /// Its effective gid.
        gid: u32,
        /// Its pid, if the kernel gives it.
        pid: Option<i32>,
    },
    /// An address; the request has to authenticate its sender.
    Address(SocketAddr),
}

/// The address of this host that a TCP client connected to; an extension of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local(pub SocketAddr);

/// Who may use a unix socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// Users who may connect.
    pub uids: BTreeSet<u32>,
    /// The group of the socket. The socket's mode (0660) admits its members, and the kernel checks that: `SO_PEERCRED` does not
    /// have a process's supplementary groups.
    pub group: Option<u32>,
}

impl Default for Access {
    /// Root and the user of this process.
    fn default() -> Self {
        Self { uids: BTreeSet::from([0, geteuid().as_raw()]), group: None }
    }
}

impl Access {
    /// Whether a user who passed the file's mode may be served. Without a configured group, a socket belongs to the process's
    /// group, whose members are not meant.
    pub(super) fn admits(&self, uid: u32) -> bool {
        self.group.is_some() || self.uids.contains(&uid)
    }
}
