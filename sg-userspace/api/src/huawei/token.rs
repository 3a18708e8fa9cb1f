//! Tokens: what a client gets for the id and secret of an access key, and sends with each request instead of a signature.
//!
//! * **In memory only**: clients ask for a new one after a restart.
//! * **Not readable**: of a token, its hash is kept.
//! * **Bounded**: the oldest makes place for a new one.
//! * **As good as its key**: whoever authenticates with a token looks the key up, so a token ends with its key, and its role is that
//!   of the key.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::project::Project;
use crate::signature::sha256_hex;

/// How long a token is valid: as long as the vendor's.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// The maximum number of tokens.
const MOST: usize = 4096;

/// A token that is valid.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    /// The key that it stands for.
    pub(super) key: String,
    /// The project that it is for.
    pub(super) project: Project,
    pub(super) since: Timestamp,
    pub(super) expires: Timestamp,
}

/// All valid tokens, by their hashes.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<String, Issued>>);

impl Tokens {
    /// A new token for `key`, and what is known of it.
    pub(super) fn issue(&self, key: &str, project: Project, now: Timestamp) -> (String, Issued) {
        // Two random numbers of 122 bits each.
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let expires = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let issued = Issued { key: key.to_owned(), project, since: now, expires };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, token| token.expires > now);
        }
        if all.len() >= MOST
            && let Some(oldest) =
                all.iter().min_by_key(|(_, token)| token.since).map(|(hash, _)| hash.clone())
        {
            all.remove(&oldest);
        }
        all.insert(sha256_hex(token.as_bytes()), issued.clone());
        (token, issued)
    }

    /// What is known of a token, unless it is none, or is not valid any more.
    pub(super) fn find(&self, token: &str, now: Timestamp) -> Option<Issued> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&sha256_hex(token.as_bytes())).filter(|token| token.expires > now).cloned()
    }

    /// Makes a token invalid.
    pub(super) fn revoke(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&sha256_hex(token.as_bytes()));
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tokens(…)")
    }
}
