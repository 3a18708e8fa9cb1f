//! One engine against the oracle, and what is left of a policy when everything that does not matter to a
//! disagreement is taken away.

use std::fmt;

use sg_check::{Engine, EngineError, EngineKind, KernelEngine, OracleEngine};
use sg_kernel::Datapath;
use sg_model::{Direction, GroupIndex, Policy, PolicyParts};
use sg_probe::{CheckResult, Probe};
use sg_tests::generate::Generator;

use crate::support::runs::{AskedOf, COMPARED, Test};

pub(crate) const ASKED: &[AskedOf] = &[("agrees_with_the_oracle", COMPARED, agrees)];
pub(crate) const TESTS: &[Test] = &[("the_oracle_agrees_with_itself", of_the_comparison)];

fn agrees(engine: EngineKind) {
    match run(Opponent::honest(engine), Size::from_environment()) {
        Ok(probes) => println!("{engine} agreed with the oracle on {probes} probes"),
        Err(disagreement) => panic!("{disagreement}"),
    }
}

/// The oracle agrees with the oracle.
fn of_the_comparison() {
    let size = Size { policies: 50, probes: 100 };
    assert_eq!(run(Opponent::honest(EngineKind::Oracle), size).unwrap(), 5_000);
}

/// How much is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) policies: u64,
    pub(crate) probes: usize,
}

impl Size {
    pub(crate) fn from_environment() -> Self {
        match std::env::var_os("SG_DEEP") {
            Some(_) => Self { policies: 10_000, probes: 110 },
            None => Self { policies: 2_000, probes: 100 },
        }
    }
}

/// Who is compared with the oracle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opponent {
    pub(crate) engine: EngineKind,
    /// Changes the policy before the opponent, and only the opponent, sees it: that makes any engine wrong in
    /// one known way.
    pub(crate) spoil: fn(&mut PolicyParts),
}

impl Opponent {
    pub(crate) fn honest(engine: EngineKind) -> Self {
        Self { engine, spoil: |_| {} }
    }
}

/// Two results for one probe.
#[derive(Debug)]
pub(crate) struct Disagreement {
    seed: u64,
    opponent: EngineKind,
    probe: Probe,
    parts: PolicyParts,
    expected: CheckResult,
    pub(crate) found: Result<CheckResult, EngineError>,
}

/// Compares over seeds from 0. Returns how many probes were agreed on.
pub(crate) fn run(opponent: Opponent, size: Size) -> Result<usize, Box<Disagreement>> {
    over(
        opponent,
        (0..size.policies).map(|seed| {
            let mut generator = Generator::new(seed);
            let parts = generator.parts();
            let probes = generator.probes(&Policy::new(parts.clone()).unwrap(), size.probes);
            (seed, parts, probes)
        }),
    )
}

/// Compares over policies, each with the seed that it is of. Returns how many probes were agreed on.
pub(crate) fn over(
    opponent: Opponent,
    policies: impl IntoIterator<Item = (u64, PolicyParts, Vec<Probe>)>,
) -> Result<usize, Box<Disagreement>> {
    let mut agreed = 0;
    let mut datapath = None;
    for (seed, parts, probes) in policies {
        if let Some(disagreement) = compare(opponent, &mut datapath, seed, &parts, &probes) {
            return Err(Box::new(shrunk(opponent, &mut datapath, disagreement)));
        }
        agreed += probes.len();
    }
    Ok(agreed)
}

/// The first of `probes` over which the two disagree. The program is loaded once for all policies, into `datapath`.
fn compare(
    opponent: Opponent,
    datapath: &mut Option<Datapath>,
    seed: u64,
    parts: &PolicyParts,
    probes: &[Probe],
) -> Option<Disagreement> {
    let mut spoiled = parts.clone();
    (opponent.spoil)(&mut spoiled);
    let (policy, spoiled) = (Policy::new(parts.clone()).ok()?, Policy::new(spoiled).ok()?);
    let mut oracle = OracleEngine::new(&policy);
    let mut first_difference = |engine: &mut dyn Engine| {
        probes.iter().find_map(|&probe| {
            let expected = oracle.check(&probe).unwrap();
            let found = engine.check(&probe);
            if found.as_ref().is_ok_and(|found| *found == expected) {
                return None;
            }
            let (opponent, parts) = (opponent.engine, parts.clone());
            Some(Disagreement { seed, opponent, probe, parts, expected, found })
        })
    };
    if opponent.engine != EngineKind::Kernel {
        return first_difference(&mut *opponent.engine.start(&spoiled).unwrap());
    }
    let loaded = datapath.take().unwrap_or_else(|| KernelEngine::datapath().unwrap());
    let mut engine = KernelEngine::over(loaded, &spoiled);
    let difference = first_difference(&mut engine);
    *datapath = Some(engine.into_datapath());
    difference
}

/// Takes away rules, members and groups, one by one, as long as the two still disagree.
fn shrunk(
    opponent: Opponent,
    datapath: &mut Option<Datapath>,
    mut disagreement: Disagreement,
) -> Disagreement {
    loop {
        let seed = disagreement.seed;
        let smaller = reductions(&disagreement.parts)
            .find_map(|parts| compare(opponent, datapath, seed, &parts, &[disagreement.probe]));
        match smaller {
            Some(smaller) => disagreement = smaller,
            None => return disagreement,
        }
    }
}

/// `parts` with one thing less. What is left keeps its name; what a probe names by position stays in place.
fn reductions(parts: &PolicyParts) -> impl Iterator<Item = PolicyParts> {
    let less = |change: &dyn Fn(&mut PolicyParts)| {
        let mut smaller = parts.clone();
        change(&mut smaller);
        smaller
    };
    let mut all = Vec::new();
    for (position, group) in parts.groups.iter().enumerate() {
        for rule in 0..group.ingress.len() {
            all.push(less(&|parts| _ = parts.groups[position].ingress.remove(rule)));
        }
        for rule in 0..group.egress.len() {
            all.push(less(&|parts| _ = parts.groups[position].egress.remove(rule)));
        }
        if parts.members.contains_key(&GroupIndex(position)) {
            all.push(less(&|parts| _ = parts.members.remove(&GroupIndex(position))));
        }
    }
    for (position, nic) in parts.nics.iter().enumerate() {
        for group in 0..nic.groups.len() {
            // A NIC without groups is no policy; such parts are skipped where policies are made of them.
            all.push(less(&|parts| _ = parts.nics[position].groups.remove(group)));
        }
        for address in 0..nic.addresses.len() {
            all.push(less(&|parts| _ = parts.nics[position].addresses.remove(address)));
        }
    }
    all.into_iter()
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, opponent, probe, parts, expected, found } = self;
        writeln!(f, "oracle and {opponent} disagree, seed {seed}")?;
        writeln!(f, "probe:  {probe} over {}", parts.nics[probe.nic()].device)?;
        writeln!(f, "oracle: {expected:?}")?;
        match found {
            Ok(found) => writeln!(f, "{opponent}: {found:?}")?,
            Err(error) => writeln!(f, "{opponent}: no result: {error}")?,
        }
        writeln!(f, "the policy, as small as it could be made:")?;
        let nic = &parts.nics[probe.nic()];
        writeln!(f, "{nic:?}")?;
        for &group in &nic.groups {
            let found = &parts.groups[group.0];
            writeln!(f, "{} ({:?}, inner access {})", found.name, found.kind, found.inner_access)?;
            for rule in found.rules(probe.direction()) {
                writeln!(f, "  {rule:?}")?;
            }
        }
        let other = probe.direction().reversed();
        let elsewhere: usize = nic.groups.iter().map(|group| parts.groups[group.0].rules(other).len()).sum();
        if elsewhere > 0 {
            let word = if other == Direction::Ingress { "ingress" } else { "egress" };
            writeln!(f, "and {elsewhere} {word} rules, which matter too")?;
        }
        writeln!(f, "members: {:?}", parts.members)?;
        writeln!(f, "prefix lists: {:?}", parts.prefix_lists)?;
        write!(f, "port lists: {:?}", parts.port_lists)
    }
}
