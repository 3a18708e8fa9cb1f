//! Ids: they identify an object as long as it exists, whatever its name.

use std::{fmt, sync::Arc};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The maximum length of an id that a user chose.
const LONGEST: usize = 64;

/// Letters and digits without those that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 32^17: two of 10 million ids are equal once in ten thousand million years of daily trying.
const LENGTH: usize = 17;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $form:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, examples(json!(concat!($prefix, "…"))))]
        pub struct $name(Arc<str>);

        impl $name {
            /// The prefix of ids of this kind.
            pub const PREFIX: &'static str = $prefix;

            /// Whether `text` has the form of an id of this kind.
            #[must_use]
            pub fn has_form(text: &str) -> bool {
                text.strip_prefix($prefix).is_some_and(|rest| $form($prefix, rest))
            }

            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(random($prefix).into())
            }

            /// The id as text.
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
    "vpc-",
    generated
);
id!(
    /// A group.
    GroupId,
    "sg-",
    generated
);
id!(
    /// A rule.
    RuleId,
    "sgr-",
    generated
);
id!(
    /// A prefix list.
    PrefixListId,
    "pl-",
    generated
);
id!(
    /// A port list.
    PortListId,
    "prl-",
    generated
);
id!(
    /// An instance.
    InstanceId,
    "i-",
    chosen
);
id!(
    /// A NIC.
    NicId,
    "eni-",
    chosen
);
id!(
    /// An access key.
    AccessKeyId,
    "ak-",
    generated
);

/// The form of ids that only [`random`] makes.
fn generated(_: &str, rest: &str) -> bool {
    rest.len() == LENGTH && rest.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// The form of ids that users may choose.
fn chosen(prefix: &str, rest: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !rest.is_empty() && prefix.len() + rest.len() <= LONGEST && rest.bytes().all(fits)
}

/// Whether a text has the form of an id of any kind. A name of this form could be confused with another object.
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
