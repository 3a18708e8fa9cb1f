//! What another policy would do to the live flows: which it would end, and which another rule would accept. The rules are those of
//! compiled images, read by the code that the kernel runs, and asked about each flow's first packet as the kernel would ask. It
//! must never change a flow. The native API calls it.

use std::{collections::HashMap, time::Instant};

use sg_agent::{InForce, Instance};
use sg_api_types::{DiffOutcome, FlowImpact, RevokedFlow};
use sg_check::CompiledNic;
use sg_common::{
    flow::{FlowEntry, FlowKey, State, flags},
    packet::{Address, Family},
    verdict::Verdict,
};
use sg_diff::{Finder, Line, Start};
use sg_kernel::Flows;
use sg_model::{Established, Policy};

use crate::{InspectError, flows::CatalogNames};

/// The most flows that are listed.
const LISTED: usize = 10;
/// How many flows are judged between two looks at the clock.
const AT_ONCE: usize = 256;

/// What would be in force.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Lines between what is in force and the policy.
    pub lines: &'a [Line<'a>],
    /// Only flows of the NIC with this device.
    pub nic: Option<&'a str>,
}

/// What `after` would do to the live flows of `instance`, and how many of them are in each of its lines. What is not known at `until`
/// is counted as such.
///
/// # Errors
/// If the tables cannot be read.
pub fn impact(
    instance: &Instance,
    in_force: &InForce,
    after: &After<'_>,
    until: Instant,
) -> Result<(FlowImpact, Vec<usize>), InspectError> {
    let pins = instance.pins();
    let failed = |source| InspectError::Flows { pins: pins.clone(), source };
    let flows = Flows::open(&pins).and_then(|flows| flows.list()).map_err(failed)?;
    Ok(of_flows(&flows, in_force, after, until))
}

fn of_flows(
    flows: &[(FlowKey, FlowEntry)],
    in_force: &InForce,
    &After { policy: after, lines, nic: only }: &After<'_>,
    until: Instant,
) -> (FlowImpact, Vec<usize>) {
    let names = CatalogNames::of(&in_force.catalog);
    let nics: HashMap<u16, (&str, u32)> =
        in_force.catalog.nics.iter().map(|nic| (nic.slot, (nic.device.as_str(), nic.generation))).collect();
    let finder = Finder::new(lines);
    let mut now = in_force.policy.as_deref().map(|policy| Judge::new(policy, until));
    let mut then = Judge::new(after, until);
    let (mut impact, mut in_lines) = (FlowImpact::default(), vec![0; lines.len()]);
    let (mut revoked, mut is_late) = (Vec::new(), false);
    for (key, entry) in flows {
        let Some(&(device, generation)) = nics.get(&key.l4.nic()) else { continue };
        if only.is_some_and(|only| only != device) {
            continue;
        }
        if entry.is_revoked() || entry.state() == State::Closing as u8 {
            continue;
        }
        is_late = is_late || impact.total.is_multiple_of(AT_ONCE) && Instant::now() >= until;
        impact.total += 1;
        if is_late {
            impact.undecided += 1;
            continue;
        }
        let place = finder.find(device, &start(key, entry));
        if let Some(count) = place.and_then(|place| in_lines.get_mut(place)) {
            *count += 1;
        }
        let mut before = Outcome::of_accepted(names.decided(entry));
        if entry.generation != generation
            && let Some(now) = now.as_mut().filter(|now| !now.keeps(device))
        {
            // Judged by an earlier policy: at its next packet, that in force judges it.
            match now.judge(device, key, entry) {
                Some(outcome) if outcome.verdict == Verdict::Accept => before = outcome,
                // What is in force ends it already.
                Some(_) => continue,
                None => {
                    impact.undecided += 1;
                    continue;
                }
            }
        }
        let Some(outcome) = then.judge(device, key, entry) else {
            impact.undecided += 1;
            continue;
        };
        match outcome.verdict {
            Verdict::Accept if then.keeps(device) || outcome == before => {}
            Verdict::Accept => impact.reattributed += 1,
            _ if then.keeps(device) => impact.kept += 1,
            _ => {
                impact.revoked += 1;
                revoked.push(RevokedFlow { flow: names.row(key, entry), after: outcome.written() });
                if revoked.len() >= AT_ONCE {
                    keep_largest(&mut revoked);
                }
            }
        }
    }
    keep_largest(&mut revoked);
    impact.largest = revoked;
    (impact, in_lines)
}

fn keep_largest(revoked: &mut Vec<RevokedFlow>) {
    revoked.sort_by_key(|flow| std::cmp::Reverse(flow.bytes()));
    revoked.truncate(LISTED);
}

/// What decides about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome<'a> {
    verdict: Verdict,
    /// The word of the reason; `None`: there is no filter.
    reason: Option<&'static str>,
    group: Option<&'a str>,
    rule: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    /// That of a flow which these accepted.
    const fn of_accepted((reason, group, rule): (&'static str, Option<&'a str>, Option<&'a str>)) -> Self {
        Self { verdict: Verdict::Accept, reason: Some(reason), group, rule }
    }

    fn written(self) -> DiffOutcome {
        let text = |text: &str| text.to_owned();
        DiffOutcome {
            verdict: text(self.verdict.name()),
            group: self.group.map(text),
            rule: self.rule.map(text),
        }
    }
}

/// Judges flows by a policy, whose images are compiled as they are needed.
struct Judge<'a> {
    policy: &'a Policy,
    /// By device; `None`: it cannot be compiled.
    images: HashMap<String, Option<CompiledNic>>,
    /// No image is compiled afterwards.
    until: Instant,
}

impl<'a> Judge<'a> {
    fn new(policy: &'a Policy, until: Instant) -> Self {
        Self { policy, images: HashMap::new(), until }
    }

    /// Whether a NIC's flows live on whatever the rules are.
    fn keeps(&self, device: &str) -> bool {
        self.policy.nic(device).is_some_and(|nic| nic.established == Established::Keep)
    }

    /// `None`: it cannot be found out.
    fn judge(&mut self, device: &str, key: &FlowKey, entry: &FlowEntry) -> Option<Outcome<'a>> {
        let Some(nic) = self.policy.nic(device) else {
            return Some(Outcome { verdict: Verdict::Accept, reason: None, group: None, rule: None });
        };
        if !self.images.contains_key(device) {
            if Instant::now() >= self.until {
                return None;
            }
            self.images.insert(device.to_owned(), CompiledNic::new(self.policy, nic).ok());
        }
        let compiled = self.images.get(device)?.as_ref()?;
        let either = entry.flags() & flags::EITHER_WAY != 0;
        let result = compiled.judge_flow(key, entry.first, either).ok()?;
        let written = result.written(self.policy);
        Some(Outcome {
            verdict: result.verdict,
            reason: Some(written.reason),
            group: written.group,
            rule: written.rule,
        })
    }
}

/// The first packet of a flow.
fn start(key: &FlowKey, entry: &FlowEntry) -> Start {
    let family = key.l4.family();
    let fields = key.original(entry.first);
    let number = |address: Address| match family {
        Family::V4 => u128::from(address.high as u32),
        Family::V6 => u128::from(address.high) << 64 | u128::from(address.low),
    };
    Start {
        direction: entry.direction(),
        family,
        remote: number(fields.remote),
        local: number(fields.local),
        protocol: key.l4.protocol(),
        source_port: fields.source_port,
        detail: fields.service as u16,
        dscp: fields.dscp,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use sg_agent::{Catalog, GroupNumbers, NicRecord, Numbers, Origin, Outcome as Action, RuleNumber};
    use sg_common::{
        flow::{Direction, First, PortsProtoNic},
        packet::{Packet, protocol::TCP},
        verdict::{Decision, Reason},
    };
    use sg_diff::{Options, compare};
    use sg_kernel::{Attachment, Limits};

    use super::*;

    const GENERATION: u32 = 7;
    const OPEN: &str = "{ id: ssh, protocol: tcp, ports: 22 }, { id: web, protocol: tcp, ports: 80 }";

    fn policy(rules: &str, nics: &str) -> Policy {
        let text = format!("groups: {{ g: {{ ingress: [{rules}] }} }}\nnics: [{nics}]\n");
        parsed(&text)
    }

    fn parsed(text: &str) -> Policy {
        sg_document::parse("policy.yaml", text.as_bytes()).unwrap().policy
    }

    const NIC: &str = "{ device: eth0, groups: [g], addresses: [10.0.0.5] }";

    /// What an agent with the policy [`OPEN`] publishes.
    fn in_force(policy: Policy) -> InForce {
        let limits = Limits { nics: 1, flows: 64, counters: 512, denied: 0 };
        let mut catalog = Catalog::new(limits, Attachment::Auto);
        catalog.nics = Arc::new(vec![NicRecord {
            device: "eth0".to_owned(),
            slot: 0,
            ifindex: Some(2),
            hook: sg_model::Hook::default(),
            generation: GENERATION,
            groups: vec!["g".to_owned()],
            ingress_default: Action::Drop,
            egress_default: Action::Accept,
        }]);
        let rule = |id: &str, number| RuleNumber { id: id.to_owned(), action: Action::Accept, number };
        let group = GroupNumbers {
            name: "g".to_owned(),
            intra_group: None,
            ingress: vec![rule("ssh", 200), rule("web", 201)],
            egress: Vec::new(),
        };
        catalog.numbers = Numbers { groups: vec![group.into()], ..Numbers::default() };
        InForce { policy: Some(Arc::new(policy)), ..InForce::new(catalog, Origin::Store) }
    }

    /// An established flow from 192.0.2.9 to a port, accepted by the rule with this number.
    fn flow(port: u16, number: u32, bytes: u64) -> (FlowKey, FlowEntry) {
        let key = FlowKey {
            remote_high: u32::from_be_bytes([192, 0, 2, 9]).into(),
            local_high: u32::from_be_bytes([10, 0, 0, 5]).into(),
            l4: PortsProtoNic::new((40_000 + port, port), 0, TCP, Family::V4),
            ..FlowKey::default()
        };
        let entry = FlowEntry {
            decision: Decision::new(Verdict::Accept, Reason::Rule, number).word(),
            generation: GENERATION,
            first: First::of(&Packet::EMPTY, Direction::Ingress),
            bytes: [bytes, 1],
            ..FlowEntry::default()
        };
        (key, entry.with_state(State::Established))
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    fn of(flows: &[(FlowKey, FlowEntry)], after: &Policy) -> FlowImpact {
        of_flows(
            flows,
            &in_force(policy(OPEN, NIC)),
            &After { policy: after, lines: &[], nic: None },
            later(),
        )
        .0
    }

    fn counts(impact: &FlowImpact) -> [usize; 5] {
        let FlowImpact { total, revoked, reattributed, kept, undecided, largest: _ } = impact;
        [*total, *revoked, *reattributed, *kept, *undecided]
    }

    #[test]
    fn a_flow_is_revoked_lives_on_or_gets_another_rule() {
        let flows = [flow(22, 200, 10), flow(80, 201, 20)];
        assert_eq!(counts(&of(&flows, &policy(OPEN, NIC))), [2, 0, 0, 0, 0]);
        let after = policy("{ id: other, protocol: tcp, ports: 80 }", NIC);
        let impact = of(&flows, &after);
        assert_eq!(counts(&impact), [2, 1, 1, 0, 0]);
        let [revoked] = &impact.largest[..] else { panic!("{impact:?}") };
        assert_eq!(
            (revoked.flow.local_port, revoked.flow.rule.as_deref(), revoked.bytes()),
            (22, Some("ssh"), 11)
        );
        assert_eq!(
            (revoked.after.verdict.as_str(), &revoked.after.group, &revoked.after.rule),
            ("drop", &None, &None)
        );
        // A NIC that the policy does not have is not filtered.
        assert_eq!(counts(&of(&flows, &policy(OPEN, ""))), [2, 0, 2, 0, 0]);
    }

    #[test]
    fn a_nic_may_keep_what_it_would_not_accept() {
        let flows = [flow(22, 200, 10), flow(80, 201, 20)];
        let rules = "{ id: other, protocol: tcp, ports: 80 }";
        let after =
            parsed(&format!("established: keep\ngroups: {{ g: {{ ingress: [{rules}] }} }}\nnics: [{NIC}]\n"));
        assert_eq!(counts(&of(&flows, &after)), [2, 0, 0, 1, 0]);
    }

    #[test]
    fn what_has_ended_is_no_live_flow() {
        let (key, entry) = flow(22, 200, 10);
        let revoked =
            FlowEntry { decision: Decision::new(Verdict::Drop, Reason::Default, 0).word(), ..entry };
        let closed = entry.with_state(State::Closing);
        let elsewhere = FlowKey { l4: PortsProtoNic::new((1, 22), 9, TCP, Family::V4), ..key };
        let nothing = policy("", NIC);
        let impact = of(&[(key, revoked), (key, closed), (elsewhere, entry)], &nothing);
        assert_eq!(counts(&impact), [0; 5]);
    }

    #[test]
    fn a_flow_that_what_is_in_force_ends_is_not_revoked_by_the_change() {
        let nothing = policy("", NIC);
        // Judged by an earlier policy, which accepted port 23.
        let (key, mut earlier) = flow(23, 200, 1);
        earlier.generation = GENERATION - 1;
        assert_eq!(counts(&of(&[(key, earlier)], &nothing)), [1, 0, 0, 0, 0]);
        // And what is in force accepts, by another rule than that one.
        let (key, mut earlier) = flow(80, 200, 1);
        earlier.generation = GENERATION - 1;
        assert_eq!(counts(&of(&[(key, earlier)], &policy(OPEN, NIC))), [1, 0, 0, 0, 0]);
        assert_eq!(counts(&of(&[(key, earlier)], &nothing)), [1, 1, 0, 0, 0]);
    }

    /// Whose first packet was seen is not known: both directions must accept.
    #[test]
    fn a_connection_that_was_taken_over_lives_while_both_directions_accept() {
        let (key, mut entry) = flow(22, 200, 1);
        let after = |egress: &str| {
            let text =
                format!("groups: {{ g: {{ ingress: [{OPEN}], egress: [{egress}] }} }}\nnics: [{NIC}]\n");
            parsed(&text)
        };
        let refusing = after("{ action: drop, protocol: all }");
        assert_eq!(counts(&of(&[(key, entry)], &refusing)), [1, 0, 0, 0, 0]);
        entry.status |= flags::EITHER_WAY;
        assert_eq!(counts(&of(&[(key, entry)], &refusing)), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn the_largest_are_listed_and_lines_have_their_flows() {
        let flows: Vec<_> =
            (0..1_000).map(|bytes| flow(if bytes < 600 { 22 } else { 80 }, 200, bytes)).collect();
        let (before, after) = (policy(OPEN, NIC), policy("", NIC));
        let difference = compare(&before, &after, Options::default());
        let now = in_force(before.clone());
        let after = After { policy: &after, lines: &difference.lines, nic: None };
        let (impact, in_lines) = of_flows(&flows, &now, &after, later());
        assert_eq!(counts(&impact), [1_000, 1_000, 0, 0, 0]);
        let bytes: Vec<u64> = impact.largest.iter().map(RevokedFlow::bytes).collect();
        assert_eq!(bytes, (991..=1_000).rev().collect::<Vec<_>>());
        assert_eq!(in_lines.iter().sum::<usize>(), 1_000);
        for (line, flows) in difference.lines.iter().zip(&in_lines) {
            let expected = if line.family == Family::V6 { 0 } else { *flows };
            assert_eq!(*flows, expected, "{line:?}");
        }
        // There is no time left.
        let (impact, in_lines) = of_flows(&flows, &now, &after, Instant::now());
        assert_eq!((counts(&impact), in_lines.iter().sum::<usize>()), ([1_000, 0, 0, 0, 1_000], 0));
        // Of one NIC.
        let of = |nic| counts(&of_flows(&flows, &now, &After { nic, ..after }, later()).0);
        assert_eq!([of(Some("eth0")), of(Some("eth1"))], [[1_000, 1_000, 0, 0, 0], [0; 5]]);
    }

    /// Looking at the clock between flows is not enough: a compilation takes as long as many of them.
    #[test]
    fn no_image_is_compiled_after_the_time() {
        let (key, entry) = flow(22, 200, 10);
        let policy = policy(OPEN, NIC);
        let mut late = Judge::new(&policy, Instant::now());
        assert_eq!((late.judge("eth0", &key, &entry), late.images.len()), (None, 0));
        assert!(Judge::new(&policy, later()).judge("eth0", &key, &entry).is_some());
    }
}
