//! Lint of valid rules: rules that decide nothing or are not needed, and rules that let many addresses in. `sg-diff` finds them, by
//! the packets that they match. Lint changes nothing. The native API calls it.

use std::{
    collections::{BTreeMap, HashMap},
    thread,
    time::{Duration, Instant},
};

use sg_api_types::{Finding, FindingKind, Severity};
use sg_common::packet::protocol::is_extension_header;
use sg_diff::{By, Kind};
use sg_host::parallel::parallel_map;
use sg_model::{DeviceFacts, GroupIndex, Nic, Policy, Precedence};
use sg_records::{Action, GroupId, Protocol, Rule, RuleId};

use super::{
    Refusal, State,
    project::{ProjectError, group_of, policy_for, policy_of_groups},
};

/// The rules to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All groups, each by itself.
    All,
    /// One group by itself.
    Group(String),
    /// All groups of a NIC together, in its order.
    Nic(String),
}

/// How long it may take. What was not looked at until then is said.
const TIME: Duration = Duration::from_secs(3);

/// Checks rules and returns the findings.
///
/// # Errors
/// If the scope names an object that does not exist.
pub fn lint(state: &State, scope: &Scope) -> Result<Vec<Finding>, Refusal> {
    let until = Instant::now() + TIME;
    let unenforceable = |error: ProjectError| Refusal::Unenforceable { reason: error.to_string() };
    let (groups, mut findings) = match scope {
        Scope::All => {
            let groups: Vec<&GroupId> = state.groups().keys().collect();
            let policy = policy_of_groups(state, &groups).map_err(unenforceable)?;
            (groups, of_groups(&policy, until))
        }
        Scope::Group(group) => {
            let groups = vec![&state.find_group(group)?.id];
            let policy = policy_of_groups(state, &groups).map_err(unenforceable)?;
            (groups, of_groups(&policy, until))
        }
        Scope::Nic(nic) => {
            let nic = state.find_target(nic)?;
            let policy = policy_for(state, nic, |_| DeviceFacts::default()).map_err(unenforceable)?;
            let of_nic = |nic: &Nic| shown(sg_diff::lint(&policy, nic, sg_diff::Scope::Nic, until), group_of);
            (nic.groups.iter().collect(), policy.nics().iter().flat_map(of_nic).collect())
        }
    };
    let rules = groups.into_iter().flat_map(|group| state.rules_of(group)).filter(|rule| rule.spec.enabled);
    findings.extend(rules.filter_map(|rule| extension_header(rule)));
    findings.sort_by(order);
    Ok(findings)
}

/// Checks the rules of a policy that comes from no store, in which groups and rules have their own names. Nothing is found of what it
/// does not have.
#[must_use]
pub fn lint_policy(policy: &Policy, scope: &Scope) -> Vec<Finding> {
    let until = Instant::now() + TIME;
    let found = match scope {
        Scope::All => sg_diff::lint_all(policy, until),
        Scope::Group(name) => {
            let index = policy.groups().iter().position(|group| group.name == *name).map(GroupIndex);
            let lint = |index| sg_diff::lint(policy, &alone(index), sg_diff::Scope::Groups, until);
            index.map_or_else(Vec::new, lint)
        }
        Scope::Nic(device) => {
            let lint = |nic| sg_diff::lint(policy, nic, sg_diff::Scope::Nic, until);
            policy.nic(device).map_or_else(Vec::new, lint)
        }
    };
    let mut findings = shown(found, |name| GroupId::from(name.to_owned()));
    findings.sort_by(order);
    findings
}

/// The findings about each group of a policy by itself.
fn of_groups(policy: &Policy, until: Instant) -> Vec<Finding> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let found = parallel_map(policy.groups().len(), threads, |jobs| {
        let of = |job: usize| {
            let found = sg_diff::lint(policy, &alone(GroupIndex(job)), sg_diff::Scope::Groups, until);
            (job, shown(found, group_of))
        };
        jobs.map(of).collect()
    });
    in_each_part(policy, found.concat())
}

/// The findings about rules of groups of which the policy has several parts, once: only what is found in each part is found of the
/// rule. That a rule was not looked at is, wherever it was not.
fn in_each_part(policy: &Policy, findings: Vec<Finding>) -> Vec<Finding> {
    let mut parts: HashMap<&str, usize> = HashMap::new();
    let rules = policy.groups().iter().flat_map(|group| group.ingress.iter().chain(&group.egress));
    rules.for_each(|rule| *parts.entry(rule.id.as_str()).or_default() += 1);
    let mut found: BTreeMap<(FindingKind, RuleId), usize> = BTreeMap::new();
    let mut last_one = |finding: &Finding| {
        let found = found.entry((finding.kind, finding.rule.clone())).or_default();
        *found += 1;
        let needed = match finding.kind {
            FindingKind::Undecided => 1,
            _ => parts.get(finding.rule.as_str()).copied().unwrap_or(1),
        };
        *found == needed
    };
    findings.into_iter().filter(|finding| last_one(finding)).collect()
}

/// A NIC that has this group only.
fn alone(group: GroupIndex) -> Nic {
    Nic { precedence: Precedence::Merged, ..Nic::new("", [group]) }
}

fn order(one: &Finding, other: &Finding) -> std::cmp::Ordering {
    let key = |finding: &Finding| (finding.severity, finding.kind);
    key(one).cmp(&key(other)).then_with(|| (&one.group, &one.rule).cmp(&(&other.group, &other.rule)))
}

fn shown(found: Vec<sg_diff::Finding<'_>>, group_of: impl Fn(&str) -> GroupId) -> Vec<Finding> {
    let shown = found.into_iter().map(|finding| {
        let accepts = finding.action == Action::Accept;
        let (severity, kind) = match finding.kind() {
            Kind::OverOpen => (Severity::High, FindingKind::OverOpen),
            Kind::Shadowed if accepts => (Severity::Medium, FindingKind::Shadowed),
            Kind::Shadowed => (Severity::High, FindingKind::Shadowed),
            Kind::Redundant => (Severity::Low, FindingKind::Redundant),
            Kind::Undecided => (Severity::Low, FindingKind::Undecided),
        };
        let by = finding.others().filter_map(|by| match by {
            By::Rule { group: _, rule } => Some(RuleId::from(rule.to_owned())),
            By::Reason(_) | By::Group(_) | By::Default | By::Unfiltered => None,
        });
        // Groups have ids in the policy of a store.
        let called = |name: &str| Some(group_of(name).to_string());
        Finding {
            severity,
            kind,
            rule: RuleId::from(finding.rule.to_owned()),
            group: group_of(finding.group),
            by: by.collect(),
            message: finding.words(&called),
        }
    });
    shown.collect()
}

fn extension_header(rule: &Rule) -> Option<Finding> {
    let Protocol::Number(number) = rule.spec.matches.protocol else { return None };
    is_extension_header(number).then(|| Finding {
        severity: Severity::Medium,
        kind: FindingKind::ExtensionHeader,
        rule: rule.id.clone(),
        group: rule.group.clone(),
        by: Vec::new(),
        message: format!(
            "protocol {number} is an extension header of IPv6: this matches IPv4 packets only, those of IPv6 have the \
             protocol that stands behind it"
        ),
    })
}
