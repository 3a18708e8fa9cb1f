//! The evaluation itself: from what a NIC does without rules to the default.

use std::{collections::HashMap, rc::Rc};

use sg_common::verdict::{Reason, Verdict};
use sg_model::{Action, Decider, Direction, GroupIndex, Nic, Policy, Remote, Role, Rule, RuleIndex};
use sg_probe::{CheckResult, Probe};

use super::{addresses::AddressSet, exceptions, guest, matching};

/// Judges packets by the rules of a policy as they are written.
///
/// The order of evaluation and the members of groups are looked up once and cached; nothing else is prepared.
#[derive(Debug)]
pub struct Oracle<'a> {
    policy: &'a Policy,
    orders: HashMap<(usize, Direction), Rc<Order<'a>>>,
    groups: HashMap<GroupIndex, Rc<AddressSet>>,
    prefix_lists: HashMap<sg_model::PrefixListIndex, Rc<AddressSet>>,
}

/// Everything that can decide a packet of one NIC and one direction, in order.
#[derive(Debug)]
pub(super) struct Order<'a> {
    /// The groups whose members are accepted before any rule, with their members.
    pub(super) intra_groups: Vec<(GroupIndex, Rc<AddressSet>)>,
    /// The rules, with the addresses of the group or prefix list that their remote refers to.
    pub(super) rules: Vec<(RuleIndex, &'a Rule, Option<Rc<AddressSet>>)>,
    /// The default, if nothing matched.
    pub(super) default: Action,
}

impl<'a> Oracle<'a> {
    /// Creates an oracle for `policy`.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, orders: HashMap::new(), groups: HashMap::new(), prefix_lists: HashMap::new() }
    }

    /// Judges `probe`: the verdict, and what decided. The probe's NIC must be of the oracle's policy; unknown NICs drop.
    #[must_use]
    pub fn judge(&mut self, probe: &Probe) -> CheckResult {
        let policy = self.policy;
        let Some(nic) = policy.nics().get(probe.nic()) else {
            return CheckResult::without_policy(Verdict::Drop, Reason::NoNic);
        };
        if let Some(result) = before_rules(nic, probe) {
            return result;
        }
        let order = self.order(probe.nic(), nic, probe.direction());
        if let Some((group, _)) = order.intra_groups.iter().find(|(_, set)| set.contains(probe.remote())) {
            return CheckResult::of(Decider::IntraGroup(*group), Verdict::Accept);
        }
        let matching = order
            .rules
            .iter()
            .find(|(_, rule, named)| matching::mismatch(policy, rule, named.as_deref(), probe).is_none());
        match matching {
            Some((index, rule, _)) => CheckResult::of(Decider::Rule(*index), rule.action.into()),
            None => CheckResult::of(Decider::Default(probe.direction()), order.default.into()),
        }
    }

    pub(super) const fn policy(&self) -> &'a Policy {
        self.policy
    }

    pub(super) fn order(&mut self, position: usize, nic: &Nic, direction: Direction) -> Rc<Order<'a>> {
        if let Some(order) = self.orders.get(&(position, direction)) {
            return Rc::clone(order);
        }
        let effective = self.policy.effective(nic, direction);
        let order = Rc::new(Order {
            intra_groups: effective.intra_groups.iter().map(|&group| (group, self.members(group))).collect(),
            rules: effective
                .rules
                .into_iter()
                .map(|(index, rule)| (index, rule, self.named(rule.matches.remote)))
                .collect(),
            default: effective.default,
        });
        self.orders.insert((position, direction), Rc::clone(&order));
        order
    }

    fn members(&mut self, group: GroupIndex) -> Rc<AddressSet> {
        let members = || Rc::new(self.policy.members(group).into_iter().collect());
        Rc::clone(self.groups.entry(group).or_insert_with(members))
    }

    fn named(&mut self, remote: Remote) -> Option<Rc<AddressSet>> {
        match remote {
            Remote::Any | Remote::Net(_) => None,
            Remote::Group(group) => Some(self.members(group)),
            Remote::PrefixList(list) => {
                let prefixes = || Rc::new(self.policy.prefixes(list).iter().copied().collect());
                Some(Rc::clone(self.prefix_lists.entry(list).or_insert_with(prefixes)))
            }
        }
    }
}

/// The verdict of a NIC that does not depend on its groups.
pub(super) fn before_rules(nic: &Nic, probe: &Probe) -> Option<CheckResult> {
    let guarded = probe.direction() == Direction::Egress && nic.anti_spoofing();
    if guarded && let Some(reason) = guest::never(probe) {
        return Some(CheckResult::without_policy(Verdict::Drop, reason));
    }
    let foreign = guarded && guest::is_foreign(probe.source(), nic);
    let may_ask = !foreign || guest::asks_for_itself(probe.source(), nic);
    if may_ask && exceptions::is_dhcp(probe, nic) {
        return Some(CheckResult::without_policy(Verdict::Accept, Reason::Dhcp));
    }
    if foreign {
        return Some(CheckResult::without_policy(Verdict::Drop, Reason::AntiSpoofing));
    }
    // Inbound from an address of the NIC itself: nobody else has it. If a guest's addresses come from the device, they are the
    // host's.
    let source = probe.source();
    let named = nic.role == Role::Host || !nic.addresses_from_device;
    let own = probe.direction() == Direction::Ingress && named && nic.addresses.contains(&source);
    let spoofed = own && !nic.accept_own_source && !source.is_multicast() && !source.is_unspecified();
    spoofed.then(|| CheckResult::without_policy(Verdict::Drop, Reason::OwnSource))
}
