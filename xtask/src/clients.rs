//! `cargo xtask clients`: the vendor's own clients, for trying the ECS-compatible API with what people use.
//!
//! Owns two directories below the target directory: a Python environment and an npm one, with exactly what the lists
//! in `tests/clients` name. Does nothing where they hold that already. Never touches the Python or npm of the user.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    privilege::Privilege,
    setup, shell,
    stamp::Stamp,
    toolchain::Rustc,
    version::Version,
};

/// Where the lists are, and the scripts that use what they name.
const SOURCES: &str = "tests/clients";
/// Debian 12's; the lists are made for it and later ones.
const PYTHON: Version = Version(3, 11, 0);
/// Debian 12's.
const NODE: Version = Version(18, 0, 0);

/// `cargo xtask clients`.
pub(crate) fn run() -> Result<()> {
    setup::ready(&[Stage::Clients], &Rustc::ask()?, Privilege::detect())?;
    let directory = bring()?;
    println!("the clients are in {}; {SOURCES}/README.md says how they are used", directory.display());
    Ok(())
}

/// Makes both environments, or leaves them as they are. Answers where they are.
pub(crate) fn bring() -> Result<PathBuf> {
    let directory = shell::target_dir()?.join("clients");
    let sources = Path::new(SOURCES);
    python(sources, &directory.join("python"))?;
    node(sources, &directory.join("node"))?;
    Ok(directory)
}

fn python(sources: &Path, environment: &Path) -> Result<()> {
    let build = sources.join("requirements-build.txt");
    let requirements = sources.join("requirements.txt");
    // An environment belongs to the Python that made it.
    let version = shell::read(&mut python_with_venv()).unwrap_or_default();
    let stamp = Stamp::of(environment, &[&build, &requirements], &version)?;
    if stamp.is_there() {
        return Ok(());
    }
    shell::announce("installing the Python clients (a minute or two, 190 MB)");
    stamp.begin()?;
    shell::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    let pip = |list: &Path, options: &[&str]| {
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        // Both lists are complete, and name the content of every file.
        pip.args(["--no-deps", "--require-hashes"]).args(options).arg("--requirement").arg(list);
        shell::run_quietly(&mut pip)
    };
    pip(&build, &[])?;
    // What is built from source is built with what `build` names, not with what is newest today.
    pip(&requirements, &["--no-build-isolation"])?;
    stamp.end()
}

fn node(sources: &Path, environment: &Path) -> Result<()> {
    let files = ["package.json", "package-lock.json"].map(|name| sources.join(name));
    let stamp = Stamp::of(environment, &[&files[0], &files[1]], "")?;
    if stamp.is_there() {
        return Ok(());
    }
    shell::announce("installing the JavaScript clients (half a minute, 60 MB)");
    stamp.begin()?;
    for file in &files {
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, environment.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    // The one script among them is for Node.js 12 and older, and would install more than the list names.
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    shell::run_quietly(Command::new("npm").args(options).current_dir(environment))?;
    stamp.end()
}

/// What installing and running the clients needs.
pub(crate) fn prerequisites() -> [Prerequisite; 3] {
    let python = asked(&mut python_with_venv(), PYTHON, "no `python3` that can make environments");
    let node = asked(Command::new("node").arg("--version"), NODE, "no `node`");
    let npm = match shell::find("npm") {
        Some(npm) => State::Ok(npm.display().to_string()),
        None => State::Missing("no `npm`".into()),
    };
    [
        prerequisite("Python with venv", python, &["python3", "python3-venv"]),
        prerequisite("Node.js", node, &["nodejs"]),
        prerequisite("npm", npm, &["npm"]),
    ]
}

/// Debian's Python has `venv` without what it puts into an environment, unless python3-venv is installed.
fn python_with_venv() -> Command {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, platform, venv; print(platform.python_version())"]);
    python
}

fn asked(command: &mut Command, least: Version, absent: &str) -> State {
    match shell::read(command).map(|text| (Version::parse(text.trim_start_matches('v')), text)) {
        Some((Some(version), text)) if version >= least => State::Ok(text.trim().to_owned()),
        Some((_, text)) => State::TooOld(format!("{}, {least} or newer is needed", text.trim())),
        None => State::Missing(absent.to_owned()),
    }
}

fn prerequisite(name: &'static str, state: State, packages: &[&str]) -> Prerequisite {
    // The packages of this system are what is here already.
    let remedy = match &state {
        State::TooOld(_) => Remedy::ByHand(format!("put a newer {name} first in PATH")),
        State::Ok(_) | State::Missing(_) => Remedy::packages(packages),
    };
    Prerequisite { name, stage: Stage::Clients, state, remedy }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{NODE, State, asked};
    use crate::version::Version;

    #[test]
    fn a_version_is_enough_or_too_old_or_missing() {
        let print = |text: &str| asked(Command::new("echo").arg(text), NODE, "none");
        assert_eq!(print("v20.20.2"), State::Ok("v20.20.2".into()));
        assert!(matches!(print("v12.22.12"), State::TooOld(_)));
        assert_eq!(
            asked(&mut Command::new("false"), Version(1, 0, 0), "none"),
            State::Missing("none".into())
        );
    }
}
