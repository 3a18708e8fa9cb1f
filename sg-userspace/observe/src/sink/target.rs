//! Where records go to, as `--flow-log` names it.
//!
//! It must never open anything. `sgd` parses it; `Sinks` makes a sink of it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use sg_model::text::digits;
use thiserror::Error;

use super::counters::Kind;

/// A text that names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It begins with nothing that is known.
    #[error(
        "{0:?}: write file:/PATH, unix:/PATH, ipfix+udp://HOST:PORT or ipfix+tcp://HOST:PORT, \
         such as file:/var/log/sgd/flows.jsonl"
    )]
    Unknown(String),
    /// The path is relative, or names no file.
    #[error("{0:?}: write an absolute path of a file, such as file:/var/log/sgd/flows.jsonl")]
    Path(String),
    /// The path of a socket is longer than the kernel allows.
    #[error("{0:?}: the path of a socket may have 107 bytes: choose a shorter one")]
    LongPath(String),
    /// The collector has no host or no port.
    #[error("{0:?}: write HOST:PORT, such as ipfix+udp://192.0.2.1:4739; an IPv6 address is in brackets")]
    Collector(String),
}

/// How IPFIX messages get to their collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: what is lost on the way is lost.
    Udp,
    /// TCP.
    Tcp,
}

/// Where records go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `file:/PATH`: appended to a file.
    File(PathBuf),
    /// `unix:/PATH`: to a unix stream socket on which a collector listens.
    Unix(PathBuf),
    /// `ipfix+udp://HOST:PORT`, `ipfix+tcp://HOST:PORT`.
    Ipfix {
        /// UDP or TCP.
        transport: Transport,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Target {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Unix(_) => Kind::Unix,
            Self::Ipfix { .. } => Kind::Ipfix,
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(path) = text.strip_prefix("file:") {
            return absolute(path).map(Self::File);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            const LONGEST: usize = 107;
            if path.len() > LONGEST {
                return Err(TargetError::LongPath(path.to_owned()));
            }
            return absolute(path).map(Self::Unix);
        }
        let (transport, collector) = match text.split_once("://") {
            Some(("ipfix+udp", collector)) => (Transport::Udp, collector),
            Some(("ipfix+tcp", collector)) => (Transport::Tcp, collector),
            _ => return Err(TargetError::Unknown(text.to_owned())),
        };
        let (host, port) =
            collector_of(collector).ok_or_else(|| TargetError::Collector(collector.to_owned()))?;
        Ok(Self::Ipfix { transport, host, port })
    }
}

fn absolute(text: &str) -> Result<PathBuf, TargetError> {
    let path = Path::new(text);
    let is_file =
        path.is_absolute() && path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0');
    if is_file { Ok(path.to_owned()) } else { Err(TargetError::Path(text.to_owned())) }
}

/// Host without brackets, and port.
fn collector_of(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok().map(|_| address)?,
        None if host.contains(':') => return None,
        None => host,
    };
    let usual = |letter: char| letter.is_ascii_alphanumeric() || ".-_:".contains(letter);
    let port = digits(port).filter(|port| *port != 0)?;
    (!host.is_empty() && host.chars().all(usual)).then(|| (host.to_owned(), port))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Ipfix { transport, host, port } => {
                let transport = match transport {
                    Transport::Udp => "udp",
                    Transport::Tcp => "tcp",
                };
                if host.contains(':') {
                    write!(f, "ipfix+{transport}://[{host}]:{port}")
                } else {
                    write!(f, "ipfix+{transport}://{host}:{port}")
                }
            }
        }
    }
}
