//! `cargo xtask test --boot`: a Debian 12 with systemd, its network service and our unit, booted in an emulated machine.
//!
//! Owns `boot` below the target directory: the system, and its packed image. The machine has one NIC, in the user network of
//! QEMU, which has a DHCP server and reaches no other machine. `booted.sh` runs inside and makes the checks. Called by `test`.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    debian,
    guest::{self, ENDED},
    matrix::{self, Tools},
    prerequisite::Stage,
    privilege::Privilege,
    setup, shell,
    steps::{Outcome, Steps},
    toolchain::Rustc,
};

/// The kernel of Debian 12.
const KERNEL: &str = "6.1";
/// Packages that the base system lacks.
const PACKAGES: [&str; 6] = ["systemd", "systemd-sysv", "udev", "kmod", "iproute2", "iputils-ping"];
/// Directories that nothing in the machine reads.
const UNREAD: [&str; 5] =
    ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists"];
const UNITS: &str = "usr/lib/systemd/system";
const STARTED: [&str; 3] = ["sgd", "systemd-networkd", "booted"];
/// systemd as the first process, and a serial line for our output only.
const PARAMETERS: &str = "rdinit=/lib/systemd/systemd net.ifnames=0 quiet loglevel=3 systemd.show_status=0 \
                          systemd.mask=serial-getty@ttyS0.service";
const NETWORK: &str = "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n";

pub(crate) fn run() -> Result<()> {
    let privilege = Privilege::detect();
    ensure!(
        privilege == Privilege::Root,
        "a Debian of its own takes root: `sudo -E cargo xtask test --boot`, or as root"
    );
    setup::ready(&[Stage::Build, Stage::Kernels, Stage::Fresh], &Rustc::ask()?, privilege)?;
    let kernels = shell::target_dir()?.join("kernels");
    let tools = Tools::bring(&kernels.join("tools"))?;
    let kernel = matrix::kernel(KERNEL, &kernels, privilege)?;
    shell::announce("agent and client");
    shell::run(shell::cargo("build").args(["--release", "--package", "sgd", "--package", "sgctl"]))?;

    let directory = shell::target_dir()?.join("boot");
    let base = debian::base(&directory.join("base"), &PACKAGES)?;
    let mut steps = Steps::default();
    steps.run("a Debian with the unit", || {
        let (root, image) = (directory.join("root"), directory.join("initramfs"));
        fill(&root, &base, &kernel)?;
        guest::pack_all(&root, &tools.busybox, &image)?;
        let mut machine = tools.machine("2G");
        machine.args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]);
        matrix::boot(&mut machine, &kernel, &image, PARAMETERS).map(|()| Outcome::Passed)
    });
    steps.finish()
}

/// Builds the whole system, which is unpacked into memory.
fn fill(root: &Path, base: &Path, kernel: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    shell::run_quietly(Command::new("cp").arg("--archive").arg(base).arg(root))?;
    for directory in UNREAD {
        fs::remove_dir_all(root.join(directory)).with_context(|| format!("no {directory}"))?;
    }
    let modules = kernel.join("lib/modules");
    shell::run_quietly(Command::new("cp").arg("--archive").arg(&modules).arg(root.join("usr/lib")))?;
    let release = fs::read_dir(&modules)?.next().context("the kernel package has no modules")??.file_name();
    shell::run_quietly(Command::new("chroot").arg(root).arg("depmod").arg(release))?;

    let write = |name: &str, text: &str| {
        let file = root.join(name);
        fs::create_dir_all(file.parent().context("a file without a directory")?)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    for program in ["sgd", "sgctl"] {
        let to = root.join("usr/bin").join(program);
        let from = shell::release_dir()?.join(program);
        shell::run_quietly(Command::new("strip").arg("-o").arg(to).arg(from))?;
    }
    write(&format!("{UNITS}/sgd.service"), &fs::read_to_string("packaging/sgd.service")?)?;
    write("etc/sgd/policy.yaml", policy(&fs::read_to_string("README.md")?)?)?;
    write("etc/systemd/network/eth0.network", NETWORK)?;
    write("booted.sh", include_str!("booted.sh"))?;
    write(&format!("{UNITS}/booted.service"), &booted())?;
    for unit in STARTED {
        let wants = root.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        symlink(format!("/{UNITS}/{unit}.service"), wants.join(format!("{unit}.service")))?;
    }
    Ok(())
}

/// The unit that runs the checks, and powers the machine off.
fn booted() -> String {
    let end = format!("echo \"{ENDED}$?\"; systemctl poweroff --force --force");
    format!(
        "[Unit]\nAfter=sgd.service systemd-networkd.service\n\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n\
         ExecStart=/bin/sh -c '/bin/sh /booted.sh; {end}'\nStandardOutput=file:/dev/ttyS0\nStandardError=file:/dev/ttyS0\n"
    )
    // `$` has its own meaning in systemd units.
    .replace("$?", "$$?")
}

/// The policy in the README.
fn policy(readme: &str) -> Result<&str> {
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let mut policies = blocks.filter(|block| block.contains("device: eth0"));
    policies.next().context("the README shows no policy for eth0")
}

#[cfg(test)]
mod tests {
    use super::{booted, policy};

    #[test]
    fn the_readme_shows_a_policy() {
        let readme = "```yaml\na: 1\n```\n```yaml\nnics:\n  - device: eth0\n```\n```sh\nx\n```\n";
        assert_eq!(policy(readme).unwrap(), "nics:\n  - device: eth0\n");
        assert!(policy("```yaml\na: 1\n```").is_err());
        policy(include_str!("../../README.md")).unwrap();
    }

    #[test]
    fn the_status_is_that_of_what_looks() {
        assert!(booted().contains("/bin/sh /booted.sh; echo \"the run in the guest ended with $$?\""));
    }
}
