//! `cargo xtask test --kernel VERSION`: the tests that depend on the kernel, on a kernel of Debian.
//!
//! Owns `kernels` below the target directory: the packages, unpacked and not installed, and the booted images. The kernel runs in
//! an emulated machine, without any device or network of this one. Emulation is always by software: it is the same on every
//! machine, and build servers rarely offer virtualization.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    apt,
    guest::{ENDED, Guest},
    prerequisite::Stage,
    privilege::Privilege,
    setup, shell,
    steps::{Outcome, Steps},
    test::TESTED,
    toolchain::Rustc,
    unpacked,
};

/// The time limit of one kernel, from boot to power-off.
const LIMIT: Duration = Duration::from_hours(1);
/// What runs in the guest: everything that the verifier checks, then real packets over each way to attach; one test at a time,
/// since the guest is slow and tests wait for silence. A test that is skipped for lack of root or of the programs counts as
/// failed there; one that needs a newer kernel is reported with what it needs.
const RUNS: [&str; 9] = [
    "engines --include-ignored --test-threads 1 hooks::programs::",
    "engines --include-ignored --test-threads 1 conntrack::ageing::",
    "traffic --include-ignored --test-threads 1 protocol_between_hosts::inbound_host_v4",
    "traffic --include-ignored --test-threads 1 protocol_between_hosts::outbound_host_v6",
    "traffic --include-ignored --test-threads 1 protocol_between_hosts::each_program_drops_host",
    "traffic --include-ignored --test-threads 1 agent::lifecycle::a_restart",
    "traffic --include-ignored --test-threads 1 hooks::ipsec::",
    "traffic --include-ignored --test-threads 1 hooks::tunnels_between_hosts::",
    "traffic --include-ignored --test-threads 1 frames::vlans_between_hosts::",
];
/// Debian's kernels for cloud machines: the smallest ones that have everything needed.
const KERNELS: &str = "^linux-image-[0-9].*-cloud-amd64$";
const QEMU: &str = "qemu-system-x86_64";

/// Runs the tests on each of `versions`, such as `6.1` or `6.12`.
pub(crate) fn run(versions: &[String]) -> Result<()> {
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Kernels], &Rustc::ask()?, privilege)?;

    look_for_kernels(privilege)?;
    // All versions first: an invalid one should not cost a build.
    let packages: Vec<String> = versions.iter().map(|version| package_of(version)).collect::<Result<_>>()?;
    let directory = shell::target_dir()?.join("kernels");
    let tools = Tools::bring(&directory.join("tools"))?;
    let programs = built()?;
    let mut steps = Steps::default();
    for (version, package) in versions.iter().zip(packages) {
        steps.run(&format!("Linux {version}"), || {
            over(package, &directory.join(version), &tools, &programs).map(|()| Outcome::Passed)
        });
    }
    steps.finish()
}

/// Checks that there are kernels, and a machine to run them.
fn look_for_kernels(privilege: Privilege) -> Result<()> {
    ensure!(env::consts::ARCH == "x86_64", "kernels are tried on x86_64 only, this is {}", env::consts::ARCH);
    ensure!(
        shell::find("apt-get").is_some(),
        "this is no Debian: the kernels are Debian's, and apt-get fetches them"
    );
    if unpacked::search(KERNELS).is_empty() {
        apt::update(privilege);
    }
    Ok(())
}

/// The package of the kernel `version`, unpacked below `directory`.
pub(crate) fn kernel(version: &str, directory: &Path, privilege: Privilege) -> Result<PathBuf> {
    look_for_kernels(privilege)?;
    let kernel = directory.join(version).join("package");
    unpacked::bring(&[package_of(version)?], &kernel)?;
    Ok(kernel)
}

/// The tools that boot and fill a guest.
pub(crate) struct Tools {
    qemu: PathBuf,
    /// The libraries and the firmware of an unpacked qemu; none for an installed one.
    unpacked: Option<PathBuf>,
    pub(crate) busybox: PathBuf,
}

impl Tools {
    pub(crate) fn bring(directory: &Path) -> Result<Self> {
        let installed = shell::find(QEMU);
        let mut packages = vec!["busybox-static".to_owned()];
        if installed.is_none() {
            packages.extend(unpacked::with_what_it_needs("qemu-system-x86")?);
        }
        unpacked::bring(&packages, directory)?;
        let here = |name: &str| {
            let mut places = ["bin", "usr/bin"].into_iter().map(|bin| directory.join(bin).join(name));
            places
                .find(|file| file.is_file())
                .with_context(|| format!("no {name} in the packages in {}", directory.display()))
        };
        Ok(Self {
            unpacked: installed.is_none().then(|| directory.to_owned()),
            qemu: installed.map_or_else(|| here(QEMU), Ok)?,
            busybox: here("busybox")?,
        })
    }

    /// A machine with this much memory, in QEMU's notation, and no device but a serial line.
    pub(crate) fn machine(&self, memory: &str) -> Command {
        let mut qemu = Command::new(&self.qemu);
        if let Some(directory) = &self.unpacked {
            let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|at| directory.join(at));
            qemu.env("LD_LIBRARY_PATH", libraries.map(|at| at.display().to_string()).join(":"));
            for firmware in ["usr/share/qemu", "usr/share/seabios"] {
                qemu.arg("-L").arg(directory.join(firmware));
            }
        }
        // Two processors on one thread: with a thread each, the emulator now and then runs half of an instruction that the kernel
        // is patching (`text_poke_bp`), and the kernel stops.
        qemu.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", memory]);
        qemu.args(["-no-reboot", "-nodefaults"]);
        qemu.args(["-display", "none", "-serial", "stdio"]);
        qemu
    }
}

/// The programs that run in the guest, by their names there.
fn built() -> Result<Vec<(&'static str, PathBuf)>> {
    shell::announce("agent, client and tests");
    // Release, unlike what `cargo xtask test` builds: emulated, on a busy machine, an agent of the dev profile was not ready
    // within the minute that a test gives it.
    let build = || {
        let mut build = shell::cargo("build");
        build.args(["--release", "--bin", "sgd", "--bin", "sgctl", "--test", "engines", "--test", "traffic"]);
        build.args(TESTED);
        build
    };
    shell::run(&mut build())?;
    let said = shell::read(build().args(["--message-format", "json"]))
        .context("what was built before does not build again")?;
    let release = shell::release_dir()?;
    Ok(vec![
        ("sgd", release.join("sgd")),
        ("sgctl", release.join("sgctl")),
        ("engines", executable(&said, "engines")?),
        ("traffic", executable(&said, "traffic")?),
    ])
}

/// The executable of the test `name`, from the messages that cargo prints, one a line.
fn executable(messages: &str, name: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| Some(line.split_once("\"executable\":\"")?.1.split_once('"')?.0))
        .map(PathBuf::from)
        .find(|path| {
            let file = path.file_name().map(|file| file.to_string_lossy());
            file.is_some_and(|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')))
        })
        .with_context(|| format!("cargo names no executable of the test {name}"))
}

fn over(package: String, directory: &Path, tools: &Tools, programs: &[(&str, PathBuf)]) -> Result<()> {
    let kernel = directory.join("package");
    unpacked::bring(&[package], &kernel)?;
    let mut guest = Guest::new(&directory.join("root"), &tools.busybox)?;
    guest.add_modules(&kernel)?;
    for (name, program) in programs {
        guest.add(program, name)?;
    }
    let image = directory.join("initramfs");
    guest.pack(&RUNS, &image)?;

    boot(&mut tools.machine("1G"), &kernel, &image, "quiet")
}

/// Boots `machine` with the kernel of a package, and `image` as its only file system, until the run inside has ended well.
pub(crate) fn boot(machine: &mut Command, kernel: &Path, image: &Path, parameters: &str) -> Result<()> {
    let vmlinuz = unpacked::find(kernel, &|name| name.starts_with("vmlinuz-"))
        .context("the kernel package has no kernel")?;
    machine.arg("-kernel").arg(vmlinuz).arg("-initrd").arg(image);
    machine.arg("-append").arg(format!("console=ttyS0 panic=-1 {parameters}"));
    match follow(machine)? {
        Some(0) => Ok(()),
        Some(status) => bail!("the last step above failed (status {status})"),
        None => bail!("the guest ended without a word: its kernel stopped, see its last lines above"),
    }
}

/// The newest Debian package of the kernel `version`.
fn package_of(version: &str) -> Result<String> {
    let all = unpacked::search(KERNELS);
    newest(&all, version).with_context(|| {
        let mut known: Vec<String> = all.iter().filter_map(|name| series(release(name)?)).collect();
        known.sort_unstable();
        known.dedup();
        format!(
            "apt knows no kernel {version}, but {}: add the source of Debian that has it, and `apt-get update`",
            known.join(", ")
        )
    })
}

fn newest(packages: &[String], version: &str) -> Option<String> {
    let belongs = |release: &str| {
        release
            .strip_prefix(version)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    let of_version = packages.iter().filter(|name| release(name).is_some_and(belongs));
    of_version.max_by_key(|name| numbers(release(name).unwrap_or_default())).cloned()
}

/// `6.1.0-56` of `linux-image-6.1.0-56-cloud-amd64`; none for a metapackage.
fn release(package: &str) -> Option<&str> {
    let release = package.strip_prefix("linux-image-")?.strip_suffix("-cloud-amd64")?;
    (release.matches('.').count() >= 2).then_some(release)
}

/// `6.1` of `6.1.0-56`.
fn series(release: &str) -> Option<String> {
    let mut parts = release.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Runs the machine, shows its console, and returns the status that the guest printed; none if it printed none.
fn follow(machine: &mut Command) -> Result<Option<i32>> {
    let mut machine = Machine(
        machine.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the machine")?,
    );
    let console = machine.0.stdout.take().context("no console")?;
    let (tell, lines) = mpsc::channel();
    thread::spawn(move || {
        // The firmware's output need not be UTF-8.
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            if tell.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    let mut status = None;
    loop {
        match lines.recv_timeout(LIMIT.saturating_sub(start.elapsed())) {
            Ok(line) => match line.strip_prefix(ENDED) {
                Some(ended) => status = ended.parse().ok(),
                // Only the firmware clears the terminal.
                None if line.contains("\x1b[2J") || line.contains("\x1bc") => {}
                None => println!("    {line}"),
            },
            Err(RecvTimeoutError::Disconnected) => return Ok(status),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the guest did not end in {} minutes and was stopped", LIMIT.as_secs() / 60)
            }
        }
    }
}

/// A machine that is killed when it is dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::{ENDED, executable, follow, newest};

    #[test]
    fn the_newest_kernel_of_a_series_is_taken() {
        let packages = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-cloud-amd64",
        ]
        .map(str::to_owned);
        let taken = |version: &str| newest(&packages, version);
        assert_eq!(taken("6.1").as_ref(), Some(&packages[1]));
        assert_eq!(taken("6.12").as_ref(), Some(&packages[2]));
        assert_eq!(taken("6.1.0-9").as_ref(), Some(&packages[0]));
        assert_eq!(taken("5.10"), None);
    }

    #[test]
    fn the_executable_of_a_test_is_found_among_messages() {
        let messages = "{\"reason\":\"build-finished\"}\n{\"executable\":\"/t/deps/traffic-1b\",\"fresh\":true}\n\
                        {\"executable\":null}";
        assert_eq!(executable(messages, "traffic").unwrap(), Path::new("/t/deps/traffic-1b"));
        assert!(executable(messages, "engines").is_err());
    }

    #[test]
    fn the_status_is_the_one_that_the_guest_names() {
        let say = |text: &str| follow(Command::new("printf").arg(text)).unwrap();
        assert_eq!(say(&format!("{ENDED}0\n")), Some(0));
        assert_eq!(say(&format!("hello\r\n{ENDED}101\r\nreboot: Power down\r\n")), Some(101));
        assert_eq!(say("Kernel panic\n"), None);
    }
}
