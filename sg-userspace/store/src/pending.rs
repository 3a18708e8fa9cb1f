//! A change that is to be confirmed, as the store keeps it: who made it, and what takes it back.
//!
//! It is written in the transaction of the change itself, so that whoever loads the state finds either neither or both. This file must
//! never decide what became of the change: the kernel does.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Change;

/// A change that is stored, and to be confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// Its id, by which the kernel knows it.
    pub id: u32,
    /// Who made it.
    pub owner: String,
    /// When it goes back, for people: the kernel goes by a clock of its own.
    pub deadline: Timestamp,
    /// What takes it back: each record that it changed, once, as it was before.
    pub undo: Vec<Change>,
}

/// What a commit does to the change that is to be confirmed.
#[derive(Clone, Copy, Debug)]
pub enum PendingUpdate<'a> {
    /// This one begins.
    Begin(&'a Pending),
    /// It is in force until then.
    Extend(Timestamp),
    /// It is confirmed, or taken back by the same commit.
    End,
}

/// All of it but what takes it back, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) id: u32,
    pub(super) owner: String,
    pub(super) deadline: Timestamp,
}
