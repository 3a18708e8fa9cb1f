//! Scenarios put to the judges that need a network: `sgd` on a router, over each way to attach, as the NIC of a host and as that of
//! a guest, whose counters must move as the packets are expected to; and nftables on another router.
//!
//! A router serves one scenario after the other: its policy is empty in between, and with its NIC go its flows.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use sg_common::packet::ethertype;
use sg_model::{Direction, Policy, Role};
use sg_probe::Probe;
use sg_tests::{
    lab::{Agent, Attach, Counter, Lab, Stats, until},
    packet::checksum,
};

use crate::{
    differential::{
        judges::{self, nft},
        packet::LAST,
        rig::{INNER, OUTER, Rig, Sent, number_of},
    },
    support::{
        scenario::{Judge, Nftables, Scenario, all},
        suite::Suite,
    },
};

/// Adds each scenario, as a test of its feature.
pub(crate) fn tests(suite: &mut Suite) {
    for (feature, scenario) in all() {
        suite.feature(feature);
        if scenario.why_not(Judge::Wire).is_none() {
            for &role in scenario.roles {
                let (name, ways): (_, &'static [Attach]) = match role {
                    Role::Host => ("host", &Attach::RECEIVED),
                    Role::Guest => ("guest", &Attach::ALL),
                };
                suite.over(ways, &format!("{}::{name}", scenario.name), move |lab, attach| {
                    through_sgd(lab, attach, role, scenario)
                });
            }
        }
        if let Nftables::Rules { inbound, outbound } = scenario.nftables {
            suite.when(&format!("{}::nftables", scenario.name), judges::missing(), move |lab| {
                through_nftables(lab, scenario, [inbound, outbound])
            });
        }
    }
}

const NOTHING: &str = "nics: []\nallow_unfiltered: [outer, inner]\n";

/// A router with an agent.
struct Filtered {
    rig: Rig,
    agent: Agent,
}

/// By the way to attach and the role.
static FILTERED: [Mutex<Option<Filtered>>; 6] = [const { Mutex::new(None) }; 6];
static RULED: Mutex<Option<Rig>> = Mutex::new(None);

/// Takes what there is, or makes it. If the test fails it is not given back, and the next one makes another.
fn take<T>(
    place: &Mutex<Option<T>>,
    make: impl FnOnce() -> Result<T>,
) -> Result<(T, MutexGuard<'_, Option<T>>)> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = place.take();
    Ok((taken.map_or_else(make, Ok)?, place))
}

fn through_sgd(lab: Lab, attach: Attach, role: Role, scenario: &Scenario) -> Result<()> {
    let place =
        &FILTERED[Attach::RECEIVED.iter().position(|way| *way == attach).unwrap_or(0) * 2 + role as usize];
    let (mut filtered, mut back) = take(place, || {
        let rig = Rig::new(lab)?;
        let agent = Agent::start(&rig.router, NOTHING, attach.into())?;
        Ok(Filtered { rig, agent })
    })?;
    let device = match (role, attach) {
        (Role::Host, Attach::Xdp) => format!("{OUTER}, hook: xdp"),
        (Role::Host, _) => OUTER.to_owned(),
        (Role::Guest, _) => INNER.to_owned(),
    };
    for head in scenario.heads {
        let document = scenario.document(head, role, &device);
        filtered.agent.apply(&document)?;
        let policy = parsed(&document)?;
        judged_by_sgd(&filtered, scenario, &policy).with_context(|| document)?;
        filtered.agent.apply(NOTHING)?;
    }
    *back = Some(filtered);
    Ok(())
}

fn judged_by_sgd(filtered: &Filtered, scenario: &Scenario, policy: &Policy) -> Result<()> {
    let Filtered { rig, agent } = filtered;
    let probes = scenario.probes(policy)?;
    let mut counted = BTreeMap::<Counter, u64>::new();
    for (probe, expected) in &probes {
        *counted.entry(counter(expected, probe.direction(), &policy.nics()[0].device)?).or_default() += 1;
    }
    let frames = frames(rig, &probes);
    let passes: Vec<bool> = probes.iter().map(|(_, expected)| expected.starts_with("accept ")).collect();
    let before = agent.stats()?;
    // What moved is said if it never is what is expected.
    let mut moved = BTreeMap::new();
    let arrived = rig.carry_expected(&frames, &passes, || {
        until("the counters have moved as expected", || {
            moved = relevant(&agent.stats()?, &before);
            Ok(moved == counted)
        })
        .with_context(|| format!("expected {counted:?}"))
    });
    let arrived = arrived.with_context(|| format!("moved: {moved:?}"))?;
    same(&probes, &arrived, &passes)
}

/// What moved, without what a router says of itself and how often senders were told.
fn relevant(after: &Stats, before: &Stats) -> BTreeMap<Counter, u64> {
    const OTHER: [&str; 4] = ["arp", "neighbour-discovery", "reject-sent", "reject-rate-limited"];
    let is_other = |counter: &Counter| matches!(counter, Counter::Reason { reason, .. } if OTHER.contains(&reason.as_str()));
    after.moved_since(before).into_iter().filter(|(counter, _)| !is_other(counter)).collect()
}

/// The counter of a result in words.
fn counter(expected: &str, direction: Direction, device: &str) -> Result<Counter> {
    let (_, by) = expected.split_once(" by ").context("no reason")?;
    let nic = device.to_owned();
    let direction = match direction {
        Direction::Ingress => "ingress".to_owned(),
        Direction::Egress => "egress".to_owned(),
    };
    Ok(match by.split_once(" of group ") {
        Some(("intra-group", group)) => Counter::IntraGroup(group.to_owned()),
        Some((rule, group)) => {
            let rule = rule.strip_prefix("rule ").context("no rule")?.to_owned();
            Counter::Rule { group: group.to_owned(), rule }
        }
        None if by == "default" => Counter::Default { nic, direction },
        None => Counter::Reason { nic, direction, reason: by.to_owned() },
    })
}

fn through_nftables(lab: Lab, scenario: &Scenario, [inbound, outbound]: [&str; 2]) -> Result<()> {
    let (rig, mut back) = take(&RULED, || Rig::new(lab))?;
    // All packets are first packets: there is nothing to track.
    let ruleset = format!(
        "flush ruleset
table inet scenario {{
  chain inbound {{
{inbound}
drop
  }}
  chain outbound {{
{outbound}
drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    meta l4proto {LAST} accept
    iifname \"{OUTER}\" goto inbound
    iifname \"{INNER}\" goto outbound
  }}
}}
"
    );
    nft(&rig.router, &["-f", "-"], &ruleset)?;
    let policy = parsed(&scenario.document(scenario.heads[0], scenario.roles[0], "nic"))?;
    let probes = scenario.probes(&policy)?;
    let passes: Vec<bool> = probes.iter().map(|(_, expected)| expected.starts_with("accept ")).collect();
    let arrived = rig.carry(&frames(&rig, &probes))?;
    same(&probes, &arrived, &passes).context(ruleset)?;
    *back = Some(rig);
    Ok(())
}

fn parsed(document: &str) -> Result<Policy> {
    Ok(sg_document::parse("scenario", document.as_bytes())?.policy)
}

fn same(probes: &[(Probe, &str)], arrived: &[bool], passes: &[bool]) -> Result<()> {
    for (((probe, expected), arrived), passes) in probes.iter().zip(arrived).zip(passes) {
        ensure!(
            arrived == passes,
            "{probe}, {:?}: expected {expected}, arrived: {arrived}",
            probe.direction()
        );
    }
    Ok(())
}

/// The probes as frames of this rig, with the numbers of their places where [`crate::differential::packet::number`] looks.
fn frames(rig: &Rig, probes: &[(Probe, &str)]) -> Vec<Sent> {
    let frame = |(place, (probe, _)): (usize, &(Probe, &str))| {
        let mut frame = probe.frame(None).to_vec();
        let [from, to] = rig.links(probe.direction());
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&from);
        let number = number_of(place).to_be_bytes();
        if frame[12..14] == ethertype::IPV4.to_be_bytes() {
            frame[18..20].copy_from_slice(&number);
            frame[24..26].fill(0);
            let sum = checksum(&frame[14..34]).to_be_bytes();
            frame[24..26].copy_from_slice(&sum);
        } else {
            frame[16..18].copy_from_slice(&number);
        }
        (probe.direction(), frame)
    };
    probes.iter().enumerate().map(frame).collect()
}
