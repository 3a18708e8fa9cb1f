//! The unix socket of the native API: its arguments, who may use it, and listening there. `run` and `serve` call it; it must never
//! know what is served.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::unistd::Group;
use sg_agent::Instance;
use sg_api::listen::{Access, Listener};

/// The path that means no socket.
const NOWHERE: &str = "none";

#[derive(Debug, clap::Args)]
pub(super) struct SocketArguments {
    /// Socket of the native API; `none` disables it. Default: /run/sgd/INSTANCE/api.sock.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Unix group whose members can use the socket, besides root and the user that sgd runs as.
    #[arg(long, value_name = "GROUP")]
    socket_group: Option<String>,
}

impl SocketArguments {
    /// Who may use the socket.
    pub(super) fn access(&self) -> Result<Access> {
        let mut access = Access::default();
        if let Some(name) = &self.socket_group {
            let group = Group::from_name(name)?
                .with_context(|| format!("there is no group {name:?} on this host"))?;
            access.group = Some(group.gid.as_raw());
        }
        Ok(access)
    }

    /// Listens on the socket, unless there is to be none; returns its path, too.
    pub(super) async fn listen(
        &self,
        instance: &Instance,
        access: Access,
    ) -> Result<Option<(Listener, PathBuf)>> {
        let path = match &self.socket {
            Some(path) if path == Path::new(NOWHERE) => return Ok(None),
            Some(path) => path.clone(),
            None => instance.socket(),
        };
        if let Some(group) = access.group
            && path == instance.socket()
        {
            instance.admit(group)?;
        }
        Ok(Some((Listener::unix(&path, access).await?, path)))
    }
}
