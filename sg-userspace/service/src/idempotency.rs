//! Idempotency: an operation with an idempotency key runs once, and a repetition gets the first response.
//!
//! This file never knows what an operation does. The APIs wrap operations in [`Idempotent`].

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use sg_records::{AccessKeyId, Id as _, Token};
use sg_store::Key;
use sha2::{Digest as _, Sha256};

use super::{Field, Operation, Refusal, Tx};

/// How long a response is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// The maximum number of kept responses. The oldest ones are removed first.
const MOST: usize = 100_000;
const LONGEST: usize = 64;

/// An operation that runs once.
#[derive(Clone, Debug)]
pub struct Idempotent<O> {
    token: String,
    fingerprint: String,
    operation: O,
}

impl<O> Idempotent<O> {
    /// Wraps `operation`. `caller` identifies who sent the token, as two callers may choose the same one. `request` is the whole
    /// request.
    ///
    /// # Errors
    /// If the token does not have 1 to 64 printable ASCII characters without spaces.
    pub fn new(caller: &str, token: &str, request: &impl Serialize, operation: O) -> Result<Self, Refusal> {
        if !fits(token) {
            let allowed = "1 to 64 ASCII characters, none of them a space";
            return Err(Refusal::invalid(Field::ClientToken, token, allowed));
        }
        let request = serde_json::to_vec(request).unwrap_or_default();
        let digest =
            Sha256::digest([operation_name(std::any::type_name::<O>()).as_bytes(), &request].concat());
        let fingerprint = STANDARD_NO_PAD.encode(digest);
        Ok(Self { token: format!("{caller}/{token}"), fingerprint, operation })
    }
}

/// The name of an operation without its modules: where it is declared changes with versions, while responses are kept.
fn operation_name(path: &str) -> String {
    let mut name = String::new();
    for part in path.split_inclusive(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':'))) {
        name.push_str(part.rsplit_once("::").map_or(part, |(_, last)| last));
    }
    name
}

fn fits(token: &str) -> bool {
    !token.is_empty() && token.len() <= LONGEST && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Checks that a kept response could belong to an idempotent operation.
pub(super) fn check_token(token: &Token) -> Result<(), Refusal> {
    let known = token.token.split_once('/').is_some_and(|(caller, token)| {
        let by = |prefix, fits: fn(&str) -> bool| caller.strip_prefix(prefix).is_some_and(fits);
        let by_key = by("key ", AccessKeyId::has_form) || AccessKeyId::has_form(caller);
        fits(token) && (by_key || by("uid ", |uid| uid.parse::<u32>().is_ok()))
    });
    if !known {
        let allowed = "`uid NUMBER/TOKEN`, `key ID/TOKEN` or `ID/TOKEN` of an access key";
        return Err(Refusal::invalid(Field::ClientToken, &token.token, allowed));
    }
    let digest = STANDARD_NO_PAD.decode(&token.fingerprint).is_ok_and(|digest| digest.len() == 32);
    if !digest {
        let (field, allowed) = (Field::Stored("fingerprint"), "a digest of 32 bytes as Base64");
        return Err(Refusal::invalid(field, &token.fingerprint, allowed));
    }
    Ok(())
}

impl<O> Operation for Idempotent<O>
where
    O: Operation + Sync,
    O::Output: Serialize + DeserializeOwned,
{
    type Output = O::Output;

    fn run(&self, tx: &mut Tx) -> Result<O::Output, Refusal> {
        let oldest = tx.now().checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        if let Some(known) = tx.token(&self.token)
            && known.created > oldest
        {
            if known.fingerprint != self.fingerprint {
                return Err(Refusal::TokenReused { token: self.token.clone() });
            }
            let broken = |error: serde_json::Error| Refusal::NotStored { reason: error.to_string() };
            return serde_json::from_value(known.response.clone()).map_err(broken);
        }
        let output = self.operation.run(tx)?;
        let broken = |error: serde_json::Error| Refusal::NotStored { reason: error.to_string() };
        let response = serde_json::to_value(&output).map_err(broken)?;
        forget(tx, oldest);
        let (token, fingerprint) = (self.token.clone(), self.fingerprint.clone());
        tx.put(Token { token, fingerprint, response, created: tx.now() });
        Ok(output)
    }
}

/// Removes a few of the responses that are too old or too many.
fn forget(tx: &mut Tx, oldest: Timestamp) {
    const AT_ONCE: usize = 16;
    let excess = (tx.tokens().len() + 1).saturating_sub(MOST);
    let old = tx.tokens_by_age().take(AT_ONCE).enumerate();
    let old = old.filter(|(place, token)| token.created <= oldest || *place < excess);
    let old: Vec<Key> = old.map(|(_, token)| Key::Token(token.token.clone())).collect();
    for key in old {
        tx.delete(key);
    }
}

#[cfg(test)]
mod tests {
    use sg_api_types::Authorize;

    use super::*;
    use crate::Guarded;

    #[test]
    fn a_request_is_the_same_in_a_version_that_declares_its_operation_elsewhere() {
        assert_eq!(operation_name("sg_api_types::rules::Authorize"), "Authorize");
        assert_eq!(operation_name(std::any::type_name::<Guarded<Authorize>>()), "Guarded<Authorize>");
        let list = "sg_api_types::lists::CreateList<sg_records::list::PrefixEntry>";
        assert_eq!(operation_name(list), "CreateList<PrefixEntry>");
        let earlier = Sha256::digest(["Guarded<Authorize>".as_bytes(), b"7"].concat());
        let guarded =
            Guarded::new(Authorize::of("web", sg_records::Direction::Ingress, Vec::new()), Vec::new());
        let now = Idempotent::new("uid 0", "t", &7, guarded).unwrap();
        assert_eq!(now.fingerprint, STANDARD_NO_PAD.encode(earlier));
    }
}
