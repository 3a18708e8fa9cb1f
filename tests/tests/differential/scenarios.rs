//! Scenarios put to the judges that need no network: oracle, image, and the programs at tc and XDP in test runs. And what they
//! cover: which judge is asked what, every key of a rule, every file of tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Mutex, PoisonError},
};

use sg_check::{Engine, EngineKind, KernelEngine};
use sg_common::{
    abi::{HOST_COUNTERS, NIC_COUNTERS},
    verdict::{Reason, Verdict},
};
use sg_compile::{ImageOptions, LARGEST_WORDS, compile};
use sg_kernel::{Datapath, Limits, Options, Program};
use sg_model::{Direction, Policy, Role};
use sg_probe::CheckResult;

use crate::{
    hooks::xdp::counted,
    support::{
        runs::Test,
        scenario::{Judge, Scenario, all},
    },
};

pub(crate) const TESTS: &[Test] = &[
    ("each_judge_is_asked_or_there_is_a_reason", each_judge_is_asked_or_there_is_a_reason),
    ("every_key_of_a_rule_has_one", every_key_of_a_rule_has_one),
    ("every_file_of_tests_is_part_of_a_program", every_file_of_tests_is_part_of_a_program),
];

/// The judges of this file.
const JUDGES: [Judge; 4] = [Judge::Oracle, Judge::Image, Judge::Tc, Judge::Xdp];

/// A scenario put to a judge.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) needs_kernel: bool,
    pub(crate) test: Box<dyn FnOnce() + Send>,
}

pub(crate) fn asked() -> impl Iterator<Item = Asked> {
    all().flat_map(|(feature, scenario)| {
        JUDGES.into_iter().filter(|&judge| scenario.why_not(judge).is_none()).map(move |judge| Asked {
            name: format!("{feature}::{}::{judge}", scenario.name),
            needs_kernel: matches!(judge, Judge::Tc | Judge::Xdp),
            test: Box::new(move || ask(scenario, judge)),
        })
    })
}

fn ask(scenario: &Scenario, judge: Judge) {
    for head in scenario.heads {
        for &role in scenario.roles {
            let document = scenario.document(head, role, "nic");
            let policy = sg_document::parse("scenario", document.as_bytes()).unwrap().policy;
            match judge {
                Judge::Oracle => check(scenario, &policy, &mut *EngineKind::Oracle.start(&policy).unwrap()),
                Judge::Image => check(scenario, &policy, &mut *EngineKind::Image.start(&policy).unwrap()),
                Judge::Tc => over_a_datapath(|datapath| {
                    let mut engine = KernelEngine::over(datapath, &policy);
                    check(scenario, &policy, &mut engine);
                    engine.into_datapath()
                }),
                Judge::Xdp if role == Role::Host => {
                    over_a_datapath(|datapath| at_xdp(scenario, &policy, datapath));
                }
                Judge::Xdp => {}
                Judge::Wire | Judge::Nftables => unreachable!("they are asked on the wire"),
            }
        }
    }
}

fn check(scenario: &Scenario, policy: &Policy, engine: &mut dyn Engine) {
    for (probe, expected) in scenario.probes(policy).unwrap() {
        let result = engine.check(&probe).unwrap();
        assert_eq!(result.written(policy).to_string(), expected, "{probe}, {:?}", probe.direction());
    }
}

/// Loading takes longer than any of them: a datapath goes from one scenario to the next. One whose test failed is not given back.
fn over_a_datapath(work: impl FnOnce(Datapath) -> Datapath) {
    static IDLE: Mutex<Vec<Datapath>> = Mutex::new(Vec::new());
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = idle().pop();
    let limits = Limits { nics: 4, flows: 64, counters: 1 << 10, denied: 64 };
    let datapath =
        taken.unwrap_or_else(|| Datapath::load(&Options { limits, ..Options::default() }).unwrap());
    let back = work(datapath);
    idle().push(back);
}

/// The program at XDP notes no decision: which counter moves says what it was.
fn at_xdp(scenario: &Scenario, policy: &Policy, mut datapath: Datapath) -> Datapath {
    const RULES: u32 = HOST_COUNTERS + NIC_COUNTERS;
    let mut deciders = Vec::new();
    let options = ImageOptions { generation: 1, counters: HOST_COUNTERS, budget_words: LARGEST_WORDS };
    let image = compile(policy, &policy.nics()[0], &options, &mut |decider| {
        deciders.push(decider);
        RULES + deciders.len() as u32 - 1
    })
    .unwrap();
    datapath.publish(0, &image).unwrap();
    datapath.stand_in(0).unwrap();
    for (probe, expected) in scenario.probes(policy).unwrap() {
        if probe.direction() != Direction::Ingress {
            continue;
        }
        let frame = probe.frame(None);
        let (outcome, moved) = counted(&mut datapath, Program::Xdp, &frame, 0, HOST_COUNTERS).unwrap();
        let [(number, counter)] = moved[..] else { panic!("{probe}: {moved:?}") };
        assert_eq!(counter.packets, 1, "{probe}");
        // Whether the sender of a rejected one is told shows on the wire only.
        let dropped = if expected.starts_with("reject") { Verdict::Reject } else { Verdict::Drop };
        let verdict = if outcome.passed { Verdict::Accept } else { dropped };
        let result = if let Some(place) = number.checked_sub(RULES) {
            CheckResult::of(deciders[place as usize], verdict)
        } else {
            let reason = (number - HOST_COUNTERS) % (NIC_COUNTERS / 2);
            CheckResult::without_policy(verdict, Reason::try_from(reason as u8).unwrap())
        };
        assert_eq!(result.written(policy).to_string(), expected, "{probe}");
    }
    datapath
}

/// Prints what is asked of whom.
fn each_judge_is_asked_or_there_is_a_reason() {
    let mut names = BTreeSet::new();
    let mut reasons = BTreeMap::<&str, usize>::new();
    let mut asked = BTreeMap::<Judge, usize>::new();
    println!("{:80}{}", "scenario", Judge::ALL.map(|judge| format!("{judge:9}")).concat());
    for (feature, scenario) in all() {
        let cells = Judge::ALL.map(|judge| match scenario.why_not(judge) {
            None => {
                *asked.entry(judge).or_default() += 1;
                "yes".to_owned()
            }
            Some(why) => {
                assert!(
                    !why.is_empty(),
                    "{feature}::{}: {judge} is not asked, and there is no reason",
                    scenario.name
                );
                let next = reasons.len() + 1;
                format!("({})", reasons.entry(why).or_insert(next))
            }
        });
        let name = format!("{feature}::{}", scenario.name);
        println!("{name:80}{}", cells.map(|cell| format!("{cell:9}")).concat());
        assert!(names.insert(name), "{feature}::{} is there twice", scenario.name);
        assert!(!scenario.packets.is_empty() && !scenario.heads.is_empty() && !scenario.roles.is_empty());
    }
    let mut reasons: Vec<_> = reasons.into_iter().map(|(why, number)| (number, why)).collect();
    reasons.sort_unstable();
    for (number, why) in reasons {
        println!("({number}) {why}");
    }
    for judge in Judge::ALL {
        let asked = asked.get(&judge).copied().unwrap_or(0);
        assert!(asked * 10 >= names.len() * 8, "{judge} is asked {asked} of {} scenarios", names.len());
    }
}

/// A key that matches packets and is in no scenario would not be asked of every judge.
fn every_key_of_a_rule_has_one() {
    // They name a rule, and decide nothing.
    const NAMES: [&str; 2] = ["id", "description"];
    let page = include_str!("../../../docs/use/policy.md");
    let (_, section) = page.split_once("\n## Rules\n").unwrap();
    let table =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let keys: Vec<&str> = table.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert!(keys.contains(&"protocol") && keys.contains(&"local"), "{keys:?}");
    for key in keys.into_iter().filter(|key| !NAMES.contains(key)) {
        let written = format!(" {key}: ");
        assert!(
            all().any(|(_, scenario)| scenario.policy.contains(&written)),
            "no scenario has a rule with {key}"
        );
    }
}

/// A file that no program names would never run.
fn every_file_of_tests_is_part_of_a_program() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let entries = |path: &str| {
        let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let (programs, folders): (Vec<_>, Vec<_>) =
        entries(root).into_iter().partition(|name| name.contains('.'));
    let mut named = BTreeSet::new();
    for program in &programs {
        let mut folder = "";
        let text = fs::read_to_string(format!("{root}/{program}")).unwrap();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
                folder = name;
            } else if let Some(name) = line.strip_prefix("    pub(crate) mod ") {
                named.insert(format!("{folder}/{}", name.trim_end_matches(';')));
            }
        }
    }
    let files = folders.iter().flat_map(|folder| {
        let mut names = entries(&format!("{root}/{folder}"));
        // Scripts are read by tests.
        names.retain(|name| std::path::Path::new(name).extension().is_none_or(|kind| kind != "py"));
        names.into_iter().map(move |name| format!("{folder}/{}", name.trim_end_matches(".rs")))
    });
    assert_eq!(files.collect::<BTreeSet<_>>(), named);
    assert!(programs.len() == 7 && named.len() > 80, "{programs:?}, {} files", named.len());
}
