//! What a detach leaves in the kernel and in bpffs, seen with the tools of others: nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_common::abi;
use sg_tests::lab::{Agent, Attach, Binaries, Family, Host, Lab, Outcome, Service, until};

use crate::support::{
    scene::{Client, Role, Scene, Server, web},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("detach_all_leaves_nothing_of_anybody", detach_all_leaves_nothing_of_anybody);
}

/// The directory of the pins of an instance.
pub(crate) fn pins(instance: &str) -> Result<PathBuf> {
    let all = PathBuf::from(format!("/sys/fs/bpf/sgd/{instance}"));
    let version = fs::read_dir(&all).with_context(|| all.display().to_string())?.next();
    Ok(version.context("nothing is pinned")??.path())
}

/// What a command prints on a host.
pub(crate) fn printed(host: &Host, program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = host.spawn(&mut command)?.wait_with_output()?;
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `bpftool` lists on a host.
pub(crate) fn listed(host: &Host, what: &[&str]) -> Result<serde_json::Value> {
    let arguments = [&["--json"], what].concat();
    Ok(serde_json::from_str(&printed(host, "bpftool", &arguments)?)?)
}

/// The filters of clsact qdiscs on the devices of a host that are programs.
pub(crate) fn filters(host: &Host) -> Result<Vec<String>> {
    let listed = listed(host, &["net", "show"])?;
    let filters = listed.pointer("/0/tc").and_then(serde_json::Value::as_array).context("no list")?;
    // A later bpftool lists TCX here, too.
    let is_filter =
        |entry: &&serde_json::Value| !entry["kind"].as_str().unwrap_or_default().starts_with("tcx");
    Ok(filters.iter().filter(is_filter).map(ToString::to_string).collect())
}

/// How often a program of this agent is on a device.
pub(crate) fn programs(host: &Host, agent: &Agent, attach: Attach) -> Result<usize> {
    if attach == Attach::Clsact {
        return Ok(filters(host)?.len());
    }
    let [(_, ours), _] = ours(host, agent)?;
    let listed = listed(host, &["link", "show"])?;
    let links = listed.as_array().context("no list")?;
    Ok(links.iter().filter(|link| link["prog_id"].as_u64().is_some_and(|id| ours.contains(&id))).count())
}

/// Numbers that the kernel gave to programs and maps.
pub(crate) type Numbers = [(&'static str, BTreeSet<u64>); 2];

/// What an agent holds of each kind. The kernel numbers all of the machine; others come and go meanwhile.
pub(crate) fn ours(host: &Host, agent: &Agent) -> Result<Numbers> {
    let mut ours = [("prog", BTreeSet::new()), ("map", BTreeSet::new())];
    for (kind, numbers) in &mut ours {
        for file in fs::read_dir(format!("/proc/{}/fdinfo", agent.pid()))?.flatten() {
            let prefix = format!("{kind}_id:");
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            numbers
                .extend(info.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse::<u64>().ok()));
        }
        let listed = all(host, kind)?;
        ensure!(numbers.is_subset(&listed), "bpftool does not list {numbers:?}");
    }
    Ok(ours)
}

fn all(host: &Host, kind: &str) -> Result<BTreeSet<u64>> {
    let listed = listed(host, &[kind, "show"])?;
    let entries = listed.as_array().context("no list")?;
    Ok(entries.iter().filter_map(|entry| entry.get("id")?.as_u64()).collect())
}

/// Waits until the kernel has none of these any more: it frees them after a grace period.
pub(crate) fn are_gone(host: &Host, ours: &Numbers) -> Result<()> {
    for (kind, numbers) in ours {
        let mut left = BTreeSet::new();
        until(&format!("every {kind} of ours is gone"), || {
            left = all(host, kind)?.intersection(numbers).copied().collect();
            Ok(left.is_empty())
        })
        .with_context(|| format!("{kind} {left:?} are still there"))?;
    }
    Ok(())
}

/// In directories of its own: other tests have their instances in the usual ones. The words `is` and `does` check what a
/// command says and how it ends.
const ALL: &str = r#"
set -eu
fail() { echo "FAILED: $*"; cat /run/sgd.*; exit 1; }
does() { code=$1; shift; status=0; "$@" > /run/said 2>&1 || status=$?; [ $status = $code ] || fail "$* ended with $status: $(cat /run/said)"; }
says() { grep -q "$1" /run/said || fail "not a word of $1: $(cat /run/said)"; }
run() {
    "$BIN/sgd" run --policy "$POLICY" --instance "$1" --attach "$ATTACH" --state "/run/state-$1" > "/run/sgd.$1" 2>&1 &
    eval "$1=$!"
    n=0; until grep -q ^ready "/run/sgd.$1"; do n=$((n+1)); [ $n -lt 600 ] || fail "$1 is not ready"; sleep 0.1; done
}
end() { kill -TERM "$1"; wait "$1" || true; }
mount -t tmpfs none /run
mount -t bpf none /sys/fs/bpf
does 0 "$BIN/sgctl" detach --all
says "nothing of any instance"
run blue; run green; run red
does 1 "$BIN/sgctl" detach --all --yes
says "blue (pid $blue), green (pid $green), red (pid $red)"
end $blue; end $green
does 1 "$BIN/sgctl" detach --all --yes
says "agents run: red (pid $red);"
[ -e /sys/fs/bpf/sgd/blue/v$VERSION/COUNTERS ] || fail "blue is gone"
end $red
# Of another version, and one whose catalog is lost.
mv /sys/fs/bpf/sgd/blue/v$VERSION /sys/fs/bpf/sgd/blue/v99
sed -i "s/\"abi_version\":$VERSION/\"abi_version\":99/" /run/sgd/blue/catalog.json
rm /run/sgd/green/catalog.json
mkdir /sys/fs/bpf/sgd/empty
does 2 "$BIN/sgctl" detach --all
says "Pass --yes"
[ -e /sys/fs/bpf/sgd/green/v$VERSION/COUNTERS ] || fail "green is gone"
does 0 "$BIN/sgctl" detach --all --yes
left=$(ls -A /run/sgd /sys/fs/bpf/sgd | grep -v : || true)
[ -z "$left" ] || fail "left: $left"
does 0 "$BIN/sgctl" detach --all --yes
echo done
"#;

fn detach_all_leaves_nothing_of_anybody(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    let directory = tempfile::tempdir()?;
    // Not below /run, which is covered.
    let policy = directory.path().join("policy.yaml");
    fs::write(&policy, web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", ALL]);
    shell.env("BIN", fs::canonicalize(Binaries::find()?.directory())?).env("POLICY", &policy);
    shell.env("ATTACH", attach.to_string()).env("VERSION", abi::VERSION.to_string());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = server.spawn(&mut shell)?.wait_with_output()?;
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success() && said.contains("done"), "{}: {said}", output.status);

    let left = filters(server)?;
    ensure!(left.is_empty(), "left on devices: {left:?}");
    until("no program is on the device", || {
        let shown = listed(server, &["net", "show", "dev", "eth0"])?;
        Ok(!shown.to_string().contains("sg_"))
    })?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)
}
