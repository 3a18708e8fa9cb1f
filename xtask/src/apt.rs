//! Installs Debian packages: the one place that changes the system.
//!
//! Called by `setup` with all missing packages at once; never called if none is missing.

use anyhow::{Context as _, Result, bail};

use crate::{privilege::Privilege, shell};

/// Installs `packages`; if it cannot, the error says what to do by hand.
pub(crate) fn install(packages: &[&str], privilege: Privilege) -> Result<()> {
    let names = packages.join(" ");
    if shell::find("apt-get").is_none() {
        bail!("this is no Debian: install by hand what these Debian packages hold: {names}");
    }
    if privilege == Privilege::None {
        bail!("installing packages needs root; as root: apt-get update && apt-get install {names}");
    }

    update(privilege);
    shell::announce(&format!("installing {names} (a minute or two)"));
    apt_get(privilege, &[&["install", "--yes", "--no-install-recommends"][..], packages].concat())
        .with_context(|| {
            format!(
                "could not install {names}. LLVM of the pinned compiler is in the security suite of Debian 12 \
                 (`deb http://deb.debian.org/debian-security bookworm-security main`) and at \
                 https://apt.llvm.org for other systems: add the source and run this again"
            )
        })
}

/// Updates the package lists, or prints why it cannot.
pub(crate) fn update(privilege: Privilege) {
    shell::announce("reading the package lists");
    // A fresh machine has no lists, and an old one has lists of packages that are gone. One unreachable source among many is no
    // reason to stop: the installation itself shows whether something is missing.
    if let Err(error) = apt_get(privilege, &["update"]) {
        println!("    {error:#}; going on with the lists that are here");
    }
}

fn apt_get(privilege: Privilege, arguments: &[&str]) -> Result<()> {
    // Through `env`, because sudo may drop the variable.
    let mut command = privilege.command("env")?;
    shell::run_quietly(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).args(arguments))
}
