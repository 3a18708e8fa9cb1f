//! Enums whose values are words: in JSON, in filters, on terminals. One table for each keeps these the same.
//!
//! It must never know what the words mean. Called by the files that own such an enum.

use thiserror::Error;

/// A word that is none of those allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no {what}: allowed are {allowed}")]
pub struct UnknownWord {
    /// What it was to be, such as `verdict`.
    pub what: &'static str,
    /// The text as given.
    pub found: String,
    /// The words that are allowed, separated by commas.
    pub allowed: String,
}

/// An enum of words: `Serialize`, `Deserialize`, `ToSchema`, `Display` and `FromStr` all use the word behind each value.
macro_rules! words {
    ($(#[$of:meta])* $name:ident, $what:literal { $($(#[$on:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$of])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema,
        )]
        pub enum $name {
            $($(#[$on])* #[serde(rename = $word)] $value,)*
        }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// The word, as JSON, filters and terminals have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.name() == text).ok_or_else(|| {
                    $crate::words::UnknownWord {
                        what: $what,
                        found: text.to_owned(),
                        allowed: [$($word),*].join(", "),
                    }
                })
            }
        }
    };
}

pub(crate) use words;
