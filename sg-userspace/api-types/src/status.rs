//! The status of an agent: what it enforces, since when, and what it could not. The native API fills it in, `sgctl status` shows
//! it; counts are those of one moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_audit::AuditStatus;
use sg_records::Hook;
use utoipa::ToSchema;

use super::PendingChange;

/// Status of the agent and of the filter on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Version of sgd.
    pub version: String,
    /// Name of the sgd instance, which its files and pins carry.
    pub instance: String,
    /// PID of the agent.
    #[serde(default)]
    pub agent_pid: u32,
    /// Layout of the programs and maps in the kernel.
    #[serde(default)]
    pub layout: u32,
    /// Version of the image format.
    #[serde(default)]
    pub image_version: u32,
    /// Where the policy comes from.
    #[serde(default)]
    pub policy: PolicySource,
    /// The last change in force; absent: this agent has applied nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedChange>,
    /// The change that is to be confirmed; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingChange>,
    /// The last policy that was refused since then: what was in force stayed in force. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedPolicy>,
    /// What should be in force and is not yet. The agent keeps trying.
    #[serde(default)]
    pub delayed: Vec<String>,
    /// Objects in the store; the fields are absent under `sgd run`, which has none.
    #[serde(flatten)]
    pub store: Option<StoreCounts>,
    /// Number of NICs on this host.
    pub local_nics: usize,
    /// Number of NICs on this host whose packets are filtered.
    pub attached: usize,
    /// Devices of NICs on this host that do not exist or are not filtered yet.
    pub waiting: Vec<String>,
    /// Devices that belong to no NIC any more but still exist. They are not filtered: everything passes.
    #[serde(default)]
    pub unfiltered: Vec<String>,
    /// How long the filter stays in force without the agent: `host` (until the next boot), `container` (as long as the
    /// container), or `private` (as long as the mount namespace of the agent).
    #[serde(default)]
    pub pinned: String,
    /// Number of requests since the start with a wrong secret or an unknown access key, over all APIs.
    #[serde(default)]
    pub wrong_secrets: u64,
    /// The audit trail; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditStatus>,
    /// The NICs on this host, and what is in force for each.
    #[serde(default)]
    pub in_force: Vec<NicStatus>,
}

/// Number of objects in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreCounts {
    /// Number of VPCs.
    pub vpcs: usize,
    /// Number of groups.
    pub groups: usize,
    /// Number of rules.
    pub rules: usize,
    /// Number of NICs, on this host and on others.
    pub nics: usize,
    /// Number of instances.
    pub instances: usize,
    /// Number of prefix lists.
    pub prefix_lists: usize,
    /// Number of port lists.
    pub port_lists: usize,
}

/// Where a policy comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum PolicySource {
    /// The store of `sgd serve`.
    #[default]
    Store,
    /// A document of `sgd run`.
    Document {
        /// Its path.
        path: String,
        /// UID of its owner when it was read last; `null`: it could not be opened.
        owner_uid: Option<u32>,
    },
}

/// A change that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedChange {
    /// When it was in force.
    pub at: Timestamp,
    /// What caused it: `start`, `policy` (another policy), `signal` (SIGHUP), `devices` (they came, went or changed) or `retry`
    /// (of a step that had failed).
    pub cause: String,
}

/// A policy that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedPolicy {
    /// When.
    pub at: Timestamp,
    /// Why; it may have several lines.
    pub reason: String,
}

/// A NIC of this host, and what is in force for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NicStatus {
    /// Device of the NIC.
    pub device: String,
    /// Id of the NIC in the store; absent: there is no store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Index of the device that the program is attached to; absent: it is not attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifindex: Option<u32>,
    /// Hook of the receive side.
    pub hook: Hook,
    /// Generation of its policy.
    pub generation: u32,
    /// Size of its image in bytes; absent: this agent has published none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_bytes: Option<u64>,
    /// When its image was published or patched last; absent: this agent has published none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Timestamp>,
    /// Its groups, in its order.
    pub groups: Vec<String>,
}
