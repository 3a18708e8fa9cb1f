//! The result of a probe, and its output formats.

use std::fmt;

use serde::Serialize;
use sg_common::verdict::{Reason, Verdict};
use sg_model::{Decider, GroupIndex, Policy, RuleIndex, whole_group};

/// The verdict on a packet, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// Accept, drop or reject.
    pub verdict: Verdict,
    /// The reason for the verdict.
    pub reason: Reason,
    /// The group of the rule, or the group whose member the remote is.
    pub group: Option<GroupIndex>,
    /// The rule that matched.
    pub rule: Option<RuleIndex>,
}

impl CheckResult {
    /// The result for a decider of the policy.
    #[must_use]
    pub const fn of(decider: Decider, verdict: Verdict) -> Self {
        match decider {
            Decider::IntraGroup(group) => {
                Self { verdict, reason: Reason::IntraGroup, group: Some(group), rule: None }
            }
            Decider::Rule(rule) => {
                Self { verdict, reason: Reason::Rule, group: Some(rule.group), rule: Some(rule) }
            }
            Decider::Default(_) => Self::without_policy(verdict, Reason::Default),
        }
    }

    /// The result if no group and no rule decided.
    #[must_use]
    pub const fn without_policy(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason, group: None, rule: None }
    }

    /// The result with names from `policy`, for output as JSON or in words.
    #[must_use]
    pub fn written(self, policy: &Policy) -> WrittenResult<'_> {
        WrittenResult {
            verdict: self.verdict.name(),
            reason: self.reason.name(),
            group: self.group.map(|group| whole_group(&policy.group(group).name)),
            rule: self.rule.map(|rule| policy.rule(rule).id.as_str()),
        }
    }
}

/// A result with names from its policy. The order of the fields is that of the JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenResult<'a> {
    /// `accept`, `drop` or `reject`.
    pub verdict: &'static str,
    /// See [`Reason::name`].
    pub reason: &'static str,
    /// The name of the group.
    pub group: Option<&'a str>,
    /// The id of the rule.
    pub rule: Option<&'a str>,
}

impl fmt::Display for WrittenResult<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.group, self.rule) {
            (Some(group), Some(rule)) => write!(f, "{} by rule {rule} of group {group}", self.verdict),
            (Some(group), None) => write!(f, "{} by {} of group {group}", self.verdict, self.reason),
            _ => write!(f, "{} by {}", self.verdict, self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use sg_model::{Group, GroupType, PolicyParts};

    use super::*;

    #[test]
    fn what_decides_is_a_group_and_no_part_of_one() {
        let group = |name: &str| Group {
            name: name.to_owned(),
            kind: GroupType::Closed,
            inner_access: false,
            description: None,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let groups = vec![group("sg-abcdefghijkmnpqrs/vpc-abcdefghijkmnpqrs")];
        let policy = Policy::new(PolicyParts { groups, ..PolicyParts::default() }).unwrap();
        let result = CheckResult::of(Decider::IntraGroup(GroupIndex(0)), Verdict::Accept).written(&policy);
        assert_eq!(result.to_string(), "accept by intra-group of group sg-abcdefghijkmnpqrs");
    }
}
