//! `Debian`: a fresh Debian 12 in a directory, and commands run in it.
//!
//! Owns the given directory: the base system, created once, and one copy of it for each run. A run has its own mounts and
//! processes, which the kernel ends with it; from this machine it uses the kernel, the network, the Rust toolchain without what
//! setup installs, and the connection to the package registries. It never changes any of them. Called by `fresh`, and for the
//! base system by `boot`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::{shell, stamp::Stamp};

const RELEASE: &str = "bookworm";
const ARCHIVE: &str = "http://deb.debian.org/debian";
/// Files in which apt may have the URL of the Debian archive; other sources are no part of a fresh Debian.
const SOURCES: [&str; 2] = ["etc/apt/sources.list", "etc/apt/sources.list.d/debian.sources"];
/// Files that configure name resolution, and how pip and npm reach their registries.
const REACH: [&str; 4] = ["etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/npmrc"];
const AUTHORITIES: &str = "usr/local/share/ca-certificates";
/// Parts of the names of variables that configure the connection to a registry.
const WAYS: [&str; 5] = ["PROXY", "CERT", "CA_BUNDLE", "CAINFO", "INDEX_URL"];
/// The path of the repository's clone.
pub(crate) const CLONE: &str = "root/clone";

/// Inside new namespaces: the root is a mount point, as on a machine, and nothing of the old root is left.
const ENTER: &str = r#"
set -eu
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sysfs "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
mount -t overlay -o "lowerdir=$RUSTUP_HOME,upperdir=$OVER/upper,workdir=$OVER/work" overlay "$ROOT$RUSTUP_HOME"
cd "$ROOT"
mkdir -p .outside
pivot_root . .outside
umount --lazy .outside
rmdir .outside
unset ROOT OVER
exec chroot . sh -c "$INSIDE"
"#;

/// A fresh system.
pub(crate) struct Debian {
    root: PathBuf,
    /// The upper directory of the overlay over the toolchain.
    over: PathBuf,
    rustup: PathBuf,
}

impl Debian {
    /// A fresh system in `directory`, with the toolchain of this machine as rustup would have installed it.
    pub(crate) fn new(directory: &Path, sysroot: &Path) -> Result<Self> {
        let base = base(&directory.join(RELEASE), &[])?;
        let this =
            Self { root: directory.join("root"), over: directory.join("over"), rustup: rustup_home()? };
        for directory in [&this.root, &this.over] {
            if directory.exists() {
                fs::remove_dir_all(directory)?;
            }
        }
        shell::run_quietly(Command::new("cp").arg("--archive").arg(&base).arg(&this.root))?;
        this.connect()?;
        this.add_toolchain(sysroot)?;
        Ok(this)
    }

    /// Configures the connection to the package registries, as this machine has it.
    fn connect(&self) -> Result<()> {
        // debootstrap writes its own file, which would list the archive a second time.
        fs::remove_file(self.root.join(SOURCES[0]))?;
        for file in SOURCES.into_iter().chain(REACH) {
            copy(&Path::new("/").join(file), &self.root.join(file))?;
        }
        let authorities = fs::read_dir(Path::new("/").join(AUTHORITIES)).into_iter().flatten().flatten();
        for authority in authorities {
            copy(&authority.path(), &self.root.join(AUTHORITIES).join(authority.file_name()))?;
        }
        // Proxies and the like, from whichever file they are in.
        let format = "%F \"%v\";%n";
        let said = shell::read(Command::new("apt-config").args([
            "dump",
            "--no-empty",
            "--format",
            format,
            "Acquire",
        ]))
        .context("`apt-config dump` failed")?;
        fs::write(self.root.join("etc/apt/apt.conf.d/99machine"), said)?;
        Ok(())
    }

    /// The directory of cargo as rustup leaves it: its own program, under all its names.
    fn add_toolchain(&self, sysroot: &Path) -> Result<()> {
        let rustup =
            shell::find("rustup").context("no `rustup`: its toolchain is what a fresh machine has")?;
        let bin = self.root.join("root/.cargo/bin");
        fs::create_dir_all(&bin)?;
        copy(&fs::canonicalize(rustup)?, &bin.join("rustup"))?;
        for name in ["cargo", "cargo-clippy", "cargo-fmt", "clippy-driver", "rustc", "rustdoc", "rustfmt"] {
            std::os::unix::fs::symlink("rustup", bin.join(name))?;
        }
        fs::write(self.root.join("root/.cargo/env"), "export PATH=\"$HOME/.cargo/bin:$PATH\"\n")?;

        // In an overlay, a character device with number 0/0 hides a file.
        fs::create_dir_all(self.root.join(inside(&self.rustup)?))?;
        for part in ["work", "upper"] {
            fs::create_dir_all(self.over.join(part))?;
        }
        let sysroot = fs::canonicalize(sysroot)?;
        let below = sysroot.strip_prefix(&self.rustup).context("the toolchain is not one of rustup's")?;
        let (from, to) =
            (sysroot.join("lib/rustlib"), self.over.join("upper").join(below).join("lib/rustlib"));
        fs::create_dir_all(&to)?;
        for gone in ["src", "manifest-rust-src"] {
            if from.join(gone).exists() {
                mknod(&to.join(gone), SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?;
            }
        }
        // Both lists have the installed components; rustup believes the second.
        for (list, between) in [("components", "\n"), ("multirust-config.toml", "\n\n")] {
            let all =
                fs::read_to_string(from.join(list)).with_context(|| format!("no {list}: is it rustup's?"))?;
            let others: Vec<&str> = all.split(between).filter(|entry| !entry.contains("rust-src")).collect();
            fs::write(to.join(list), others.join(between))?;
        }
        Ok(())
    }

    /// Clones this repository at `commit`; returns the clone's path outside the system.
    pub(crate) fn clone_of(&self, commit: &str) -> Result<PathBuf> {
        let clone = self.root.join(CLONE);
        shell::run_quietly(Command::new("git").args(["clone", "--quiet", "--no-checkout", "."]).arg(&clone))?;
        shell::run_quietly(
            Command::new("git").arg("-C").arg(&clone).args(["checkout", "--quiet", "--detach", commit]),
        )?;
        Ok(clone)
    }

    /// A shell in the system that runs `script`, as root after a login.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER]);
        unshare.env_clear().envs(env::vars().filter(|(name, _)| is_way(name)));
        unshare.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        unshare.env("HOME", "/root").env("USER", "root").env("RUSTUP_HOME", &self.rustup);
        unshare.env("ROOT", &self.root).env("OVER", &self.over).env("INSIDE", script);
        unshare
    }
}

/// Creates a base system with `packages` in addition, or leaves it unchanged. Returns its path.
pub(crate) fn base(directory: &Path, packages: &[&str]) -> Result<PathBuf> {
    let base = directory.join("root");
    let archive =
        SOURCES.iter().find_map(|file| archive(&fs::read_to_string(Path::new("/").join(file)).ok()?));
    let archive = archive.unwrap_or_else(|| ARCHIVE.into());
    let made_from: Vec<&str> = [&*archive].iter().chain(packages).copied().collect();
    let stamp = Stamp::of(directory, &[], &made_from.join(" "))?;
    if stamp.is_there() {
        return Ok(base);
    }
    shell::announce(&format!("making a Debian {RELEASE} from {archive} (some minutes)"));
    stamp.begin()?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase");
    if !packages.is_empty() {
        debootstrap.arg(format!("--include={}", packages.join(",")));
    }
    shell::run_quietly(debootstrap.arg(RELEASE).arg(&base).arg(archive))?;
    stamp.end()?;
    Ok(base)
}

/// The first archive in a file of sources.
fn archive(sources: &str) -> Option<String> {
    let lines = sources.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    words.find(|word| word.starts_with("http")).map(|word| word.trim_end_matches('/').to_owned())
}

/// The directory of rustup's toolchains.
fn rustup_home() -> Result<PathBuf> {
    let home = || Some(Path::new(&env::var_os("HOME")?).join(".rustup"));
    let path = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(home).context("HOME is not set")?;
    let path = fs::canonicalize(&path).with_context(|| format!("no {}", path.display()))?;
    ensure!(!path.to_string_lossy().contains([',', ':']), "a mount cannot name {}", path.display());
    Ok(path)
}

fn is_way(name: &str) -> bool {
    let name = name.to_uppercase();
    WAYS.iter().any(|way| name.contains(way))
}

/// An absolute path relative to the root.
fn inside(path: &Path) -> Result<&Path> {
    path.strip_prefix("/").with_context(|| format!("{} is not absolute", path.display()))
}

/// Copies a file if it exists.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_file() {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{archive, is_way};

    #[test]
    fn the_archive_is_the_one_of_the_machine() {
        let deb822 = "Types: deb\n# http://elsewhere/\nURIs: http://mirror/debian/\nSuites: bookworm\n";
        assert_eq!(archive(deb822).as_deref(), Some("http://mirror/debian"));
        assert_eq!(
            archive("deb [arch=amd64] http://m/debian bookworm main").as_deref(),
            Some("http://m/debian")
        );
        assert_eq!(archive(""), None);
    }

    #[test]
    fn only_the_way_to_registries_is_told() {
        assert!(
            ["https_proxy", "PIP_CERT", "SSL_CERT_FILE", "npm_config_proxy"].iter().all(|name| is_way(name))
        );
        assert!(
            !["PATH", "RUSTUP_AUTO_INSTALL", "SG_BIN_DIR", "CARGO_REGISTRY_TOKEN"]
                .iter()
                .any(|name| is_way(name))
        );
    }
}
