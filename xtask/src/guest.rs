//! `Guest`: the whole system with which a kernel is booted: a directory, packed as an initramfs.
//!
//! Owns its layout: busybox, our programs with the libraries of this machine, a few kernel modules, and the script that is its
//! first process. Never starts anything. Called by `matrix`, and for the packing by `boot`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{shell, unpacked};

/// The first process prints this before the exit status of the run.
pub(crate) const ENDED: &str = "the run in the guest ended with ";

/// Modules for the devices that tests create, for attaching to clsact, and for IPsec with a cipher. A kernel without one of them
/// is not suitable for these tests.
const MODULES: [&str; 26] = [
    "veth",
    "bridge",
    "sch_ingress",
    "cls_bpf",
    "tun",
    "esp4",
    "esp6",
    "xfrm_user",
    "gcm",
    "ctr",
    "ghash_generic",
    "sha512_generic",
    "drbg",
    "seqiv",
    "ip_gre",
    "ip6_gre",
    "ipip",
    "sit",
    "ip6_tunnel",
    "ip_vti",
    "xfrm_interface",
    "wireguard",
    "vxlan",
    "8021q",
    "bonding",
    "vrf",
];
/// Programs that tests run by name.
const CALLED: [&str; 4] = ["ip", "tc", "ping", "wg"];
/// Programs that the first process runs by name.
const APPLETS: [&str; 4] = ["sh", "mount", "insmod", "poweroff"];
/// What is mounted before anything runs: (type, path).
const MOUNTS: [(&str, &str); 4] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")];
/// The directory of our own programs in the guest.
const OURS: &str = "/ours";

/// The system under construction.
pub(crate) struct Guest {
    root: PathBuf,
    busybox: PathBuf,
    modules: Vec<String>,
}

impl Guest {
    /// An empty system at `root`, with `busybox`, which is statically linked.
    pub(crate) fn new(root: &Path, busybox: &Path) -> Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        for directory in ["bin", "dev", "proc", "run", "sys", "tmp", "modules", &OURS[1..]] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::copy(busybox, root.join("bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        let guest = Self { root: root.to_owned(), busybox: fs::canonicalize(busybox)?, modules: Vec::new() };
        for program in CALLED {
            let file = shell::find(program).with_context(|| format!("no `{program}` on this machine"))?;
            fs::copy(&file, guest.root.join("bin").join(program))?;
            guest.add_libraries(&file)?;
        }
        Ok(guest)
    }

    /// Adds a program of ours as `name`, without debug sections, which are most of it.
    pub(crate) fn add(&self, program: &Path, name: &str) -> Result<()> {
        let to = self.root.join(&OURS[1..]).join(name);
        shell::run_quietly(Command::new("strip").args(["--strip-debug", "-o"]).arg(to).arg(program))?;
        self.add_libraries(program)
    }

    fn add_libraries(&self, program: &Path) -> Result<()> {
        let listed = shell::read(Command::new("ldd").arg(program))
            .with_context(|| format!("`ldd {}` failed", program.display()))?;
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = self.root.join(&library[1..]);
            fs::create_dir_all(to.parent().context("a library without a directory")?)?;
            fs::copy(library, to).with_context(|| format!("cannot copy {library}"))?;
        }
        Ok(())
    }

    /// Adds the modules that tests need, from the kernel package unpacked in `kernel`.
    pub(crate) fn add_modules(&mut self, kernel: &Path) -> Result<()> {
        let built_in = unpacked::find(kernel, &|name| name == "modules.builtin")
            .and_then(|file| fs::read_to_string(file).ok())
            .context("the kernel package has no list of what is built in")?;
        let mut done = BTreeSet::new();
        MODULES.into_iter().try_for_each(|name| self.add_module(kernel, &built_in, name, &mut done))
    }

    /// Adds one module after its dependencies.
    fn add_module(
        &mut self,
        kernel: &Path,
        built_in: &str,
        name: &str,
        done: &mut BTreeSet<String>,
    ) -> Result<()> {
        // File names have hyphens or underscores, and modules refer to each other with either.
        let name = name.replace('-', "_");
        let is_it =
            |file: &str| file.split_once(".ko").is_some_and(|(stem, _)| stem.replace('-', "_") == name);
        let is_built_in = || built_in.lines().filter_map(|line| line.rsplit('/').next()).any(is_it);
        if !done.insert(name.clone()) || is_built_in() {
            return Ok(());
        }
        let file = unpacked::find(kernel, &is_it)
            .with_context(|| format!("the kernel package has no module {name}"))?;
        let module = match file.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => {
                let output = Command::new(&self.busybox).arg("xzcat").arg(&file).output()?;
                ensure!(output.status.success(), "cannot unpack {}", file.display());
                output.stdout
            }
            _ => fs::read(&file)?,
        };
        for needed in depends(&module) {
            self.add_module(kernel, built_in, &needed, done)?;
        }
        fs::write(self.root.join("modules").join(&name), module)?;
        self.modules.push(name);
        Ok(())
    }

    /// Packs it with a first process that runs `commands` of ours, each with its arguments, until one fails.
    pub(crate) fn pack(&self, commands: &[&str], image: &Path) -> Result<()> {
        let init = self.root.join("init");
        fs::write(&init, script(&self.modules, commands))?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;

        pack_all(&self.root, &self.busybox, image)
    }
}

/// Packs everything below `root` as an initramfs.
pub(crate) fn pack_all(root: &Path, busybox: &Path, image: &Path) -> Result<()> {
    let mut names = Vec::new();
    list(root, root, &mut names)?;
    let mut cpio = Command::new(fs::canonicalize(busybox)?)
        // Owned by root, whoever builds it: an agent reads no policy below a directory of another user.
        .args(["cpio", "-o", "-H", "newc", "-R", "0:0"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(File::create(image)?)
        .stderr(Stdio::null())
        .spawn()?;
    cpio.stdin.take().context("no standard input")?.write_all(names.join("\n").as_bytes())?;
    let status = cpio.wait()?;
    if !status.success() {
        bail!("`busybox cpio` failed ({status})");
    }
    Ok(())
}

/// The script of the first process. It powers the machine off, whatever happens.
fn script(modules: &[String], commands: &[&str]) -> String {
    let mount = |(kind, place)| format!("mount -t {kind} {kind} {place} || return");
    let insert = |module: &String| format!("insmod /modules/{module} || return");
    let run = |command: &&str| format!("echo '==> {command}'\n{OURS}/{command} || return");
    let mut lines = vec![format!("#!/bin/sh\nexport PATH=/bin SG_BIN_DIR={OURS}\nsteps() {{")];
    lines.extend(MOUNTS.map(mount));
    lines.extend(modules.iter().map(insert));
    lines.extend(commands.iter().map(run));
    lines.push(format!("}}\nsteps\necho \"{ENDED}$?\"\npoweroff -f\n"));
    lines.join("\n")
}

/// The dependencies of a module, from its section `.modinfo`: `name=value`, each terminated by a zero byte.
fn depends(module: &[u8]) -> Vec<String> {
    let entry = module.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(entry.unwrap_or_default());
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Everything below `directory`, directories before their content, by paths relative to `root`.
fn list(root: &Path, directory: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        names.push(path.strip_prefix(root)?.to_str().context("a name that is no text")?.to_owned());
        if path.is_dir() && !path.is_symlink() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{depends, script};

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(depends(b"\x7fELF\0license=GPL\0depends=llc,stp\0name=bridge\0"), ["llc", "stp"]);
        assert!(depends(b"\0depends=\0retpoline=Y\0").is_empty());
    }

    #[test]
    fn a_command_that_fails_ends_the_run_and_the_machine() {
        let script = script(&["llc".into()], &["engines programs::", "traffic verdicts::"]);
        let lines: Vec<&str> = script.lines().collect();
        assert!(lines.contains(&"insmod /modules/llc || return"));
        assert!(lines.contains(&"/ours/engines programs:: || return"));
        assert_eq!(lines.last(), Some(&"poweroff -f"));
    }
}
