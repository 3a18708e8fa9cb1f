//! What the running kernel must offer, and the privileges to use it.
//!
//! Only checks: it changes nothing on the machine. None of this can be installed, so every remedy is by hand, and a long command
//! is refused before it starts.

use std::{fs, path::Path, process::Command};

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    privilege::{self, Privilege},
    shell,
    version::Version,
};

/// The oldest supported kernel (the one of Debian 12).
const MINIMUM: Version = Version(6, 1, 0);
/// Programs attach with TCX links from this version on; before it, through a clsact qdisc.
const TCX: Version = Version(6, 6, 0);

pub(crate) fn prerequisites(privilege: Privilege) -> [Prerequisite; 6] {
    let row = |name, stage, state, remedy: &str| Prerequisite {
        name,
        stage,
        state,
        remedy: Remedy::ByHand(remedy.into()),
    };
    let release = read("/proc/sys/kernel/osrelease");
    [
        row("kernel", Stage::Run, version_state(release.trim()), "boot a newer kernel: 6.1 is the oldest"),
        row(
            "kernel BTF",
            Stage::Run,
            present("/sys/kernel/btf/vmlinux"),
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y (every distribution kernel has it), with /sys mounted",
        ),
        row(
            "root",
            Stage::Run,
            root_state(privilege),
            match privilege {
                Privilege::Root => "run this on the host, or in a privileged container",
                Privilege::Sudo | Privilege::None => privilege::REMEDY,
            },
        ),
        row(
            "BPF file system",
            Stage::Run,
            bpffs_state(&read("/proc/mounts"), &read("/proc/filesystems")),
            "boot a kernel with CONFIG_BPF_SYSCALL=y",
        ),
        row(
            "namespaces and veth",
            Stage::Run,
            veth_state(privilege),
            "boot a kernel with CONFIG_NET_NS=y and CONFIG_VETH=y or =m; in a container, use a privileged one",
        ),
        row(
            "BPF JIT",
            Stage::Advice,
            jit_state(&read("/proc/sys/net/core/bpf_jit_enable")),
            "sysctl net.core.bpf_jit_enable=1",
        ),
    ]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn present(path: &str) -> State {
    if Path::new(path).exists() { State::Ok(path.into()) } else { State::Missing(format!("no {path}")) }
}

fn version_state(release: &str) -> State {
    match Version::parse(release) {
        Some(version) if version < MINIMUM => State::TooOld(release.into()),
        Some(version) if version < TCX => State::Ok(format!("{release} (clsact; TCX is in 6.6)")),
        Some(_) => State::Ok(format!("{release} (TCX)")),
        None => State::Missing(format!("cannot read its version from `{release}`")),
    }
}

fn root_state(privilege: Privilege) -> State {
    match privilege {
        Privilege::Root => match privilege::lacking_capabilities() {
            lacking if lacking.is_empty() => State::Ok("uid 0".into()),
            lacking => State::Missing(format!("uid 0 without {}, as in a container", lacking.join(", "))),
        },
        Privilege::Sudo => State::Ok("through sudo".into()),
        Privilege::None => State::Missing("not root, and no sudo".into()),
    }
}

fn bpffs_state(mounts: &str, filesystems: &str) -> State {
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "bpf").then_some(place)
    });
    match mounted {
        Some(place) => State::Ok(format!("mounted at {place}")),
        None if filesystems.split_whitespace().any(|kind| kind == "bpf") => {
            State::Ok("not mounted: the agent mounts it".into())
        }
        None => State::Missing("not known to this kernel".into()),
    }
}

/// Creates a veth pair in a network namespace that ends with the command.
fn veth_state(privilege: Privilege) -> State {
    let may_ask = match privilege {
        Privilege::Root => true,
        // A check of the machine must not prompt for a password.
        Privilege::Sudo => shell::read(Command::new("sudo").args(["--non-interactive", "true"])).is_some(),
        Privilege::None => false,
    };
    if !may_ask || shell::find("unshare").is_none() || shell::find("ip").is_none() {
        return State::Ok("not tried: it takes root and iproute2".into());
    }
    let pair = ["--net", "ip", "link", "add", "sg0", "type", "veth", "peer", "name", "sg1"];
    match privilege.command("unshare").map(|mut unshare| shell::read(unshare.args(pair))) {
        Ok(Some(_)) => State::Ok("a veth pair was made in a new namespace".into()),
        _ => State::Missing("`unshare --net ip link add … type veth` fails".into()),
    }
}

fn jit_state(enabled: &str) -> State {
    match enabled.trim() {
        "0" => State::Missing("off: programs are interpreted, several times slower".into()),
        "" => State::Ok("not visible from here".into()),
        _ => State::Ok("on".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{State, bpffs_state, jit_state, version_state};

    #[test]
    fn kernels_are_told_apart_by_what_they_attach_with() {
        assert!(matches!(version_state("5.15.0-91-generic"), State::TooOld(_)));
        assert!(version_state("6.1.0-18-cloud-amd64").found().contains("clsact;"));
        assert!(version_state("6.6.0").found().ends_with("(TCX)"));
        assert!(matches!(version_state(""), State::Missing(_)));
    }

    #[test]
    fn a_bpf_file_system_need_not_be_mounted_yet() {
        let mounts = "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,nosuid 0 0\n";
        assert_eq!(bpffs_state(mounts, ""), State::Ok("mounted at /sys/fs/bpf".into()));
        assert!(bpffs_state("", "nodev\tbpf\n").is_ok());
        assert!(!bpffs_state("", "nodev\tproc\n").is_ok());
    }

    #[test]
    fn only_a_jit_that_is_off_is_worth_a_word() {
        assert!(!jit_state("0\n").is_ok());
        assert!(jit_state("1\n").is_ok());
        assert!(jit_state("").is_ok());
    }
}
