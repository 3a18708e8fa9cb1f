//! `cargo xtask test --mutations`: mutations of a copy of the tree, each of which a test must find.
//!
//! A mutation is a patch in `tests/mutations`. Lines before the patch say `what:` it brings back, and by what it is
//! `found:`: a package, a test of it (`lib`: those of its library), and optionally a filter. That test is built from the copy with the mutation, and must fail.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    path,
    prerequisite::Stage,
    privilege::Privilege,
    receiver::SEED,
    setup, shell,
    steps::{Outcome, Steps},
    toolchain::Rustc,
};

const PATCHES: &str = "tests/mutations";
/// The package whose test drives the agent.
const RECEIVER: &str = "sg-receiver";
/// The tests in a package's library, instead of one of its tests.
const LIB: &str = "lib";

struct Mutation {
    name: String,
    patch: PathBuf,
    what: String,
    /// The test that finds it, and its filter.
    found: Vec<String>,
}

/// Applies the mutations whose names begin with one of `chosen`, or all, one after the other. The receiver must find its
/// mutations with each of the seeds.
pub(crate) fn run(chosen: &[String], seeds: &[u64]) -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Run, Stage::Test], &rustc, privilege)?;
    privilege.acquire()?;
    let mut mutations = mutations()?;
    for name in chosen {
        let known = mutations.iter().any(|mutation| mutation.name.starts_with(name));
        ensure!(known, "no mutation in {PATCHES} is called {name}");
    }
    mutations
        .retain(|mutation| chosen.is_empty() || chosen.iter().any(|name| mutation.name.starts_with(name)));
    let seeds = if seeds.is_empty() { &[SEED] } else { seeds };

    let directory = shell::target_dir()?.join("mutations");
    let copy = Copy { tree: directory.join("tree"), build: directory.join("build") };
    copy.make()?;
    let mut steps = Steps::default();
    for mutation in &mutations {
        steps.run(&mutation.name, || {
            println!("    {}", mutation.what);
            let found =
                copy.apply(mutation).and_then(|()| copy.find(mutation, seeds, privilege, &rustc.host));
            copy.restore(mutation)?;
            found.map(|()| Outcome::Passed)
        });
    }
    steps.finish()
}

fn mutations() -> Result<Vec<Mutation>> {
    let mut mutations = Vec::new();
    for entry in fs::read_dir(PATCHES).with_context(|| format!("cannot read {PATCHES}"))? {
        let patch = entry?.path();
        if patch.extension().is_some_and(|extension| extension == "patch") {
            mutations.push(Mutation::read(patch)?);
        }
    }
    mutations.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutations)
}

impl Mutation {
    fn read(patch: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&patch)?;
        let name =
            patch.file_stem().and_then(|stem| stem.to_str()).context("a patch without a name")?.to_owned();
        Self::parse(name, patch, &text)
    }

    fn parse(name: String, patch: PathBuf, text: &str) -> Result<Self> {
        let said = |word: &str| {
            let head = text.lines().take_while(|line| !line.starts_with("diff "));
            let mut lines = head.filter_map(|line| line.strip_prefix(word));
            lines
                .next()
                .map(|rest| rest.trim().to_owned())
                .with_context(|| format!("{name} does not say `{word}`"))
        };
        let found = said("found:")?.split(' ').map(str::to_owned).collect();
        Ok(Self { what: said("what:")?, found, name, patch })
    }
}

/// The copy of the tree.
struct Copy {
    tree: PathBuf,
    build: PathBuf,
}

impl Copy {
    /// Creates it, or restores it: unchanged files are not built again.
    fn make(&self) -> Result<()> {
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let files =
            shell::read(&mut list).context("cannot list the files of this repository with `git ls-files`")?;
        let files: BTreeSet<&Path> =
            files.split('\0').filter(|file| !file.is_empty()).map(Path::new).collect();
        files.iter().try_for_each(|file| self.take(file))?;
        self.remove_others(&self.tree, &files)
    }

    fn take(&self, file: &Path) -> Result<()> {
        let to = self.tree.join(file);
        // A file that git knows may have been removed.
        let Ok(bytes) = fs::read(file) else { return Ok(()) };
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        if let Some(directory) = to.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(file, &to).map(drop).with_context(|| format!("cannot copy {}", file.display()))
    }

    fn remove_others(&self, directory: &Path, files: &BTreeSet<&Path>) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.remove_others(&path, files)?;
            } else if !files.contains(path.strip_prefix(&self.tree)?) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn apply(&self, mutation: &Mutation) -> Result<()> {
        let patch = fs::canonicalize(&mutation.patch)?;
        // The copy is not part of the repository that contains it.
        let mut apply = Command::new("git");
        apply.arg("apply").arg(patch).current_dir(&self.tree).env("GIT_CEILING_DIRECTORIES", &self.tree);
        apply.env("GIT_DIR", "/dev/null");
        shell::run_quietly(&mut apply).with_context(|| format!("{} does not apply", mutation.name))
    }

    fn restore(&self, mutation: &Mutation) -> Result<()> {
        let text = fs::read_to_string(&mutation.patch)?;
        text.lines()
            .filter_map(|line| line.strip_prefix("+++ b/"))
            .try_for_each(|file| self.take(Path::new(file)))
    }

    fn cargo(&self, subcommand: &str, packages: &[&str]) -> Command {
        let mut cargo = shell::cargo(subcommand);
        cargo.args(packages.iter().flat_map(|package| ["--package", package]));
        // Nobody debugs it, and without debug information it links faster.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        cargo
    }

    /// Builds the test that must find the mutation, runs it, and prints the message that reveals the mutation.
    fn find(&self, mutation: &Mutation, seeds: &[u64], privilege: Privilege, host: &str) -> Result<()> {
        let [package, test, filter @ ..] = &mutation.found[..] else {
            bail!("{} is found by a package, a test and a filter", mutation.name)
        };
        let is_receiver = package == RECEIVER;
        let mut packages = vec![package.as_str()];
        let mut bins: &[&str] = &[];
        if is_receiver {
            packages.extend(["sgd", "sgctl"]);
            bins = &["--bin", "sgd", "--bin", "sgctl"];
        }
        let target: &[&str] = if test == LIB { &["--lib"] } else { &["--test", test] };
        shell::run(self.cargo("build", &packages).args(bins).args(target))?;
        // Only the receiver's test is random.
        let seeds = if is_receiver { seeds } else { &[SEED] };
        for seed in seeds {
            let mut tests = self.cargo("test", &packages);
            tests
                .args(target)
                .env("SG_BIN_DIR", self.build.join("debug"))
                .env("SG_RECEIVER_FIRST", "1")
                .env("SG_RECEIVER_SEED", seed.to_string());
            let path = path::of(&[Stage::Run, Stage::Test], "test")?;
            privilege.run_built_as_root(&mut tests, host, &path);
            tests.arg("--").args(filter);
            let start = Instant::now();
            let output = tests.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?.wait_with_output()?;
            let took = start.elapsed().as_secs();
            let said = String::from_utf8_lossy(&output.stdout);
            let log = self.tree.with_file_name(format!("{}-{seed}.log", mutation.name));
            fs::write(&log, said.as_bytes())?;
            ensure!(!output.status.success(), "nothing found it in {took} s, seed {seed}");
            let found = if is_receiver { summary(&said) } else { failure(&said) };
            let found = found.with_context(|| {
                format!("the test failed, but not because it found something: {}", log.display())
            })?;
            println!("    {found}\n    all of it took {took} s");
        }
        Ok(())
    }
}

/// The first test that failed, as libtest names it.
fn failure(said: &str) -> Option<String> {
    let mut tests = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    tests.next().map(|test| format!("found by {test}"))
}

/// The first failed case, in the receiver's words: which one, what is wrong, and when.
fn summary(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let frames = |line: &str| line.strip_prefix("found after ")?.split(' ').next()?.parse::<u64>().ok();
    let (_, at) = lines.iter().enumerate().filter_map(|(at, line)| Some((frames(line)?, at))).min()?;
    let before = |is_it: &dyn Fn(&str) -> bool| lines[..at].iter().rev().find(|line| is_it(line));
    let case = before(&|line| line.contains("seed ") && line.contains(", case "))?;
    let wrong = before(&|line| line.starts_with("wrong: "))?;
    Some([*case, *wrong, lines[at]].join("\n    "))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::{Mutation, PATCHES, failure, summary};

    /// A mutation whose place in the code has changed can no longer be applied, which nobody notices until it is run by name.
    #[test]
    fn every_patch_applies_to_this_tree() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let mut patches = 0;
        for entry in fs::read_dir(format!("{root}/{PATCHES}")).unwrap() {
            let patch = entry.unwrap().path();
            if patch.extension().is_none_or(|extension| extension != "patch") {
                continue;
            }
            let mut git = Command::new("git");
            // As in `apply`: whether this is a repository, and whose, does not matter.
            git.args(["apply", "--check"]).arg(&patch).current_dir(root).env("GIT_DIR", "/dev/null");
            let output = git.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", patch.display());
            patches += 1;
        }
        assert!(patches > 20, "only {patches} patches");
    }

    #[test]
    fn a_patch_says_what_it_brings_back_and_who_finds_it() {
        let text =
            "what: ports beyond the end\nfound: sg-receiver receiver tcx\n\ndiff --git a/x b/x\nwhat: no\n";
        let mutation = Mutation::parse("ports".into(), "ports.patch".into(), text).unwrap();
        assert_eq!(
            (mutation.what.as_str(), &mutation.found[..]),
            ("ports beyond the end", &["sg-receiver".to_owned(), "receiver".into(), "tcx".into()][..])
        );
        assert!(Mutation::parse("ports".into(), "ports.patch".into(), "what: no\ndiff\n").is_err());
    }

    #[test]
    fn what_was_found_first_is_told() {
        let of = |combination: &str, case: u64, frames: u64| {
            format!(
                "{combination}, policy Few: seed 3, case {case}: whole from 10.0.0.1 to 192.0.2.2\n  frame 00\n  \
                 wrong: Arrived(NoRule): raw socket\n  found after {frames} frames, 0.5 s\n"
            )
        };
        let said = of("tcx_host_ingress", 4, 900) + &of("clsact_host_egress", 5, 31);
        let found = summary(&said).unwrap();
        assert!(found.starts_with("clsact_host_egress, policy Few: seed 3, case 5"), "{found}");
        assert!(
            found.contains("Arrived(NoRule)") && found.ends_with("found after 31 frames, 0.5 s"),
            "{found}"
        );
        // It failed for another reason.
        assert_eq!(summary("test tcx_host_ingress ... FAILED\na mark did not arrive\n"), None);
    }

    #[test]
    fn the_test_that_failed_is_told() {
        let said = "test one ... ok\ntest clock::two ... FAILED\ntest three ... FAILED\n";
        assert_eq!(failure(said).as_deref(), Some("found by clock::two"));
        assert_eq!(failure("error: could not compile\n"), None);
    }
}
