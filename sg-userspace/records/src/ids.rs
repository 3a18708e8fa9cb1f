//! Ids, which identify an object for as long as it exists, whatever its name.
//!
//! This file owns the prefixes and forms of ids; it must never know which objects exist. The service generates ids, and resolves
//! texts that may be an id or a name.

use std::{
    fmt::{self, Debug, Display},
    hash::Hash,
    sync::Arc,
};

use rand::RngExt as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// The maximum length, in bytes, of an id that a user chose.
const LONGEST: usize = 64;

/// Lower-case letters and digits, without those that are easily confused.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Number of random characters in an id. With 32^17 (2^85) values, a collision among ten million ids has a probability of about
/// one in a trillion.
const LENGTH: usize = 17;

/// An id of any kind.
pub trait Id:
    AsRef<str>
    + From<String>
    + for<'a> From<&'a str>
    + Clone
    + Debug
    + Display
    + Hash
    + Ord
    + Serialize
    + DeserializeOwned
    + ToSchema
    + Send
    + Sync
    + 'static
{
    /// The prefix of ids of this kind.
    const PREFIX: &'static str;

    /// Whether users may choose ids of this kind. If not, all of them are generated.
    const IS_CHOSEN: bool;

    /// Whether `text` has the form of an id of this kind.
    #[must_use]
    fn has_form(text: &str) -> bool;

    /// Generates a random id.
    #[must_use]
    fn random() -> Self;
}

macro_rules! is_chosen {
    (chosen) => {
        true
    };
    (generated) => {
        false
    };
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $form:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, examples(json!(concat!($prefix, "…"))))]
        pub struct $name(Arc<str>);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            const IS_CHOSEN: bool = is_chosen!($form);

            fn has_form(text: &str) -> bool {
                text.strip_prefix($prefix).is_some_and(|rest| $form($prefix, rest))
            }

            fn random() -> Self {
                Self(random($prefix).into())
            }
        }

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
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
    /// Id of a VPC: `vpc-` and 17 characters.
    VpcId,
    "vpc-",
    generated
);
id!(
    /// Id of a group: `sg-` and 17 characters.
    GroupId,
    "sg-",
    generated
);
id!(
    /// Id of a rule: `sgr-` and 17 characters.
    RuleId,
    "sgr-",
    generated
);
id!(
    /// Id of a prefix list: `pl-` and 17 characters.
    PrefixListId,
    "pl-",
    generated
);
id!(
    /// Id of a port list: `prl-` and 17 characters.
    PortListId,
    "prl-",
    generated
);
id!(
    /// Id of an instance: `i-` and letters, digits, `-` or `_`, up to 64 characters.
    InstanceId,
    "i-",
    chosen
);
id!(
    /// Id of a NIC: `eni-` and letters, digits, `-` or `_`, up to 64 characters.
    NicId,
    "eni-",
    chosen
);
id!(
    /// Id of an access key: `ak-` and 17 characters.
    AccessKeyId,
    "ak-",
    generated
);

/// The form of ids that only [`random`] generates.
fn generated(_: &str, rest: &str) -> bool {
    rest.len() == LENGTH && rest.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// The form of ids that users may choose.
fn chosen(prefix: &str, rest: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !rest.is_empty() && prefix.len() + rest.len() <= LONGEST && rest.bytes().all(fits)
}

/// Whether `text` has the form of an id of any kind. A name of this form could be confused with another object.
#[must_use]
pub fn looks_like_id(text: &str) -> bool {
    VpcId::has_form(text)
        || GroupId::has_form(text)
        || RuleId::has_form(text)
        || PrefixListId::has_form(text)
        || PortListId::has_form(text)
        || InstanceId::has_form(text)
        || NicId::has_form(text)
        || AccessKeyId::has_form(text)
}

fn random(prefix: &str) -> String {
    let mut rng = rand::rng();
    let letters = (0..LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix.chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_its_form_and_no_name_has() {
        for id in [
            VpcId::random().to_string(),
            GroupId::random().to_string(),
            RuleId::random().to_string(),
            PrefixListId::random().to_string(),
            PortListId::random().to_string(),
            InstanceId::random().to_string(),
            NicId::random().to_string(),
            AccessKeyId::random().to_string(),
            "eni-7".to_owned(),
            "i-web_1".to_owned(),
        ] {
            assert!(looks_like_id(&id), "{id}");
        }
        for name in [
            "sg-web",
            "sg-",
            "vpc-prod",
            "eni-",
            "eni0",
            "i.x",
            "web",
            "",
            "sg-c7h2j5ahi7kqt3de0",
            "../../etc",
        ] {
            assert!(!looks_like_id(name), "{name}");
        }
    }
}
