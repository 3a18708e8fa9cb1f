//! Why a listener could not be created. Each message says what, where and what to do.

use std::{io, net::SocketAddr, path::PathBuf};

use sg_host::lock_file::LockError;
use thiserror::Error;

/// Why a listener could not be created.
#[derive(Debug, Error)]
pub enum ListenError {
    /// An address that other hosts can reach, without permission for that.
    #[error(
        "{address} can be reached from other hosts, and the connection is not encrypted: \
         name a loopback address, or allow it with {flag}"
    )]
    NotLoopback { address: SocketAddr, flag: &'static str },
    /// Another process listens on the address.
    #[error("cannot listen on {address}: it is in use; choose another address with {flag}")]
    InUse { address: SocketAddr, flag: &'static str },
    /// A TCP socket could not be created.
    #[error("cannot listen on {address}: {source}; choose another address with {flag}")]
    Tcp { address: SocketAddr, source: io::Error, flag: &'static str },
    /// Another process accepts connections on the socket.
    #[error("{path:?}: a process listens there already; stop it first, or name another socket")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Another kind of file has the socket's name.
    #[error("{path:?} is there and is not a socket; remove it, or name another socket")]
    NotASocket { path: PathBuf },
    /// Another process is creating the same socket and does not finish, or its lock cannot be taken.
    #[error("{source}")]
    Lock {
        /// The holder, or the cause.
        source: LockError,
    },
    /// A file system operation failed.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// "create", "bind", …
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}
