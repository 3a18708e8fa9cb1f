//! `cargo xtask clients`: the vendors' own clients, for testing the APIs that they were made for with what people use.
//!
//! Owns two directories below the target directory: a Python environment and an npm one, with exactly the packages of the lists
//! in `tests/clients`, and Ansible's collections in the former. Does nothing if they have those already. Never touches the Python or npm of the user.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    prerequisite::Stage, privilege::Privilege, programs::PYTHON_WITH_VENV, setup, shell, stamp::Stamp,
    toolchain::Rustc,
};

/// The lists, and the scripts that use the packages.
const SOURCES: &str = "tests/clients";

/// `cargo xtask clients`.
pub(crate) fn run() -> Result<()> {
    setup::ready(&[Stage::Clients], &Rustc::ask()?, Privilege::detect())?;
    let directory = bring()?;
    println!("the clients are in {}; {SOURCES}/README.md says how they are used", directory.display());
    Ok(())
}

/// Creates both environments, or leaves them unchanged. Returns their directory.
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
    let collections = sources.join("collections.txt");
    // An environment belongs to the Python that created it.
    let version = shell::read(Command::new("python3").args(PYTHON_WITH_VENV)).unwrap_or_default();
    let stamp = Stamp::of(environment, &[&build, &requirements, &collections], &version)?;
    if stamp.is_there() {
        return Ok(());
    }
    shell::announce("installing the Python clients (a minute or two, 340 MB)");
    stamp.begin()?;
    shell::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
    let pip = |command: &str, list: &Path, options: &[&str]| {
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", command, "--quiet", "--disable-pip-version-check"]);
        // The lists are complete, and have a hash for every file.
        pip.args(["--no-deps", "--require-hashes"]).args(options).arg("--requirement").arg(list);
        shell::run_quietly(&mut pip)
    };
    pip("install", &build, &[])?;
    // Source packages are built with the tools that `build` lists, not with the newest ones.
    pip("install", &requirements, &["--no-build-isolation"])?;
    let downloaded = environment.join("collections");
    pip("download", &collections, &["--dest", &downloaded.to_string_lossy()])?;
    let mut unpack = Command::new(environment.join("bin/python"));
    unpack.args(["-c", UNPACK]).arg(&downloaded).args(COLLECTIONS);
    shell::run_quietly(&mut unpack)?;
    fs::remove_dir_all(&downloaded).with_context(|| format!("cannot remove {}", downloaded.display()))?;
    stamp.end()
}

/// The collections that are unpacked of the hundred that are published as one.
const COLLECTIONS: [&str; 2] =
    ["ansible_collections/community/general/", "ansible_collections/openstack/cloud/"];

/// Unpacks the parts of what is in a directory to where the packages are.
const UNPACK: &str = "
import pathlib, sys, sysconfig, zipfile
directory, *parts = sys.argv[1:]
for file in pathlib.Path(directory).glob('*.whl'):
    wheel = zipfile.ZipFile(file)
    names = [name for name in wheel.namelist() if name.startswith(tuple(parts))]
    wheel.extractall(sysconfig.get_path('purelib'), names)
";

fn node(sources: &Path, environment: &Path) -> Result<()> {
    let files = ["package.json", "package-lock.json"].map(|name| sources.join(name));
    let stamp = Stamp::of(environment, &[&files[0], &files[1]], "")?;
    if stamp.is_there() {
        return Ok(());
    }
    shell::announce("installing the JavaScript clients (half a minute, 90 MB)");
    stamp.begin()?;
    for file in &files {
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, environment.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    // The only script among them is for Node.js 12 and older, and would install more than the list names.
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    shell::run_quietly(Command::new("npm").args(options).current_dir(environment))?;
    stamp.end()
}
