//! What unprivileged users of the host can do to an agent: nothing. Locks (S11), the files of an instance, the policy file (T09).

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{
        fs::{DirBuilderExt as _, PermissionsExt as _, lchown, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sg_tests::lab::{Attach, Binaries, Family, Host, Lab, Outcome, Service, until};

use crate::support::{
    scene::{Client, Role, Server, filtered, web},
    suite::Suite,
};

const NOBODY: u32 = 65534;
const EIGHTY: &str = "ingress: [{ protocol: tcp, ports: 80 }]";

pub(crate) fn tests(suite: &mut Suite) {
    let ways = &[Attach::Tcx];
    suite.over(ways, "no_lock_is_theirs", no_lock_is_theirs);
    suite.over(ways, "a_lock_that_is_held_names_the_holder", a_lock_that_is_held_names_the_holder);
    suite.over(ways, "files_are_not_for_them", files_are_not_for_them);
    suite.over(ways, "a_policy_in_their_hands_is_not_read", a_policy_in_their_hands_is_not_read);
}

/// A command of a user who is nobody, with a user's path: the tests' own lies in the checkout, which may be in a home that is
/// closed to others. A command that was not found there would be refused for the wrong reason.
fn nobody(host: &Host, line: &[&str]) -> Result<Child> {
    let mut command = Command::new("setpriv");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(line);
    host.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Holds a lock as long as it lives.
struct Hold(Child);

impl Hold {
    fn of(host: &Host, path: &Path) -> Result<Self> {
        Self::by(host, path, &["flock", "-x", path.to_str().context("not UTF-8")?, "sleep", "30"])
    }

    /// Taken by a process that has ended and left it to another: the kernel names the one that took it, or nobody.
    fn left_to_another(host: &Host, path: &Path) -> Result<Self> {
        let path_here = path.to_str().context("not UTF-8")?;
        Self::by(host, path, &["sh", "-c", "exec 9<\"$0\"; flock -x 9; exec sleep 30", path_here])
    }

    fn by(host: &Host, path: &Path, line: &[&str]) -> Result<Self> {
        let mut held = Self(nobody(host, line)?);
        let path = path.to_str().context("not UTF-8")?;
        until("the lock is held", || {
            // One that has ended will never hold it.
            if let Some(status) = held.0.try_wait()? {
                let mut said = String::new();
                held.0.stderr.take().context("no standard error")?.read_to_string(&mut said)?;
                bail!("{line:?} ended with {status}: {said}");
            }
            Ok(!Command::new("flock").args(["-n", path, "true"]).status()?.success())
        })?;
        Ok(held)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // `flock` and its child, which has the lock, too; what is left of them ends with its sleep.
        let _ = Command::new("sh")
            .args([
                "-c",
                "for p in $(cat /proc/$0/task/$0/children); do kill $p; done",
                &self.0.id().to_string(),
            ])
            .status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cannot(host: &Host, line: &[&str]) -> Result<()> {
    let output = nobody(host, line)?.wait_with_output()?;
    ensure!(!output.status.success() && output.status.signal().is_none(), "nobody can: {line:?}");
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    ensure!(said.contains("permission denied") || said.contains("cannot open"), "{line:?}: {said}");
    Ok(())
}

/// S11. The lock of an instance whose agent is down, and of its directories; and those that an earlier version left open.
fn no_lock_is_theirs(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    let server = scene.host(Server);
    agent.kill()?;
    let directory = PathBuf::from(format!("/run/sgd/{}", agent.instance()));
    let lock = directory.join("lock");
    for path in [Path::new("/run/sgd"), &directory, &lock] {
        cannot(server, &["flock", "-n", path.to_str().context("not UTF-8")?, "true"])?;
    }
    agent.start_again()?;
    agent.kill()?;

    for hold in [Hold::of, Hold::left_to_another] {
        for path in [&directory, &lock] {
            fs::set_permissions(path, Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o644 }))?;
        }
        let _held = (hold(server, &lock)?, Hold::of(server, &directory)?);
        agent.start_again().context("with a lock that an earlier version left open")?;
        agent.kill()?;
    }
    agent.start_again()?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    let second = serve(server, agent.instance(), &[])?.wait_with_output()?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(said.contains(&format!("an agent runs already (pid {})", agent.pid())), "{said}");
    agent.stop()?;
    agent.detach()?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)?;

    // `sgd serve` makes its socket in a directory that was there, and that somebody has locked.
    let directory = PathBuf::from(format!("/run/sgd/{}-served", agent.instance()));
    DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
    let _held = Hold::of(server, &directory)?;
    let instance = format!("{}-served", agent.instance());
    let mut served = serve(server, &instance, &[])?;
    let output = served.stdout.take().context("no standard output")?;
    let serves = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "serving");
    // It listens to signals from now on.
    thread::sleep(Duration::from_millis(200));
    kill(Pid::from_raw(served.id().cast_signed()), Signal::SIGTERM)?;
    let status = served.wait()?;
    ensure!(serves && status.success(), "{status}");
    let left: Vec<_> = fs::read_dir(&directory)?.flatten().map(|entry| entry.file_name()).collect();
    // What was reported of flows outlives the agent, as the flows do.
    let stays = ["lock", "catalog.json", "flows.reported", "flows.tally"];
    ensure!(left.iter().all(|name| stays.iter().any(|stays| name == stays)), "{left:?}");
    Ok(())
}

/// `sgd serve`, with a store of its own.
fn serve(host: &Host, instance: &str, more: &[&str]) -> Result<Child> {
    let state = format!("/run/lab/{}/state-{instance}", host.netns());
    let mut sgd = Command::new(Binaries::find()?.sgd());
    sgd.args(["serve", "--instance", instance, "--ecs", "none", "--state", &state]).args(more);
    host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Root may hold the lock: then whoever wants it learns who has it, and not of an agent that has ended.
fn a_lock_that_is_held_names_the_holder(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    agent.kill()?;
    let file = fs::File::open(format!("/run/sgd/{}/lock", agent.instance()))?;
    file.try_lock()?;
    agent.launch()?;
    let status = agent.ends()?;
    let holder = format!("is held by process {} (", std::process::id());
    until("the holder is named", || Ok(agent.complaints().contains(&holder)))
        .with_context(|| agent.complaints())?;
    ensure!(
        status.code() == Some(1) && !agent.complaints().contains("runs already"),
        "{}",
        agent.complaints()
    );
    drop(file);
    agent.start_again()?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
}

fn files_are_not_for_them(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    let server = scene.host(Server);
    let directory = format!("/run/sgd/{}", agent.instance());
    for line in [
        &["ls", "/run/sgd"][..],
        &["ls", &directory],
        &["cat", &format!("{directory}/catalog.json")],
        &["cat", &format!("{directory}/lock")],
        &["ls", "/sys/fs/bpf/sgd"],
    ] {
        cannot(server, line)?;
    }
    // Who may not look is not told that nothing is there.
    let sgctl = Binaries::find()?.sgctl();
    let sgctl = sgctl.to_str().context("not UTF-8")?;
    for line in [
        &[sgctl, "detach", "--instance", agent.instance()][..],
        &[sgctl, "detach", "--all"],
        &[sgctl, "stats", "--instance", agent.instance()],
    ] {
        let output = nobody(server, line)?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1) && said.contains("run it as root"), "{line:?}: {said}");
    }
    Ok(())
}

/// How a new file in the place of the policy comes to be somebody else's.
type Spoil = fn(&Path, &Path) -> Result<()>;

/// T09, and its kind.
fn a_policy_in_their_hands_is_not_read(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    let file = agent.policy_file();
    let secret = file.with_file_name("secret");
    fs::write(&secret, "root:$6$SECRETHASH$abcdefghij:19000:0:99999:7:::\n")?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
    let open = web(Role::Host, "ingress: [{ protocol: all }]");
    let ways: [(&str, Spoil); 4] = [
        ("chmod go-w", |new, _| Ok(fs::set_permissions(new, Permissions::from_mode(0o666))?)),
        ("chmod go-w", |new, _| Ok(fs::set_permissions(new, Permissions::from_mode(0o620))?)),
        ("chown it", |new, _| Ok(lchown(new, Some(NOBODY), None)?)),
        ("symbolic link", |new, secret| {
            fs::remove_file(new)?;
            symlink(secret, new)?;
            Ok(lchown(new, Some(NOBODY), None)?)
        }),
    ];
    for (says, spoil) in ways {
        let new = file.with_extension("other");
        fs::write(&new, &open)?;
        spoil(&new, &secret)?;
        agent.forget();
        fs::rename(&new, &file)?;
        until("it is refused", || Ok(agent.announced().iter().any(|line| line.starts_with("refused "))))
            .with_context(|| agent.complaints())?;
        until(says, || Ok(agent.complaints().contains(says))).with_context(|| agent.complaints())?;
        scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    }
    // Root's own link is followed, and what it leads to is not quoted.
    let new = file.with_extension("other");
    symlink(&secret, &new)?;
    agent.forget();
    fs::rename(&new, &file)?;
    until("it is refused", || Ok(agent.announced().iter().any(|line| line.starts_with("refused "))))?;
    thread::sleep(Duration::from_millis(50));
    let said = format!("{}{}", agent.complaints(), agent.announced().join("\n"));
    ensure!(!said.contains("SECRET"), "{said}");
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    // An old policy of root's, which somebody who can write to its directory renames.
    let directory = file.parent().context("it has a directory")?;
    fs::remove_file(&file)?;
    let old = file.with_extension("old");
    fs::write(&old, &open)?;
    fs::set_permissions(directory, Permissions::from_mode(0o777))?;
    agent.forget();
    let (from, to) = (old.to_string_lossy(), file.to_string_lossy());
    let moved = nobody(scene.host(Server), &["mv", &from, &to])?.wait_with_output()?;
    ensure!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    until("it is refused", || Ok(agent.announced().iter().any(|line| line.starts_with("refused "))))?;
    let says = "has mode 0777, so others than its owner can put another file there";
    until(says, || Ok(agent.complaints().contains(says))).with_context(|| agent.complaints())?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    // At a start, too: the policy is at fault, and another start would say the same.
    agent.stop()?;
    agent.launch()?;
    ensure!(agent.ends()?.code() == Some(2), "{}", agent.complaints());
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    fs::remove_file(&file)?;
    fs::write(&file, &open)?;
    fs::set_permissions(&file, Permissions::from_mode(0o666))?;
    agent.launch()?;
    ensure!(agent.ends()?.code() == Some(2), "{}", agent.complaints());
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    agent.start_again()?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)
}
