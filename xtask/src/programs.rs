//! `Programs`: every program that setup, demonstration, tests and benchmarks start, and the source of each.
//!
//! Owns that table and nothing else. `prerequisite` derives from it what `doctor` prints and `setup` installs; `path` derives
//! from it the only programs that demonstration, tests and benchmarks find. **Code that starts another program needs a line
//! here**, or a test fails.

use Source::{Crate, Debian, Elsewhere};
use Stage::{Bench, Build, Check, Clients, Fresh, Fuzz, Kernels, Run, SupplyChain, Test};

use crate::{prerequisite::Stage, version::Version};

/// Programs from one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Programs {
    pub(crate) names: &'static [&'static str],
    pub(crate) source: Source,
    /// What starts them.
    pub(crate) stages: &'static [Stage],
    pub(crate) proof: Proof,
}

/// The source of programs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Debian packages, installed by `apt`.
    Debian(&'static [&'static str]),
    /// A crate of the same name, installed by `cargo install`.
    Crate,
    /// Another source: the file named beside it checks for them, and says what to do if they are missing.
    Elsewhere,
}

/// How to check for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    /// Each one is found.
    Found,
    /// The first one, run with these arguments, prints at least this version.
    Version(&'static [&'static str], Version),
}

/// Debian's Python has `venv` without the packages for new environments, unless python3-venv is installed.
pub(crate) const PYTHON_WITH_VENV: [&str; 2] =
    ["-c", "import ensurepip, platform, venv; print(platform.python_version())"];

/// All of them. Packages that every Debian has are listed as well: another system may not have them.
pub(crate) const ALL: &[Programs] = &[
    // `toolchain`.
    of(&[Build], Elsewhere, &["cargo", "rustc", "rustup"]),
    of(&[Check], Elsewhere, &["cargo-clippy", "cargo-fmt"]),
    // `linker`.
    of(&[Build], Elsewhere, &["bpf-linker", "llvm-config"]),
    // `privilege`.
    of(&[Build], Elsewhere, &["sudo"]),
    of(&[Build], Debian(&["gcc", "libc6-dev"]), &["cc"]),
    // `debug_info`.
    of(&[Build, Test], Debian(&["binutils"]), &["objcopy"]),
    // `mutations`.
    of(&[Build, Test], Debian(&["git"]), &["git"]),
    // They install the rest, and `unpacked` uses them.
    of(&[Build], Debian(&["apt"]), &["apt-cache", "apt-get"]),
    // libFuzzer is C++ and is compiled with the fuzz targets.
    of(&[Fuzz], Debian(&["g++"]), &["c++"]),
    of(&[Check, Test], Debian(&["coreutils"]), &["nice"]),
    of(&[SupplyChain], Crate, &["cargo-audit"]),
    of(&[SupplyChain], Crate, &["cargo-deny"]),
    of(&[Run], Debian(&["iproute2"]), &["ip", "tc"]),
    of(&[Run], Debian(&["util-linux"]), &["nsenter", "setpriv", "unshare"]),
    of(&[Test], Debian(&["util-linux"]), &["flock"]),
    of(&[Run], Debian(&["iputils-ping"]), &["ping"]),
    of(&[Test], Debian(&["bpftool"]), &["bpftool"]),
    of(&[Test, Bench], Debian(&["nftables"]), &["nft"]),
    of(&[Test], Debian(&["mount"]), &["mount", "umount"]),
    // DHCP clients and a server, as hosts and networks use them.
    of(&[Test], Debian(&["udhcpc"]), &["udhcpc"]),
    of(&[Test], Debian(&["isc-dhcp-client"]), &["dhclient"]),
    of(&[Test], Debian(&["dhcpcd-base"]), &["dhcpcd"]),
    of(&[Test], Debian(&["systemd"]), &["systemd-networkd"]),
    of(&[Test], Debian(&["dnsmasq-base"]), &["dnsmasq"]),
    // Readers of the flow log that know nothing of this project.
    of(&[Test], Debian(&["nfdump"]), &["nfcapd", "nfdump"]),
    of(&[Test], Debian(&["tshark"]), &["tshark"]),
    of(&[Test], Debian(&["wireshark-common"]), &["capinfos"]),
    // What scrapes figures.
    of(&[Test], Debian(&["prometheus"]), &["prometheus", "promtool"]),
    of(&[Test], Debian(&["python3"]), &["python3"]),
    of(&[Test], Debian(&["bash"]), &["bash"]),
    of(&[Test], Debian(&["dash"]), &["sh"]),
    of(&[Test], Debian(&["grep"]), &["grep"]),
    of(&[Test], Debian(&["sed"]), &["sed"]),
    of(
        &[Run],
        Debian(&["coreutils"]),
        &[
            "cat", "chmod", "cp", "echo", "env", "false", "head", "ls", "mkdir", "mv", "printf", "rm",
            "sleep", "timeout", "true",
        ],
    ),
    Programs {
        proof: Proof::Version(&PYTHON_WITH_VENV, Version(3, 11, 0)),
        // The venv module, which is no program, has to be checked separately.
        ..of(&[Clients], Debian(&["python3", "python3-venv"]), &["python3"])
    },
    Programs {
        proof: Proof::Version(&["--version"], Version(18, 0, 0)),
        ..of(&[Clients, Test], Debian(&["nodejs"]), &["node"])
    },
    of(&[Clients], Debian(&["npm"]), &["npm"]),
    of(&[Bench], Debian(&["conntrack"]), &["conntrack"]),
    of(&[Bench], Debian(&["iperf3"]), &["iperf3"]),
    of(&[Bench], Debian(&["ipset"]), &["ipset"]),
    of(&[Bench], Debian(&["iptables"]), &["iptables-legacy-restore", "iptables-nft-restore"]),
    of(&[Fresh], Debian(&["apt"]), &["apt-config"]),
    of(&[Fresh], Debian(&["coreutils"]), &["chroot", "cp", "mkdir", "rmdir"]),
    of(&[Fresh], Debian(&["dash"]), &["sh"]),
    of(&[Fresh], Debian(&["debootstrap"]), &["debootstrap"]),
    of(&[Fresh], Debian(&["git"]), &["git"]),
    of(&[Fresh], Debian(&["mount"]), &["mount", "umount"]),
    of(&[Fresh], Debian(&["util-linux"]), &["pivot_root", "unshare"]),
    of(&[Kernels], Debian(&["wireguard-tools"]), &["wg"]),
    of(&[Kernels], Debian(&["binutils", "dpkg", "libc-bin"]), &["strip", "dpkg-deb", "ldd"]),
];

const fn of(stages: &'static [Stage], source: Source, names: &'static [&'static str]) -> Programs {
    Programs { names, source, stages, proof: Proof::Found }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::ALL;

    /// What precedes the name of a program that is started or looked up. Names that are no literals, and those in scripts, show
    /// when they are started: see `path`.
    const STARTS: [&str; 4] =
        ["Command::new(\"", "shell::find(\"", "privilege.command(\"", "shell::cargo(\""];
    /// Subcommands that cargo itself has.
    const OF_CARGO: [&str; 5] = ["bench", "build", "doc", "install", "test"];

    /// The programs that `source` starts and the table lacks.
    fn undeclared(source: &str) -> Vec<String> {
        let declared = |name: &str| ALL.iter().any(|programs| programs.names.contains(&name));
        let mut names = Vec::new();
        for start in STARTS {
            for (at, _) in source.match_indices(start) {
                let name = source[at + start.len()..].split('"').next().unwrap_or_default();
                if start.starts_with("shell::cargo") && !OF_CARGO.contains(&name) {
                    names.push(format!("cargo-{name}"));
                } else if !start.starts_with("shell::cargo") {
                    names.push(name.to_owned());
                }
            }
        }
        names.retain(|name| !declared(name));
        names
    }

    fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                // Such a directory has build output only.
                if !path.join("CACHEDIR.TAG").exists() {
                    sources(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn whatever_is_started_is_declared() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
        assert!(files.len() > 100, "the sources are elsewhere");
        for file in files {
            let names = undeclared(&fs::read_to_string(&file).unwrap());
            assert!(names.is_empty(), "{} starts {names:?}: add them to the table", file.display());
        }
    }

    #[test]
    fn an_undeclared_program_is_seen() {
        let start = |name: &str| format!("    let mut child = {}{name}\").arg(\"-n\");", STARTS[0]);
        assert!(undeclared(&start("ip")).is_empty());
        assert_eq!(undeclared(&start("tcpdump")), ["tcpdump"]);
        assert_eq!(undeclared(&start("/usr/sbin/ip")), ["/usr/sbin/ip"], "where it lies is another matter");
        assert_eq!(undeclared(&format!("{}nextest\")", STARTS[3])), ["cargo-nextest"]);
    }
}
