//! Why a listener cannot be made. Each message says what, where and what to do.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use crate::lock_file::LockError;

/// Why a listener cannot be made.
#[derive(Debug, Error)]
pub enum ListenError {
    /// An address that other hosts can reach, where nobody said that they may.
    #[error(
        "{address} can be reached from other hosts, and the connection is not encrypted: \
         name a loopback address, or allow it with {flag}"
    )]
    NotLoopback {
        /// As given.
        address: SocketAddr,
        /// The flag that allows it.
        flag: &'static str,
    },
    /// An address where another process listens.
    #[error("cannot listen on {address}: it is in use; choose another address with {flag}")]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The flag that names it.
        flag: &'static str,
    },
    /// A TCP socket that cannot be had.
    #[error("cannot listen on {address}: {source}; choose another address with {flag}")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
        /// The flag that names it.
        flag: &'static str,
    },
    /// Another process answers on the socket.
    #[error("{path:?}: a process listens there already; stop it first, or name another socket")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has the socket's name.
    #[error("{path:?} is there and is not a socket; remove it, or name another socket")]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// Another process makes the same socket and does not end, or the lock that says so is not ours to take.
    #[error("{source}")]
    Lock {
        /// Who has it, or why it cannot be had.
        source: LockError,
    },
    /// A step that the file system refuses.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// "create", "bind", …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
