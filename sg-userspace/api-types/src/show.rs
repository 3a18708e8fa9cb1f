//! What decides the packets of a NIC, as `GET /v1/show` returns it. These types must never know the order of rules: the model
//! does.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::{Action, Direction, Rule};
use utoipa::{IntoParams, ToSchema};

use super::{Age, Count};

/// Kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Inbound packets of members of the group are accepted.
    IntraGroup,
    /// A rule.
    Rule,
    /// What no group and no rule matches.
    Default,
}

/// A step of the evaluation: the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveStep {
    /// Direction of the packets.
    pub direction: Direction,
    /// Kind of the step.
    pub stage: StepKind,
    /// The group, by its name in the document or its id in the store; absent: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Id of the rule; absent: no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What happens to packets that match.
    pub action: Action,
    /// Priority of the rule, 1 to 100; absent: no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What it matches, in one line. Groups and lists have their names in the document or their ids in the store.
    pub matches: String,
    /// Whether it is in effect. A disabled rule is only in the view by group.
    pub enabled: bool,
    /// Of all NICs that hold the group; a default counts for this NIC alone.
    #[serde(flatten)]
    pub count: Count,
    /// When it decided a packet last, up to a minute late; absent: not since `observed_since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hit: Option<Timestamp>,
    /// Since when its counter is observed; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_since: Option<Timestamp>,
}

/// A NIC with everything that decides its packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveNic {
    /// Device of the NIC.
    pub device: String,
    /// Id of the NIC in the store; absent: there is no store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether its packets are filtered: the device exists and the program is attached.
    pub attached: bool,
    /// Generation of its policy.
    pub generation: u32,
    /// Its groups, in its order.
    pub groups: Vec<String>,
    /// Inbound steps, then outbound ones, each in order of evaluation; in the view by group, group after group as written.
    pub steps: Vec<EffectiveStep>,
}

/// Selects what is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ShowQuery {
    /// Only this NIC: its device or, in a store, its id or name. Default: all NICs of this host.
    pub nic: Option<String>,
    /// Show the rules group after group, as written, disabled ones too, not in order of evaluation. Default: false.
    pub by_group: bool,
    /// Only rules that decided no packet for at least so long, such as `30d`, and were observed as long.
    #[param(value_type = Option<String>)]
    pub unused: Option<Age>,
}

/// A rule of a list, and when it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedRule {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// When it decided a packet on this host last, up to a minute late; absent: not since `observed_since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_hit: Option<Timestamp>,
    /// Since when its counter is observed; absent: no NIC of this host holds its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_since: Option<Timestamp>,
}
