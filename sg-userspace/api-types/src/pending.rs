//! A change that is to be confirmed, and what settles it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A change that is in force until its deadline, unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingChange {
    /// Its id.
    pub id: u32,
    /// Who made it.
    pub owner: String,
    /// When what was in force before it is in force again.
    pub deadline: Timestamp,
}

/// Confirms the change that is pending, or takes it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SettleChange {
    /// Id of the change. Default: whichever is pending.
    pub id: Option<u32>,
}

/// Gives the change that is pending more time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ExtendChange {
    /// Id of the change. Default: whichever is pending.
    pub id: Option<u32>,
    /// How long it is in force from now on without a confirmation, in seconds: 5 to 86400. Default: 600.
    pub seconds: u32,
}

impl Default for ExtendChange {
    fn default() -> Self {
        Self { id: None, seconds: 600 }
    }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeState {
    /// It is to be confirmed.
    Pending,
    /// It stays.
    Confirmed,
    /// What was in force before it is in force again.
    Reverted,
}

/// A change, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettledChange {
    /// Its id.
    pub id: u32,
    /// What became of it.
    pub state: ChangeState,
    /// When it goes back; absent: it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}
