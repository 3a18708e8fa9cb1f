//! How requests are signed: three vendors' recipes, each a pure function of the received request.
//!
//! | recipe | used by |
//! |---|---|
//! | [`v1`] | Alibaba Cloud's older clients, and everything built on them |
//! | [`acs3`] | Alibaba Cloud's present clients |
//! | [`sdk`] | Huawei Cloud's clients |
//!
//! All three work on *decoded* values: clients encode the same text differently on the wire (`+` or `%20`, `*` or `%2A`), and
//! sign the canonical encoding. A recipe computes the string that must have been signed ([`Signed::text`]) and compares in
//! constant time. It must never know keys, clocks or nonces: a valid signature says nothing about when and how often the request
//! was sent.

pub mod acs3;
mod authorization;
mod encoding;
pub mod sdk;
#[cfg(test)]
pub(crate) mod tests;
pub mod v1;

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub use authorization::Authorization;
pub use encoding::encode;

/// Why a signature cannot be checked: the request does not follow the recipe.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// The `Authorization` header is not of this recipe.
    #[error("the Authorization header is not `{scheme} …` with {fields} and a hexadecimal Signature")]
    Authorization {
        /// The recipe's name.
        scheme: &'static str,
        /// The other fields that the header needs.
        fields: &'static str,
    },
    /// A header that the recipe or the signature names is missing.
    #[error("the header {name} is missing")]
    MissingHeader {
        /// Its name.
        name: String,
    },
    /// A header that must be signed is not.
    #[error("the header {name} must be signed: name it in SignedHeaders")]
    UnsignedHeader {
        /// Its name.
        name: &'static str,
    },
    /// A signed header that occurs more than once.
    #[error("the header {name} occurs more than once")]
    RepeatedHeader {
        /// Its name.
        name: String,
    },
    /// The body does not have the announced hash.
    #[error("the header {name} is not the SHA-256 hash of the body")]
    BodyHash {
        /// The header that announced the hash.
        name: &'static str,
    },
}

/// What must have been signed, and the signature of the request.
#[derive(Clone, Debug)]
pub struct Signed {
    text: Vec<u8>,
    /// Another text that may have been signed and says the same; none for most recipes.
    or: Option<Vec<u8>>,
    signature: Vec<u8>,
    recipe: Recipe,
}

#[derive(Clone, Copy, Debug)]
enum Recipe {
    V1,
    HmacSha256,
}

impl Signed {
    /// The string to sign, as the server computes it.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the signature was made with `secret`. The comparison takes constant time.
    #[must_use]
    pub fn verify(&self, secret: &[u8]) -> bool {
        let fits = |text: &[u8]| match self.recipe {
            Recipe::V1 => v1::verify(secret, text, &self.signature),
            Recipe::HmacSha256 => is_mac::<Hmac<Sha256>>(secret, text, &self.signature),
        };
        fits(&self.text) || self.or.as_deref().is_some_and(fits)
    }
}

fn is_mac<M: Mac + KeyInit>(key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    // HMAC takes keys of any length; with a hash that did not, nothing would verify.
    let Ok(mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    mac.chain_update(text).verify_slice(signature).is_ok()
}

/// The SHA-256 hash of `bytes` in lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| {
            let value = digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?;
            u8::try_from(value).ok()
        })
        .collect()
}
