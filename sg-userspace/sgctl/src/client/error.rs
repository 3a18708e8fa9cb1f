//! Errors between `sgctl` and `sgd`, with what to do about them.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use hyper::StatusCode;
use nix::unistd::{Gid, Group, Uid, User};
use sg_api_types::ErrorDetail;
use thiserror::Error;

use crate::{client::server::Server, failure::Failure};

/// Why a request failed.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error(
        "nothing serves {server}: {}",
        match server {
            Server::Socket(_) => {
                "start it with `sgd serve --state DIR`, or say where it is with --instance, --socket or SGCTL_SOCKET"
            }
            Server::Tcp(_) => "start it there with `sgd serve --listen ADDRESS:PORT`, or correct --server",
        }
    )]
    NobodyThere { server: Server },
    #[error("no permission to use {server}: {who}")]
    NotAllowed { server: Server, who: String },
    #[error(
        "{server} does not accept the access key of --access-key-file: it was deleted, or the secret is another"
    )]
    Unauthenticated { server: Server },
    #[error("cannot connect to {server}")]
    Connect { server: Server, source: io::Error },
    #[error(
        "the connection to {server} broke{}",
        if *changes { "; whether it was done is not known" } else { "" }
    )]
    Broken {
        server: Server,
        /// Whether something may have changed all the same.
        changes: bool,
        source: hyper::Error,
    },
    #[error(
        "no response within {seconds} seconds (--timeout){}",
        if *changes { "; whether it was done is not known" } else { "" }
    )]
    Timeout { seconds: u64, changes: bool },
    #[error("{}{}{}", error.message, raised(error), with_rules(error))]
    Refused { status: StatusCode, error: ErrorDetail },
    #[error("what serves {server} is not sgd, or another version of it: it responds with {status}")]
    NoApi { server: Server, status: StatusCode },
    #[error(
        "what serves {server} is not sgd, or another version of it: its response to {address} cannot be read"
    )]
    Response { server: Server, address: String, source: serde_json::Error },
    #[error("the request cannot be written")]
    Unwritable(#[source] serde_json::Error),
    #[error("the request cannot be addressed")]
    Address(#[source] hyper::http::Error),
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

impl ClientError {
    pub(crate) fn connecting(server: &Server, error: io::Error) -> Self {
        let server = server.clone();
        match (error.kind(), &server) {
            (ErrorKind::NotFound | ErrorKind::ConnectionRefused, _) => Self::NobodyThere { server },
            (ErrorKind::PermissionDenied, Server::Socket(path)) => {
                let who = who_may(path);
                Self::NotAllowed { server, who }
            }
            _ => Self::Connect { server, source: error },
        }
    }

    /// Whether it is a refusal with one of these codes.
    pub(crate) fn is_one_of(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { error, .. } if codes.contains(&error.code.as_str()))
    }

    /// Whether the request was wrong, as opposed to its environment.
    fn is_input(&self) -> bool {
        let Self::Refused { status, .. } = self else { return false };
        // 403 is a quota of the domain; a user who may not use the socket does not get that far.
        let of_the_world =
            [StatusCode::UNAUTHORIZED, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        status.is_client_error() && !of_the_world.contains(status)
    }

    /// Whether an object that the request names does not exist.
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error.code == "not_found")
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if error.is_not_found() {
            Self::not_found(error)
        } else if error.is_one_of(&["unfiltered_device", "lost_access"]) {
            Self::guarded(error)
        } else if error.is_input() {
            Self::input(error)
        } else {
            Self::other(error)
        }
    }
}

/// How to delete a list with the rules that name it.
fn with_rules(error: &ErrorDetail) -> &'static str {
    let is_list = matches!(error.details["kind"].as_str(), Some("prefix list" | "port list"));
    if error.code == "in_use" && is_list { " (`--with-rules`)" } else { "" }
}

/// How to raise the quota that a request would exceed, if a quota can be raised so far.
fn raised(error: &ErrorDetail) -> String {
    let (field, needed) = (error.details["field"].as_str(), error.details["needed"].as_u64());
    match (error.code.as_str(), field, needed) {
        ("too_many", Some(field), Some(needed)) => {
            format!("; `sgctl quota set {}={needed}` raises it", field.replace('_', "-"))
        }
        _ => String::new(),
    }
}

/// The owner and the group of a socket, as far as they are visible.
fn who_may(socket: &Path) -> String {
    // The instance's directory may be closed to this user: then its owner and group tell.
    let at = |path: &Path| fs::metadata(path).ok();
    let found = at(socket).or_else(|| at(socket.parent()?));
    let Some(found) = found else { return "root may".to_owned() };
    let owner = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
    let owner = owner.map_or_else(|| format!("user {}", found.uid()), |user| user.name);
    let needed = if found.is_dir() { 0o010 } else { 0o020 };
    let for_group = found.mode() & needed != 0 && found.gid() != 0;
    if !for_group {
        return format!("{owner} may; `--socket-group GROUP` of sgd lets the members of a group in, too");
    }
    let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
    let group = group.map_or_else(|| found.gid().to_string(), |group| group.name);
    format!("{owner} and the members of group {group} may")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn no_permission_says_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        fs::write(&socket, "").unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
        let error = ClientError::connecting(&Server::Socket(socket), ErrorKind::PermissionDenied.into());
        let owner = User::from_uid(Uid::current()).unwrap().map_or_else(String::new, |user| user.name);
        assert!(
            error.to_string().contains(&format!("{owner} may; `--socket-group GROUP` of sgd")),
            "{error}"
        );
        let hidden =
            ClientError::connecting(&Server::Socket("/no/such".into()), ErrorKind::PermissionDenied.into());
        assert_eq!(hidden.to_string(), "no permission to use /no/such: root may");
    }
}
