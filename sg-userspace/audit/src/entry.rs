//! An entry of the trail: a requested change, who requested it, from where, and its outcome.
//!
//! It must never hold a secret, nor grow without bound: [`Entry::bounded`] drops details first, then objects, and says how many of
//! those.
//! Everybody who writes to the trail makes these; readers show them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The maximum number of bytes of all `before` and `after` of an entry.
const DETAILS: usize = 64 << 10;
/// The maximum number of objects of an entry.
pub const OBJECTS: usize = 1_000;
/// The maximum number of bytes of all objects of an entry: half of the longest line that is read.
const BYTES: usize = 512 << 10;
/// The maximum number of characters of a text that somebody else wrote.
const TEXT: usize = 1_024;

/// A requested change, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Number of the entry. It counts on over restarts; where numbers are missing, entries could not be written.
    pub sequence: u64,
    /// When the change was requested.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Id of the request, which its response and its log lines have, too. Absent for documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How it was requested.
    pub api: Api,
    /// The operation: its id in `GET /v1/openapi.json`, the action of the ECS API, or `load_document`.
    pub operation: String,
    /// The object in the path of the request, as the caller wrote it. Absent if there is none, or nobody was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Who requested it.
    pub who: Who,
    /// Where the request came from: `socket`, an address and a port, or `file`.
    pub from: String,
    /// Whether whoever requested it insisted on losing access. Absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Whether whoever requested it insisted on tests that may fail. Absent if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_tests: bool,
    /// Why, in the words of whoever requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Number of the change in the history, if it changed the policy: see `GET /v1/changes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// Code of the refusal or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Message of the refusal or failure, up to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The objects that changed. Access keys are without their secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// Number of further objects that changed, which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_objects: u64,
    /// Number of entries that are missing: with the outcome `lost`, those that could not be written; otherwise refusals of the
    /// same kind. Of callers who are not known, and of keys whose role does not allow a change, at most 60 a minute are written
    /// each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a change was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// The native API.
    Native,
    /// The ECS-compatible API.
    Ecs,
    /// The Huawei-Cloud-compatible API.
    Huawei,
    /// The document of `sgd run`.
    Document,
    /// Nobody: sgd writes about the trail itself.
    Sgd,
}

impl Api {
    /// `native`, `ecs`, `huawei`, `document` or `sgd`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ecs => "ecs",
            Self::Huawei => "huawei",
            Self::Document => "document",
            Self::Sgd => "sgd",
        }
    }
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is stored and in force.
    Done,
    /// Nothing was changed.
    Refused,
    /// It is stored, and not in force yet: the agent tries again.
    NotInForce,
    /// A part of it was done before it failed: `objects` says which.
    Partly,
    /// Entries could not be written.
    Lost,
}

impl Outcome {
    /// `done`, `refused`, `not_in_force`, `partly` or `lost`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NotInForce => "not_in_force",
            Self::Partly => "partly",
            Self::Lost => "lost",
        }
    }
}

/// Who requested a change: a process of this host, an access key, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Who {
    /// Uid of the process at the other end of the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its gid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Its pid. The process may have ended since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Id of the access key that signed the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// Id of an access key that the request named without its secret: anybody may have sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// Path of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Uid of the document's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
}

impl Who {
    /// A process of this host.
    #[must_use]
    pub fn process(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        Self { uid: Some(uid), gid: Some(gid), pid, ..Self::default() }
    }

    /// An access key.
    #[must_use]
    pub fn key(id: impl Into<String>) -> Self {
        Self { access_key: Some(id.into()), ..Self::default() }
    }

    /// Somebody who named an access key and did not have its secret.
    #[must_use]
    pub fn claiming(id: impl Into<String>) -> Self {
        Self { claimed: Some(id.into()), ..Self::default() }
    }

    /// A file.
    #[must_use]
    pub fn file(path: impl Into<String>, owner: Option<u32>) -> Self {
        Self { file: Some(path.into()), owner, ..Self::default() }
    }
}

/// `uid 0 (pid 812)`, `key ak-…`, a path, or `nobody`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { access_key: Some(key), .. } => write!(f, "key {key}"),
            Self { file: Some(file), owner, .. } => match owner {
                Some(owner) => write!(f, "{file} (uid {owner})"),
                None => f.write_str(file),
            },
            Self { uid: Some(uid), pid, .. } => match pid {
                Some(pid) => write!(f, "uid {uid} (pid {pid})"),
                None => write!(f, "uid {uid}"),
            },
            Self { claimed: Some(key), .. } => write!(f, "nobody (as {key})"),
            Self { .. } => f.write_str("nobody"),
        }
    }
}

/// An object that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Object {
    /// What happened to it.
    pub change: Change,
    /// Its kind: `group`, `rule`, `nic`, …
    pub kind: String,
    /// Its id; of a member its group and address; in documents its name.
    pub id: String,
    /// Its name. Empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its fields before; of a modified one those that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// Its fields since; of a modified one those that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is new.
    Created,
    /// Fields of it changed.
    Modified,
    /// It is gone.
    Deleted,
}

impl Change {
    /// `created`, `modified` or `deleted`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// What a change changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The objects, up to [`OBJECTS`].
    pub objects: Vec<Object>,
    /// Number of further ones.
    pub more: u64,
}

impl Object {
    /// An object with its fields before and after, of which at least one is given: of a modified one, those that changed, and those
    /// that `always` names.
    #[must_use]
    pub fn new(kind: &str, id: String, name: String, between: [Option<Value>; 2], always: &[&str]) -> Self {
        let [mut before, mut after] = between;
        let change = match (&mut before, &mut after) {
            (None, _) => Change::Created,
            (_, None) => Change::Deleted,
            (Some(before), Some(after)) => {
                if let (Some(old), Some(new)) = (before.as_object_mut(), after.as_object_mut()) {
                    let same: Vec<String> = old
                        .iter()
                        .filter(|(key, value)| {
                            new.get(*key) == Some(value) && !always.contains(&key.as_str())
                        })
                        .map(|(key, _)| key.clone())
                        .collect();
                    for key in same {
                        old.remove(&key);
                        new.remove(&key);
                    }
                }
                Change::Modified
            }
        };
        Self { change, kind: kind.to_owned(), id, name, before, after }
    }
}

impl Entry {
    /// An entry about a request that is not done yet.
    #[must_use]
    pub fn new(api: Api, operation: impl Into<String>, who: Who, from: impl Into<String>) -> Self {
        Self {
            sequence: 0,
            time: Timestamp::now(),
            request: None,
            api,
            operation: operation.into(),
            target: None,
            who,
            from: from.into(),
            force: false,
            skip_tests: false,
            reason: None,
            outcome: Outcome::Refused,
            change: None,
            code: None,
            message: None,
            objects: Vec::new(),
            more_objects: 0,
            missing: 0,
        }
    }

    /// The same within the bounds of an entry.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.message, &mut self.target, &mut self.reason].into_iter().flatten() {
            if let Some((end, _)) = text.char_indices().nth(TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
        let mut room = DETAILS;
        for object in &mut self.objects {
            let bytes: usize = [&object.before, &object.after].into_iter().flatten().map(length).sum();
            if let Some(left) = room.checked_sub(bytes) {
                room = left;
            } else {
                (object.before, object.after) = (None, None);
            }
        }
        let mut room = BYTES;
        let fits = |object: &&Object| {
            let left = room.checked_sub(length(object));
            room = left.unwrap_or(room);
            left.is_some()
        };
        let fitting = self.objects.iter().take(OBJECTS).take_while(fits).count();
        self.more_objects += self.objects.len().saturating_sub(fitting) as u64;
        self.objects.truncate(fitting);
        self
    }

    /// The line of the entry, with its line break.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// The number of bytes of a value in a line.
fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |text| text.len())
}
