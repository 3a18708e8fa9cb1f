//! What it costs to find the packets that two policies judge differently: by kind of policy, number of rules and number of edits.
//! Lines are printed. Not by criterion: some of these take a second.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use fastrand::Rng;
use sg_benches::{Figure, Plan, Unit, cloud};
use sg_diff::{Difference, Options, compare};
use sg_model::{Action, Direction, End, Expectation, Family, Over, Packets, Policy, PolicyParts, Rule};
use sg_tests::generate::Shape;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 5);
/// Edits: that many rules removed, added, or changed in their action or priority.
const EDITS: [usize; 4] = [1, 10, 100, 1_000];

fn main() {
    let Some(plan) = Plan::from_env(&["diff"]) else { return };
    for (rules, size) in [(1_000, "1k"), (10_000, "10k")] {
        let all = cloud::rules(2 * rules);
        let (these, others) = all.split_at(rules);
        let [before, other] = [these, others].map(parsed);
        for edits in EDITS.into_iter().filter(|edits| *edits < rules) {
            measure(&plan, &format!("cloud-{size}/{edits}"), &before, &edited(&before, edits));
        }
        measure(&plan, &format!("cloud-{size}/unrelated"), &before, &other);
        measure_tests(&plan, &format!("tests-{size}"), &before);
        for shape in [Shape::AccessList, Shape::Firewall] {
            if plan.quick && rules > 1_000 {
                continue;
            }
            let parts = shape.parts(&mut Rng::with_seed(1), Direction::Ingress, Family::V4, rules);
            let before = Policy::new(parts).expect("the parts are valid");
            for edits in EDITS.into_iter().filter(|edits| *edits < 1_000) {
                let name = format!("{}-{size}/{edits}", shape.name());
                measure(&plan, &name, &before, &edited(&before, edits));
            }
            let other = shape.parts(&mut Rng::with_seed(2), Direction::Ingress, Family::V4, rules);
            let other = Policy::new(other).expect("the parts are valid");
            measure(&plan, &format!("{}-{size}/unrelated", shape.name()), &before, &other);
        }
    }
}

/// A thousand tests, all of which hold: of what single rules accept, and of a port that none does.
fn expectations(policy: &Policy) -> Vec<Expectation> {
    let group = policy.groups().iter().max_by_key(|group| group.ingress.len()).expect("there are groups");
    let rules = group.ingress.iter().filter(|rule| rule.action == Action::Accept).cycle();
    rules
        .take(1_000)
        .enumerate()
        .map(|(number, rule)| {
            let mut service = rule.matches.clone();
            let is_closed = number % 2 == 0;
            if is_closed {
                service = sg_model::Match::of(sg_model::Protocol::Number(47));
            }
            let packets = Packets {
                over: Over::Every,
                direction: Some(Direction::Ingress),
                family: Some(Family::V4),
                remote: End { of: vec![rule.matches.remote], not_of: Vec::new() },
                local: End::default(),
                services: vec![service],
            };
            let action = if is_closed { Action::Drop } else { Action::Accept };
            Expectation { packets, action, rule: None }
        })
        .collect()
}

fn measure_tests(plan: &Plan, name: &str, policy: &Policy) {
    let name = format!("diff/{name}");
    if !plan.wants(&name) {
        return;
    }
    let tests = expectations(policy);
    let mut least = Duration::MAX;
    let mut failed = 0;
    for _ in 0..plan.rounds(20, 3) {
        let start = Instant::now();
        let tested = sg_diff::test(policy, &tests, Duration::from_mins(1));
        least = least.min(start.elapsed());
        failed = tested.failed.len();
    }
    println!("{name}: {failed} of {} tests fail", tests.len());
    plan.record(&Figure::new(name, least.as_secs_f64() * 1e3, Unit::Milliseconds));
}

fn parsed(rules: &[cloud::Rule]) -> Policy {
    let document = cloud::document(rules, "eth0", LOCAL);
    sg_document::parse("cloud", document.as_bytes()).expect("the document is valid").policy
}

/// The policy with so many edits, anywhere in its first group that has rules.
fn edited(policy: &Policy, edits: usize) -> Policy {
    let mut parts: PolicyParts = policy.clone().into_parts();
    let mut random = Rng::with_seed(edits as u64);
    let group = parts.groups.iter_mut().max_by_key(|group| group.ingress.len()).expect("there are groups");
    let rules: &mut Vec<Rule> = &mut group.ingress;
    for number in 0..edits {
        let place = random.usize(..rules.len());
        match number % 4 {
            0 => {
                rules[place].action = match rules[place].action {
                    Action::Accept => Action::Drop,
                    Action::Drop | Action::Reject => Action::Accept,
                };
            }
            1 => drop(rules.remove(place)),
            2 => {
                let other = rules[random.usize(..rules.len())].clone();
                let id = format!("added-{number}");
                rules[place].priority = other.priority;
                rules.insert(place, Rule { id, ..other });
            }
            _ => rules[place].matches.remote = rules[random.usize(..rules.len())].matches.remote,
        }
    }
    Policy::new(parts).expect("it is still valid")
}

fn measure(plan: &Plan, name: &str, before: &Policy, after: &Policy) {
    let name = format!("diff/{name}");
    if !plan.wants(&name) {
        return;
    }
    let mut least = Duration::MAX;
    let mut lines = 0;
    for _ in 0..plan.rounds(20, 3) {
        let start = Instant::now();
        let Difference { lines: found, undecided } = compare(before, after, Options::default());
        let took = start.elapsed();
        if !undecided.is_empty() {
            // Nobody reads a figure of what was not finished.
            let rules: usize = undecided.iter().map(|one| one.changed.len()).sum();
            println!(
                "{name}: {} lines in {} ms, and not known for {rules} changed rules: no time or memory",
                found.len(),
                took.as_millis()
            );
            return;
        }
        (least, lines) = (least.min(took), found.len());
        if took > Duration::from_secs(2) {
            break;
        }
    }
    println!("{name}: {lines} lines");
    plan.record(&Figure::new(name, least.as_secs_f64() * 1e3, Unit::Milliseconds));
}
