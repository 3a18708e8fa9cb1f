//! Who is at the other end, and who may be. It must never ask the file system: the mode of the socket is `unix`'s.

use std::{collections::BTreeSet, net::SocketAddr};

use nix::unistd::geteuid;

/// The other end of a connection; every request carries it as an extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// A process of this host, as the kernel knows it. The process may have ended since.
    Process {
        /// Its effective user at the time of the connection.
        uid: u32,
        /// Its effective group.
        gid: u32,
        /// Its id, where the kernel tells.
        pid: Option<i32>,
    },
    /// An address; whoever it is has to be found out from the request.
    Address(SocketAddr),
}

/// Who may use a unix socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// Users who may connect.
    pub uids: BTreeSet<u32>,
    /// The group that the socket belongs to. The mode of the socket (0660) is what admits its members, and the kernel
    /// is who checks that: `SO_PEERCRED` does not tell a process's supplementary groups.
    pub group: Option<u32>,
}

impl Default for Access {
    /// Root and the user that this process runs as.
    fn default() -> Self {
        Self { uids: BTreeSet::from([0, geteuid().as_raw()]), group: None }
    }
}

impl Access {
    /// Whether a user who got through the file's mode may be served. Without a group of their own, sockets belong to
    /// the process's group, whose members were not asked for.
    pub(super) fn admits(&self, uid: u32) -> bool {
        self.group.is_some() || self.uids.contains(&uid)
    }
}
