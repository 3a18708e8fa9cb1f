//! The audit trail and the access log of `sgd serve`, read by a program that knows neither: each change has its line, whoever
//! asked and whatever came of it; no secret is in any; what happens to the files costs no change.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount, umount};
use serde_json::Value;
use sg_tests::lab::Lab;

use crate::{
    api::hostile::{BOTH, ECS, Key, NATIVE, exchange, expect},
    support::{
        served::{Served, ask},
        suite::Suite,
    },
};

const ACCESS: &str = "/run/access.jsonl";
const RECORDED: &[&str] = &["--listen", "127.0.0.1:8790", "--access-log", ACCESS];

/// Prints a line for each: operation, outcome, code, who. It fails at what is no object, and at a number that is not the next; with
/// `gaps`, at one that does not go on.
const PYTHON: &str = "
import json, sys
last, gaps = 0, sys.argv[2:] == ['gaps']
for line in open(sys.argv[1], encoding='utf-8', newline='\\n'):
    assert line.endswith('\\n') and line.count('\\n') == 1
    entry = json.loads(line)
    if 'sequence' in entry:
        assert entry['sequence'] == last + 1 or gaps and entry['sequence'] > last, (last, entry)
        last = entry['sequence']
        assert entry['time'].endswith('Z') and entry['from']
        who = ','.join(f'{key}={value}' for key, value in sorted(entry['who'].items()) if key not in ('pid', 'gid'))
        code = entry['missing'] if entry['outcome'] == 'lost' else entry.get('code', '-')
        print(entry['operation'], entry['outcome'], code, who or '-')
    else:
        assert entry['microseconds'] >= 0 and len(entry['request']) == 36
        print(entry['api'], entry['operation'], entry['status'], entry.get('code', '-'))
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("who_did_what", who_did_what);
    suite.add("what_happens_to_the_file", what_happens_to_the_file);
    suite.add("a_full_disk", a_full_disk);
}

/// The lines, as Python reads them.
fn read(path: &Path) -> Result<Vec<String>> {
    read_with(path, &[])
}

fn read_with(path: &Path, arguments: &[&str]) -> Result<Vec<String>> {
    let mut python = Command::new("python3");
    let output = python.args(["-c", PYTHON]).arg(path).args(arguments).output().context("python3")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Waits for the line of the last request, which is written behind its response.
fn awaited(path: &Path, last: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let lines = read(path)?;
        if lines.last().is_some_and(|line| line == last) || begun.elapsed() > Duration::from_secs(10) {
            return Ok(lines);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn key(served: &Served<'_>, role: &str) -> Result<Key> {
    let key = served.done("POST", "/v1/access-keys", &format!(r#"{{"role":"{role}"}}"#))?;
    let text = |field: &str| key[field].as_str().map(str::to_owned).context("no such field");
    Ok(Key { id: text("id")?, secret: text("secret")? })
}

fn who_did_what(lab: Lab) -> Result<()> {
    let host = lab.host("recorded")?;
    let served = Served::start_with(&host, RECORDED)?;
    thread::sleep(Duration::from_secs(1));
    let [viewer, editor] = [key(&served, "viewer")?, key(&served, "editor")?];
    served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    served.ask("POST", "/v1/groups?dry_run=true", r#"{"name":"tried","vpc":"net"}"#)?;
    served.done("GET", "/v1/groups", "")?;
    let json = "Content-Type: application/json\r\n";
    let group = br#"{"name":"web","vpc":"net"}"#;
    let native = |key: &Key| exchange(&host, NATIVE, &key.native("POST", "/v1/groups", json, group));
    expect("a viewer", &native(&viewer)?, 403, "forbidden")?;
    expect("an editor", &native(&editor)?, 200, "")?;
    let guess = Key { id: editor.id.clone(), secret: "my-own-secret".into() };
    expect("a guess", &native(&guess)?, 401, "unauthenticated")?;
    let make = |key: &Key| {
        let more =
            [("Action", "CreateSecurityGroup"), ("RegionId", "cn-hangzhou"), ("SecurityGroupName", "ops")];
        exchange(&host, ECS, &key.ecs(&more)?)
    };
    expect("a viewer", &make(&viewer)?, 403, "Forbidden.RAM")?;
    expect("an editor", &make(&editor)?, 200, "")?;
    expect("a guess", &make(&guess)?, 400, "SignatureDoesNotMatch")?;
    let document = served.state().join("p.yaml");
    fs::write(&document, "groups: { doc: {} }\n")?;
    let path = document.to_str().context("no text")?;
    let applied = served.sgctl(&["apply", "-f", path, "--yes"], "")?;
    ensure!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    served.ask("DELETE", "/v1/groups/nothing", "")?;

    let file = served.state().join(sg_audit::FILE);
    let secrets = [&viewer, &editor, &guess].map(|key| {
        let basic = key.basic().trim_start_matches("Basic ").to_owned();
        [key.secret.clone(), basic]
    });
    let (viewer, editor) = (&viewer.id, &editor.id);
    let wanted = [
        "post_access_keys done - uid=0".to_owned(),
        "post_access_keys done - uid=0".to_owned(),
        "post_vpcs done - uid=0".to_owned(),
        format!("post_groups refused forbidden access_key={viewer}"),
        format!("post_groups done - access_key={editor}"),
        format!("post_groups refused unauthenticated claimed={editor}"),
        format!("CreateSecurityGroup refused Forbidden.RAM access_key={viewer}"),
        format!("CreateSecurityGroup done - access_key={editor}"),
        format!("CreateSecurityGroup refused SignatureDoesNotMatch claimed={editor}"),
        "post_apply done - uid=0".to_owned(),
        "delete_groups_group refused not_found uid=0".to_owned(),
    ];
    let found = read(&file)?;
    ensure!(found == wanted, "{found:#?}");

    let access = awaited(Path::new(ACCESS), "native delete_groups_group 404 not_found")?;
    for line in [
        "native get_groups 200 -",
        "native post_groups 403 forbidden",
        "native post_groups 401 unauthenticated",
        "ecs CreateSecurityGroup 403 Forbidden.RAM",
        "ecs CreateSecurityGroup 400 SignatureDoesNotMatch",
        "native post_apply 200 -",
    ] {
        ensure!(access.iter().any(|found| found == line), "no {line:?}: {access:#?}");
    }
    let history = served.sgctl(&["history", "--since", "1h", "--json"], "")?;
    let history: Vec<Value> = serde_json::from_slice(&history.stdout)?;
    ensure!(history.len() == wanted.len() && history[4]["objects"][0]["name"] == "web", "{history:?}");
    let of_web = served.sgctl(&["history", "--object", "web", "--outcome", "done"], "")?;
    let of_web = String::from_utf8(of_web.stdout)?;
    ensure!(of_web.lines().count() == 2 && of_web.contains("created group web"), "{of_web}");
    // Where the keys are named, their secrets could be: none is, nor is what was guessed or a signature.
    let places = [
        ("the trail", fs::read_to_string(&file)?),
        ("the access log", fs::read_to_string(ACCESS)?),
        ("the history", serde_json::to_string(&history)?),
        ("the list of keys", served.done("GET", "/v1/access-keys", "")?.to_string()),
    ];
    for (place, text) in &places {
        ensure!(text.contains(viewer) && text.contains(editor), "no key is named in {place}: {text}");
        for secret in secrets.iter().flatten() {
            ensure!(!text.contains(secret.as_str()), "the secret {secret} is in {place}: {text}");
        }
        let text = text.to_lowercase();
        ensure!(
            !text.contains("secret\":") && !text.contains("signature="),
            "a secret is in {place}: {text}"
        );
    }
    Ok(())
}

fn what_happens_to_the_file(lab: Lab) -> Result<()> {
    let host = lab.host("rotated")?;
    let mut served = Served::start_with(&host, BOTH)?;
    let file = served.state().join(sg_audit::FILE);
    let make = |served: &Served<'_>, name: &str| {
        served.done("POST", "/v1/vpcs", &format!(r#"{{"name":"{name}"}}"#)).map(drop)
    };
    make(&served, "one")?;
    // As logrotate moves it away: the numbers go on.
    let moved = served.state().join("audit.jsonl-20261130");
    fs::rename(&file, &moved)?;
    make(&served, "two")?;
    let text = fs::read_to_string(&file)?;
    ensure!(text.lines().count() == 1 && text.contains("\"sequence\":2"), "{text}");
    // A directory is where it should be: changes go on, and what is missing is said.
    fs::rename(&file, served.state().join("audit.jsonl-20261201"))?;
    fs::create_dir(&file)?;
    make(&served, "three")?;
    make(&served, "four")?;
    let status = served.done("GET", "/v1/status", "")?;
    ensure!(status["audit"]["lost"] == 2 && status["audit"]["failing"].is_string(), "{status}");
    fs::remove_dir(&file)?;
    make(&served, "five")?;
    let status = served.done("GET", "/v1/status", "")?;
    ensure!(status["audit"]["lost"] == 2 && status["audit"]["failing"].is_null(), "{status}");
    let page = served.done("GET", "/v1/history", "")?;
    ensure!(page["items"][1]["outcome"] == "lost" && page["items"][1]["missing"] == 2, "{page}");

    // Killed in the middle of a line.
    served.kill()?;
    let text = fs::read_to_string(&file)?;
    fs::write(&file, &text[..text.len() - 30])?;
    served.again()?;
    make(&served, "six")?;
    let page = served.done("GET", "/v1/history", "")?;
    ensure!(page["unreadable"] == 1 && page["items"][0]["objects"][0]["name"] == "six", "{page}");
    let said = served.sgctl(&["history"], "")?;
    ensure!(String::from_utf8_lossy(&said.stderr).contains("1 lines"), "{said:?}");
    // Without a server, root reads the file.
    served.kill()?;
    let path = file.to_str().context("no text")?;
    let said = served.sgctl(&["history", "--file", path], "")?;
    ensure!(String::from_utf8_lossy(&said.stdout).contains("created vpc six"), "{said:?}");
    served.again()
}

/// The trail has no room; the store, which has written its file already, has.
fn a_full_disk(lab: Lab) -> Result<()> {
    let host = lab.host("full")?;
    let mut served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.kill()?;
    let state = served.state().to_owned();
    let saved = fs::read(state.join("state.redb"))?;
    let room = saved.len() + (256 << 10);
    mount(
        Some("tmpfs"),
        &state,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(format!("size={room},mode=0700").as_str()),
    )?;
    let mut tried = || -> Result<()> {
        fs::write(state.join("state.redb"), &saved)?;
        std::os::unix::fs::chown(state.join("state.redb"), Some(0), Some(0))?;
        fs::set_permissions(state.join("state.redb"), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        served.again()?;
        let ballast = state.join("ballast");
        let (mut refused, mut done) = (0, Vec::new());
        for number in 0..40 {
            // The store gives back room at first.
            if number < 20 {
                fill(&ballast)?;
            }
            let name = format!("net{number}");
            match ask(&served.socket(), "POST", "/v1/vpcs", &format!(r#"{{"name":"{name}"}}"#))? {
                (200, _) => done.push(name),
                _ => refused += 1,
            }
        }
        let status = served.done("GET", "/v1/status", "")?;
        ensure!(status["audit"]["failing"].as_str().is_some_and(|why| why.contains("space")), "{status}");
        let lost = status["audit"]["lost"].as_u64().context("no number")?;
        println!("{} done and {refused} refused while the disk was full, {lost} entries lost", done.len());
        ensure!(!done.is_empty() && lost > 0, "{status}");
        ensure!(status["vpcs"] == 1 + done.len(), "{} done: {status}", done.len());
        fs::remove_file(&ballast)?;
        served.done("POST", "/v1/vpcs", r#"{"name":"room"}"#)?;
        let status = served.done("GET", "/v1/status", "")?;
        ensure!(status["audit"]["lost"] == lost && status["audit"]["failing"].is_null(), "{status}");
        let page = served.done("GET", "/v1/history?limit=2", "")?;
        ensure!(page["items"][0]["objects"][0]["name"] == "room" && page["unreadable"] == 0, "{page}");
        ensure!(page["items"][1]["outcome"] == "lost", "{page}");

        // Every request is an entry, or one of those that the trail says are missing.
        let entries = read_with(&state.join(sg_audit::FILE), &["gaps"])?;
        let of = |outcome: &'static str| {
            entries.iter().filter(move |line| line.split(' ').nth(1) == Some(outcome))
        };
        let missing: u64 = of("lost").filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum();
        let written = of("done").count() + of("refused").count() + of("not_in_force").count();
        let requests = done.len() + refused + 1;
        ensure!(missing == lost, "{lost} lost: {entries:#?}");
        ensure!(written as u64 + missing == requests as u64, "{requests} requests: {entries:#?}");
        ensure!(of("done").count() <= done.len() + 1 && of("refused").count() <= refused, "{entries:#?}");
        Ok(())
    };
    let result = tried();
    served.kill()?;
    umount(&state)?;
    result
}

/// Takes all the room that is left.
fn fill(path: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::options().append(true).create(true).open(path)?;
    let mut piece = 64 << 10;
    while piece > 0 {
        if file.write_all(&vec![0; piece]).is_err() {
            piece /= 2;
        }
    }
    Ok(())
}
