//! Files or bytes → a policy.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sg_model::{Direction, Expectation, GroupIndex, Place, Policy, RuleIndex};

use super::{
    blame::node_of,
    error::{DocumentError, Fault, Notice, Warning},
    guard::{Guard, KeptProbe, Unread},
    limits::MAX_BYTES,
    lower::{Lowered, lower},
    node::Node,
    place::{KeyPath, Position, Step},
    problem::Problem,
    read::{Failure, Failures},
    source,
    yaml::{self, BrokenText},
};

/// A parsed document.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The policy of the document.
    pub policy: Policy,
    /// What the document says about changes to it.
    pub guard: Guard,
    /// Its tests. Nobody has asked yet whether they hold.
    pub tests: Vec<Expectation>,
    /// Warnings, in the order in which they were found.
    pub warnings: Vec<Warning>,
    file: String,
    /// Of the tests.
    places: Vec<TestPlace>,
    /// Of the rules.
    rules: Vec<(RuleIndex, Position)>,
    /// What was read, for the lines of tests that fail; empty if there are none.
    text: String,
}

/// Where a test is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TestPlace {
    at: Position,
    path: KeyPath,
}

impl Loaded {
    /// Where a test is: `policy.yaml:12:5: tests[2]`.
    #[must_use]
    pub fn test_place(&self, test: usize) -> String {
        let Some(TestPlace { at, path }) = self.places.get(test) else { return self.file.clone() };
        format!("{}:{at}: {path}", self.file)
    }

    /// The document after its tests were asked. `failed`: the places of those that do not hold, in order, and why. `idle`: of
    /// those of which no packet is.
    ///
    /// # Errors
    /// If one does not hold: the document must be refused.
    pub fn tested(
        mut self,
        failed: impl IntoIterator<Item = (usize, String)>,
        idle: impl IntoIterator<Item = usize>,
    ) -> Result<Self, DocumentError> {
        let mut failed = failed.into_iter();
        let faults = failed.by_ref().take(Failures::MOST).filter_map(|(place, why)| {
            let TestPlace { at, path } = self.places.get(place)?.clone();
            let problem = Problem::FailingTest(why).into();
            Some(Fault { at: Some(at), path, problem, line: None })
        });
        let mut faults: Vec<Fault> = faults.collect();
        source::add_lines(&self.text, &mut faults);
        if !faults.is_empty() {
            return Err(DocumentError { file: self.file, faults, more: failed.next().is_some() });
        }
        let warnings = idle.into_iter().take(Failures::MOST).filter_map(|place| {
            let TestPlace { at, path } = self.places.get(place)?.clone();
            Some(Warning { file: self.file.clone(), at, path, notice: Notice::IdleTest })
        });
        self.warnings.extend(warnings);
        Ok(self)
    }

    /// The document after all its rules were looked at. What lint finds is known of each, in words; it stands for the warnings that
    /// came of reading about rules that never decide.
    #[must_use]
    pub fn linted(mut self, findings: impl IntoIterator<Item = (RuleIndex, String)>) -> Self {
        self.warnings.retain(|warning| {
            !matches!(warning.notice, Notice::NeverDecides { .. } | Notice::NotAllCompared)
        });
        let mut findings = findings.into_iter();
        let warnings = findings.by_ref().take(Failures::MOST).filter_map(|(rule, words)| {
            let known =
                self.rules.binary_search_by_key(&key_of_rule(rule), |(rule, _)| key_of_rule(*rule)).ok()?;
            let at = self.rules.get(known)?.1;
            let group = self.policy.group(rule.group).name.clone();
            let keys = ["groups", &group, rule.direction.name()].map(|key| Step::Key(key.to_owned()));
            let path = KeyPath(keys.into_iter().chain([Step::Item(rule.position)]).collect());
            Some(Warning { file: self.file.clone(), at, path, notice: Notice::Lint(words) })
        });
        let warnings: Vec<Warning> = warnings.collect();
        let at = warnings.last().map(|last| last.at);
        self.warnings.extend(warnings);
        let count = findings.count();
        if let Some(at) = at.filter(|_| count > 0) {
            let path = KeyPath::default();
            self.warnings.push(Warning { file: self.file.clone(), at, path, notice: Notice::More { count } });
        }
        self
    }
}

/// The order of rules in a document.
fn key_of_rule(rule: RuleIndex) -> (usize, bool, usize) {
    (rule.group.0, rule.direction == Direction::Egress, rule.position)
}

/// The places of all rules, in order.
fn rules_of(root: &Node, policy: &Policy) -> Vec<(RuleIndex, Position)> {
    let groups = policy.groups().iter().enumerate();
    let rules = groups.flat_map(|(group, of)| {
        [Direction::Ingress, Direction::Egress].into_iter().flat_map(move |direction| {
            let all = 0..of.rules(direction).len();
            all.map(move |position| RuleIndex { group: GroupIndex(group), direction, position })
        })
    });
    rules.filter_map(|rule| Some((rule, node_of(root, &Place::Rule(rule))?.at))).collect()
}

/// The places of tests.
fn places_of(root: &Node, nodes: &[&Node]) -> Vec<TestPlace> {
    let placed = root.paths(nodes).into_iter().zip(nodes);
    placed.map(|(path, node)| TestPlace { at: node.at, path }).collect()
}

/// Loads the document in a file, or in a pipe.
///
/// # Errors
/// If the file cannot be read or is too large, or [`parse`] refuses its bytes.
pub fn load(path: &Path) -> Result<Loaded, DocumentError> {
    parse(&path.display().to_string(), &read(path)?)
}

/// Reads the bytes of the document in a file, or in a pipe: never more than [`MAX_BYTES`], and without waiting for a writer to
/// open the pipe.
///
/// # Errors
/// If the file cannot be read or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, DocumentError> {
    read_opened(path, OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path))
}

/// Like [`read`], for a file that the caller opened, or failed to open; errors call it `path`. It must have been opened without
/// blocking.
///
/// # Errors
/// If the file cannot be read or is too large.
pub fn read_opened(path: &Path, file: io::Result<File>) -> Result<Vec<u8>, DocumentError> {
    contents(file).map_err(|problem| {
        DocumentError::one(path.display().to_string(), None, KeyPath::default(), problem.into())
    })
}

fn contents(file: io::Result<File>) -> Result<Vec<u8>, Problem> {
    let cannot = Problem::Unreadable;
    let mut file = file.map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    if metadata.len() > MAX_BYTES {
        return Err(Problem::TooLarge { size: metadata.len(), more: false });
    }
    // Opening must not block; reading waits for a pipe that has a writer.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).map_err(|error| cannot(error.into()))?;
    // The length is unknown for pipes, and may change for files that are being written.
    let mut bytes = Vec::new();
    let size = read_at_most(&mut file, MAX_BYTES + 1, &mut bytes).map_err(cannot)?;
    if size > MAX_BYTES { Err(Problem::TooLarge { size: MAX_BYTES, more: true }) } else { Ok(bytes) }
}

fn read_at_most(file: &mut File, most: u64, bytes: &mut Vec<u8>) -> io::Result<u64> {
    file.take(most).read_to_end(bytes).map(|size| size as u64)
}

/// Parses a document. `name` is what errors and warnings call it.
///
/// Time and memory are bounded for any bytes.
///
/// # Errors
/// All its faults; those of YAML itself one at a time.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Loaded, DocumentError> {
    let fail = |BrokenText { at, path, problem }| DocumentError::one(name.to_owned(), at, path, problem);
    let text = text(bytes).map_err(fail)?;
    let with_lines = |mut error: DocumentError| {
        source::add_lines(text, &mut error.faults);
        error
    };
    let root = yaml::read(text).map_err(|broken| with_lines(fail(broken)))?;
    match lower(&root) {
        Ok(Lowered { policy, mut guard, keep, tests, warnings }) => {
            guard.keep = kept(name, &root, keep);
            let nodes: Vec<_> = warnings.iter().map(|&(node, _)| node).collect();
            let warnings = root
                .paths(&nodes)
                .into_iter()
                .zip(warnings)
                .map(|(path, (node, notice))| Warning { file: name.to_owned(), at: node.at, path, notice });
            let (nodes, tests): (Vec<_>, Vec<_>) = tests.into_iter().unzip();
            Ok(Loaded {
                warnings: warnings.collect(),
                guard,
                places: places_of(&root, &nodes),
                rules: rules_of(&root, &policy),
                policy,
                text: if tests.is_empty() { String::new() } else { text.to_owned() },
                tests,
                file: name.to_owned(),
            })
        }
        Err(failures) => {
            let error = DocumentError {
                file: name.to_owned(),
                more: failures.len() >= Failures::MOST,
                faults: faults(&root, failures),
            };
            Err(with_lines(error))
        }
    }
}

/// The packets to keep, with their places.
fn kept(name: &str, root: &Node, keep: Unread<'_>) -> Vec<KeptProbe> {
    let nodes: Vec<_> = keep.iter().map(|&(node, _)| node).collect();
    let paths = root.paths(&nodes).into_iter();
    let kept = paths.zip(keep).map(|(path, (node, line))| {
        let place = format!("{name}:{}: {path}", node.at);
        KeptProbe { place, line }
    });
    kept.collect()
}

/// The faults of a tree, in the order of the document. What an alias repeats is one fault.
fn faults(root: &Node, failures: Vec<Failure<'_>>) -> Vec<Fault> {
    let nodes: Vec<_> = failures.iter().map(|failure| failure.node).collect();
    let paths = root.paths(&nodes).into_iter();
    let faults = failures.into_iter().zip(paths).map(|(Failure { node, problem }, path)| {
        let unknown = matches!(*problem, Problem::UnknownKey { .. });
        let path = if unknown { path.in_plain_words() } else { path };
        Fault { at: Some(node.at), path, problem, line: None }
    });
    let mut faults: Vec<Fault> = faults.collect();
    // A stable sort: two faults of one value keep their order.
    faults.sort_by_key(|fault| fault.at);
    faults.dedup_by(|b, a| a.at == b.at && a.problem.to_string() == b.problem.to_string());
    faults
}

/// The bytes as text, without the byte order mark that some editors put at its beginning.
fn text(bytes: &[u8]) -> Result<&str, BrokenText> {
    let broken = |at, problem: Problem| BrokenText { at, path: KeyPath::default(), problem: problem.into() };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(broken(None, Problem::TooLarge { size: bytes.len() as u64, more: false }));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        // What is before the offset is UTF-8.
        let before = str::from_utf8(&bytes[..offset]).unwrap_or_default();
        broken(Some(Position::after(before)), Problem::NotUtf8 { offset })
    })?;
    if let Some(offset) = text.find('\0') {
        return Err(broken(Some(Position::after(&text[..offset])), Problem::Nul { offset }));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
