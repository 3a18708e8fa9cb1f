//! The walkthroughs of the documentation, done line by line. In a block that begins with ```` ```console ````, a line that
//! begins with `server$` or `client$` is a command on that host; the lines below it are what it prints, where `…` stands
//! for anything. A block that begins with ```` ```python PATH ```` is a file on `server`; who has one needs the vendor's clients.
//! Text that is not true any more fails here.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use sg_tests::lab::{Host, Lab};

use crate::{
    api::{clients, hostile::WITH_HUAWEI},
    support::{served::Served, suite::Suite},
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/use/walkthroughs");
/// Pages beside them that have commands, too.
const PAGES: [&str; 2] = ["../changing-safely", "../observing"];

pub(crate) fn tests(suite: &mut Suite) {
    let files = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    names.sort();
    let pages = PAGES.into_iter().map(str::to_owned);
    for name in names.into_iter().filter_map(|name| name.strip_suffix(".md").map(str::to_owned)).chain(pages)
    {
        let needs_clients = text(&name).is_ok_and(|text| text.lines().any(|line| line.starts_with(SCRIPT)));
        let missing = if needs_clients { clients::installed().err() } else { None };
        suite.when(&short(&name).replace('-', "_"), missing.map(|error| error.to_string()), move |lab| {
            walk(lab, &name)
        });
    }
}

/// A page without the directory that it is in.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn text(name: &str) -> Result<String> {
    let path = Path::new(DIRECTORY).join(format!("{name}.md"));
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What a block with a file begins with, before its path.
const SCRIPT: &str = "```python ";

/// Writes the files of a walkthrough.
fn write_scripts(text: &str, place: &Path) -> Result<()> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix(SCRIPT) {
            let script: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            fs::write(place.join(path), script.join("\n"))?;
        }
    }
    Ok(())
}

fn walk(lab: Lab, name: &str) -> Result<()> {
    let text = text(name)?;
    let place = tempfile::tempdir()?;
    write_scripts(&text, place.path())?;
    let lan = lab.lan()?;
    // A port of the switch has the name of its host, and a device name has 15 bytes at most.
    let host = &short(name)[..short(name).len().min(13)];
    let server = lan.host(&format!("{host}-s"), &["10.77.0.1/24"])?;
    let client = lan.host(&format!("{host}-c"), &["10.77.0.2/24"])?;
    let served = Served::start_with(&server, WITH_HUAWEI)?;
    let mut steps = 0;
    for (line, command, expected) in commands(&text) {
        let (prompt, command) = command;
        let host = if prompt == "server" { &server } else { &client };
        let printed =
            run(host, &served, place.path(), &command).with_context(|| format!("{name}.md, line {line}"))?;
        ensure!(
            alike(&expected, &printed),
            "{name}.md, line {line}: {prompt}$ {command}\nprinted:\n{printed}\nexpected:\n{}",
            expected.join("\n")
        );
        steps += 1;
    }
    ensure!(steps > 0, "{name}.md has no commands");
    Ok(())
}

/// Line, host and command, and what it prints.
fn commands(text: &str) -> Vec<(usize, (&str, String), Vec<&str>)> {
    let mut all: Vec<(usize, (&str, String), Vec<&str>)> = Vec::new();
    let (mut inside, mut continued) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        let command = line.split_once("$ ").filter(|(prompt, _)| ["server", "client"].contains(prompt));
        match (command, all.last_mut()) {
            (_, Some((_, (_, command), _))) if continued => {
                command.push('\n');
                command.push_str(line);
            }
            (Some((prompt, command)), _) => all.push((number + 1, (prompt, command.to_owned()), Vec::new())),
            (None, Some((_, _, expected))) => expected.push(line),
            (None, None) => {}
        }
        continued = line.ends_with('\\');
    }
    all
}

fn run(host: &Host, served: &Served<'_>, place: &Path, command: &str) -> Result<String> {
    let clients = clients::installed().map(|clients| format!("{}:", clients.join("python/bin").display()));
    let path = clients.unwrap_or_default() + &std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(place);
    shell.env("PATH", format!("{}:{path}", served.binaries().directory().display()));
    shell.env("SGCTL_SOCKET", served.socket()).env("COLUMNS", "200");
    shell.env("PYTHONDONTWRITEBYTECODE", "1");
    let output = host.spawn(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output = output.wait_with_output()?;
    if output.status.code().is_none() {
        bail!("{command}: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// Whether what was printed is what is expected: line by line, but for spaces at ends and what `…` stands for.
fn alike(expected: &[&str], printed: &str) -> bool {
    let printed: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let expected: Vec<&str> =
        expected.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
    lines(&expected, &printed)
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A line that is `…` stands for any number of lines.
fn lines(expected: &[&str], printed: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=printed.len()).any(|skipped| lines(rest, &printed[skipped..])),
        (Some((wanted, rest)), Some((line, others))) => matches(wanted, line) && lines(rest, others),
        _ => false,
    }
}
