//! The access keys, as the vendors' APIs need them: what verifies a signature, and what its key may do. It must never know where
//! keys are stored; the APIs look here for each request.

use std::fmt;

use sg_records::KeyRole;

/// A lookup of access keys.
pub trait AccessKeys: Send + Sync {
    /// The key `id`, if there is such a key and it may be used.
    fn find(&self, id: &str) -> Option<KnownKey>;
}

/// An access key: what verifies its signatures, and what it may do.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Its secret.
    pub secret: Secret,
    /// What it may do.
    pub role: KeyRole,
}

/// The secret of an access key. It cannot be printed.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(secret: impl Into<Box<[u8]>>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}
