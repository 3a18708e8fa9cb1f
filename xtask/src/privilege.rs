//! How this process gets root: it is root, or uses sudo, or cannot.
//!
//! Builds always run as the caller; only package installation and the runs that load programs or create namespaces need a
//! `Privilege`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::{path, shell};

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;
const CAPABILITIES: [(u32, &str); 3] =
    [(CAP_BPF, "CAP_BPF"), (CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")];

pub(crate) const REMEDY: &str = "run this as root, or install sudo and allow this user to use it";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    Root,
    Sudo,
    None,
}

impl Privilege {
    pub(crate) fn detect() -> Self {
        if Uid::effective().is_root() {
            Self::Root
        } else if shell::find("sudo").is_some() {
            Self::Sudo
        } else {
            Self::None
        }
    }

    /// Asks for the password now, if one is needed, and not ten minutes into a build.
    pub(crate) fn acquire(self) -> Result<()> {
        match self {
            Self::Root => Ok(()),
            // Not `sudo --validate`: that may ask even where the rules say NOPASSWD.
            Self::Sudo => shell::run(Command::new("sudo").arg("true")).context(REMEDY),
            Self::None => bail!("this needs root: {REMEDY}"),
        }
    }

    /// A command that runs `program` as root with the environment of the caller.
    pub(crate) fn command(self, program: &str) -> Result<Command> {
        match self {
            Self::Root => Ok(Command::new(program)),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-E", program]);
                Ok(command)
            }
            Self::None => bail!("`{program}` needs root: {REMEDY}"),
        }
    }

    /// Makes `cargo` build as the caller, and run the result as root with only the programs in `path`. Must be called before the
    /// result's arguments are added.
    pub(crate) fn run_built_as_root(self, cargo: &mut Command, host: &str, path: &Path) {
        // Set behind sudo, which may have its own PATH.
        let path = path::variable(path);
        let runner = match self {
            Self::Sudo => vec!["sudo", "-E", "env", &path],
            Self::Root | Self::None => vec!["env", &path],
        };
        cargo.arg("--config").arg(format!("target.{host}.runner={runner:?}"));
    }
}

/// The capabilities that root lacks here, as in an unprivileged container.
pub(crate) fn lacking_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    lacking(&status)
}

fn lacking(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::{Privilege, lacking};

    #[test]
    fn what_was_built_finds_declared_programs_only() {
        let mut cargo = Command::new("cargo");
        Privilege::Sudo.run_built_as_root(&mut cargo, "x86_64-unknown-linux-gnu", Path::new("/a b/path"));
        let config = cargo.get_args().last().unwrap().to_str().unwrap();
        assert_eq!(
            config,
            r#"target.x86_64-unknown-linux-gnu.runner=["sudo", "-E", "env", "PATH=/a b/path"]"#
        );
    }

    #[test]
    fn root_of_a_host_lacks_nothing() {
        assert!(lacking("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
    }

    #[test]
    fn root_of_a_default_container_lacks_all_three() {
        assert_eq!(lacking("CapEff:\t00000000a80425fb\n"), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
    }
}
