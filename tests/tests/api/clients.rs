//! Vendors' clients, unmodified: each runs through the life cycle of groups, rules, lists, members, NICs and tags of its vendor's
//! API. `cargo xtask clients` installs them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Lab;

use super::hostile::WITH_HUAWEI;
use crate::support::{served::Served, suite::Suite};

/// A client by name, its script, and what the script is told.
type Client = (&'static str, &'static str, &'static [&'static str]);

const OF_ALIBABA: [Client; 9] = [
    ("core", "aliyun_core.py", &[]),
    ("tea_acs3", "tea.py", &["acs3"]),
    ("tea_v2", "tea.py", &["v2"]),
    ("pop_core_get", "pop_core.js", &["GET"]),
    ("pop_core_post", "pop_core.js", &["POST"]),
    ("tea_js", "tea.js", &[]),
    ("libcloud", "libcloud_ecs.py", &[]),
    ("ansible", "ansible_playbook.py", &[]),
    ("ansible_resources", "ansible_resources.py", &[]),
];

const OF_HUAWEI: [Client; 5] = [
    ("huawei", "huawei.py", &[]),
    ("huawei_js", "huawei.js", &[]),
    ("openstack_sdk", "openstack_sdk.py", &[]),
    ("openstack_cli", "openstack_cli.py", &[]),
    ("ansible_huawei", "ansible_huawei.py", &[]),
];

/// Those that also try with a key that may only look, and how they are refused: one of each signature and language.
const AS_VIEWERS: [(&str, &str); 5] = [
    ("core", "403 Forbidden.RAM"),
    ("tea_acs3", "403 Forbidden.RAM"),
    ("pop_core_get", "403 Forbidden.RAM"),
    ("huawei", "403 VPC.2201"),
    ("huawei_js", "403 VPC.2201"),
];

/// The vendor whose clients they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vendor {
    Alibaba,
    Huawei,
}

pub(crate) fn tests(suite: &mut Suite) {
    let of = |vendor, clients: &[Client]| clients.iter().map(|client| (vendor, *client)).collect::<Vec<_>>();
    let all = [of(Vendor::Alibaba, &OF_ALIBABA), of(Vendor::Huawei, &OF_HUAWEI)].concat();
    let missing = || installed().err().map(|error| error.to_string());
    suite.when("parameters", missing(), |_| parameters());
    for (vendor, client) in all {
        let (name, ..) = client;
        suite.when(name, missing(), move |lab| life_cycle(lab, vendor, client));
        if let Some((_, refusal)) = AS_VIEWERS.into_iter().find(|(viewer, _)| *viewer == name) {
            suite.when(&format!("{name}_as_a_viewer"), missing(), move |lab| {
                as_viewer(lab, vendor, client, refusal)
            });
        }
    }
}

/// Where `cargo xtask clients` puts them: below the target directory that this test was built in.
pub(crate) fn installed() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut above = own.ancestors().map(|directory| directory.join("clients"));
    let found = above.find(|directory| {
        directory.join("python/made-from").is_file() && directory.join("node/made-from").is_file()
    });
    found.context("the clients are not installed: run `cargo xtask clients`")
}

fn life_cycle(lab: Lab, vendor: Vendor, client: Client) -> Result<()> {
    let (name, script, arguments) = client;
    let output = outcome(lab, vendor, name, client, "admin")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = said.lines().rev().take(24).collect();
    ensure!(
        output.status.success(),
        "{script} {arguments:?}: {}\n{}",
        last.into_iter().rev().collect::<Vec<_>>().join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The list of what the SDKs can send, which a test of the API compares with its tables, is what they can send.
fn parameters() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = here.join("clients/parameters.py");
    let mut python = Command::new(installed()?.join("python/bin/python"));
    let output = python.arg(&script).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", script.display());
    let list = here.join("../sg-userspace/api/src/ecs/tests/sdk_parameters.txt");
    let listed = std::fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    ensure!(listed == output.stdout, "{} is out of date; its head says how to write it", list.display());
    Ok(())
}

/// A key that may only look finds what there is; its first change is refused with the vendor's code, which the client shows.
fn as_viewer(lab: Lab, vendor: Vendor, client: Client, refusal: &str) -> Result<()> {
    let (name, script, arguments) = client;
    let output = outcome(lab, vendor, &format!("{name}-viewer"), client, "viewer")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let found = said.lines().filter(|line| line.starts_with("ok ")).count();
    let wanted = format!("found a refusal {refusal}");
    ensure!(
        found >= wanted_before(vendor) && said.contains(&wanted) && !output.status.success(),
        "{script} {arguments:?}: {said}"
    );
    Ok(())
}

/// The number of queries before the first change of a life-cycle.
const fn wanted_before(vendor: Vendor) -> usize {
    match vendor {
        Vendor::Alibaba => 2,
        Vendor::Huawei => 1,
    }
}

/// Runs a script with a key of this role.
fn outcome(lab: Lab, vendor: Vendor, name: &str, client: Client, role: &str) -> Result<Output> {
    let (_, script, arguments) = client;
    let clients = installed()?;
    let host = lab.host(&format!("c-{name}").replace('_', "-"))?;
    let served = match vendor {
        Vendor::Alibaba => Served::start(&host)?,
        Vendor::Huawei => Served::start_with(&host, WITH_HUAWEI)?,
    };
    let text = |value: &serde_json::Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let vpc = text(&served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?, "id");
    let key = served.done("POST", "/v1/access-keys", &format!(r#"{{"role":"{role}"}}"#))?;
    let instance = format!(
        r#"{{"id":"i-web1","name":"web1","vpc":"{vpc}","nics":[{{"id":"eni-1","addresses":["10.0.0.5"]}},{{"id":"eni-2","addresses":["10.0.1.5"]}}]}}"#
    );
    served.done("POST", "/v1/instances", &instance)?;

    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let program = if Path::new(script).extension().is_some_and(|extension| extension == "py") {
        clients.join("python/bin/python")
    } else {
        PathBuf::from("node")
    };
    let mut client = Command::new(program);
    client.arg(scripts.join(script)).args(arguments).current_dir(&scripts);
    client.env("NODE_PATH", clients.join("node/node_modules")).env("PYTHONDONTWRITEBYTECODE", "1");
    match vendor {
        Vendor::Alibaba => {
            client.env("ENDPOINT", "127.0.0.1:8750").env("VPC", vpc);
            client.env("INSTANCE", "i-web1").env("ENI", "eni-2");
        }
        Vendor::Huawei => {
            client.env("ENDPOINT", "127.0.0.1:8751").env("PROJECT", text(&key, "project_id"));
        }
    }
    client.env("REGION", "cn-hangzhou");
    client.env("KEY_ID", text(&key, "id")).env("SECRET", text(&key, "secret"));
    let output = host.spawn(client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    Ok(output.wait_with_output()?)
}
