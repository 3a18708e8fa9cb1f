//! What is counted apart from flows: rules, memberships, defaults and reasons, with what each did to packets. It must never know a
//! rate. `model` calls it.

use sg_api_types::{Count, Stats};
use sg_common::verdict::Reason;
use sg_observe::record::Stage;
use sg_records::{Action, Direction};

use crate::names::Names;

/// Counters of which nobody asks the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Rule { group: String, rule: String, direction: &'static str },
    IntraGroup { group: String },
    Default { nic: String, direction: &'static str },
    Reason { nic: Option<String>, direction: &'static str, reason: String },
}

impl Owner {
    pub(super) const fn direction(&self) -> &'static str {
        match self {
            Self::Rule { direction, .. }
            | Self::Default { direction, .. }
            | Self::Reason { direction, .. } => direction,
            Self::IntraGroup { .. } => sg_model::Direction::Ingress.name(),
        }
    }
}

/// A counter: its owner, what it did, and its words in the columns GROUP and RULE.
pub(super) type Counter = (Owner, Option<Action>, [String; 2], Count);

/// Everything that is counted, with the names of groups.
pub(super) fn counters(stats: &Stats, names: &Names) -> Vec<Counter> {
    let Stats { rules, intra_group, defaults, reasons, flows: _ } = stats;
    let word = |direction: Direction| sg_model::Direction::from(direction).name();
    let rules = rules.iter().map(|row| {
        let (group, rule) = (row.group.clone(), row.rule.clone());
        let words = [names.of(&group), rule.clone()];
        (Owner::Rule { group, rule, direction: word(row.direction) }, Some(row.action), words, row.count)
    });
    let groups = intra_group.iter().map(|row| {
        let words = [names.of(&row.group), "(between members)".to_owned()];
        (Owner::IntraGroup { group: row.group.clone() }, Some(Action::Accept), words, row.count)
    });
    let defaults = defaults.iter().map(|row| {
        let words = [format!("({})", row.nic), "(no rule matched)".to_owned()];
        let owner = Owner::Default { nic: row.nic.clone(), direction: word(row.direction) };
        (owner, Some(row.verdict), words, row.count)
    });
    let reasons = reasons.iter().map(|row| {
        let nic = row.nic.as_deref().unwrap_or("no NIC");
        let words = [format!("({nic})"), format!("({})", row.reason)];
        let (direction, reason) = (word(row.direction), row.reason.clone());
        (Owner::Reason { nic: row.nic.clone(), direction, reason }, action_of(&row.reason), words, row.count)
    });
    rules.chain(groups).chain(defaults).chain(reasons).collect()
}

/// What happened to the packets of a reason; `None`: it is no verdict, and another counter has its packets.
fn action_of(word: &str) -> Option<Action> {
    let reason = Reason::ALL.into_iter().find(|reason| reason.name() == word)?;
    match (Stage::of(reason), reason) {
        (Stage::Exception, _) => Some(Action::Accept),
        (Stage::Rule | Stage::IntraGroup | Stage::Default, _)
        | (
            Stage::Reason,
            Reason::FlowTableFull
            | Reason::FlowQuota
            | Reason::RejectSent
            | Reason::RejectRateLimited
            | Reason::HalfOpenEvicted,
        ) => None,
        (Stage::Reason, _) => Some(Action::Drop),
    }
}
