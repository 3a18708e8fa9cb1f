//! Ids: what a thing is called as long as it lives, whatever its name.

use std::{fmt, sync::Arc};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::schema::text_schema;

/// Letters and digits that cannot be taken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 32^17: two of 10 million ids are equal once in ten thousand million years of daily trying.
const LENGTH: usize = 17;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);
        text_schema!($name, concat!($prefix, "…"));

        impl $name {
            /// What an id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new one, at random.
            #[must_use]
            pub fn random() -> Self {
                Self(random($prefix).into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A VPC.
    VpcId,
    "vpc-"
);
id!(
    /// A group.
    GroupId,
    "sg-"
);
id!(
    /// A rule.
    RuleId,
    "sgr-"
);
id!(
    /// A prefix list.
    PrefixListId,
    "pl-"
);
id!(
    /// A port list.
    PortListId,
    "prl-"
);
id!(
    /// An instance.
    InstanceId,
    "i-"
);
id!(
    /// A NIC.
    NicId,
    "eni-"
);
id!(
    /// An access key.
    KeyId,
    "ak-"
);

fn random(prefix: &str) -> String {
    let mut rng = rand::rng();
    let letters = (0..LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix.chars().chain(letters).collect()
}
