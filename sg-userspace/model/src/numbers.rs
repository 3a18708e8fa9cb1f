//! The match fields that are plain numbers in the headers of a packet: the one list of them, and what is made from it.
//!
//! A new one is a row of [`match_numbers`]. From the row come its field of [`HeaderNumbers`], its [`MatchField`] and its key in
//! documents, the fields in the JSON of rules, changes and packets to check ([`flat`]), the flags of `sgctl` and the columns of
//! files of rules. What a number means is known elsewhere: whoever decides by one takes [`HeaderNumbers`] or
//! [`Conditions`](super::Conditions) apart without `..`. This file must never know which packets have a number.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Unexpected, Visitor},
};
use thiserror::Error as ThisError;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{MatchField, Scope};

/// The list. Calls the macro in brackets with what is in braces and, for each number: its name, the variant of [`MatchField`], the
/// largest value, which packets have it (a [`Scope`](super::Scope)), what one is called, what it is in a rule, and what it is in
/// a packet that is described.
#[macro_export]
macro_rules! match_numbers {
    ([$($with:tt)+] { $($given:tt)* }) => {
        $($with)+! {
            { $($given)* }
            (icmp_type IcmpType 255 Icmp "an ICMP type" "ICMP type, 0 to 255." "ICMP type. Default: echo request.")
            (icmp_code IcmpCode 255 Icmp "an ICMP code" "ICMP code, 0 to 255. Requires a type." "ICMP code. Default: 0.")
            (dscp Dscp 63 Every "a DSCP" "DSCP, 0 to 63: the class of traffic that its sender asks for." "DSCP. Default: 0.")
        }
    };
}

macro_rules! numbers {
    ({} $(($name:ident $variant:ident $max:literal $scope:ident $what:literal $rule:tt $packet:tt))*) => {
        /// The numbers in the headers of a packet. Of a rule: `None` matches every number. Of a described packet: `None` is the
        /// number that such packets usually have.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct HeaderNumbers {
            $(#[doc = $rule] pub $name: Option<Bounded<$max>>,)*
        }

        impl HeaderNumbers {
            /// How many there are.
            pub const COUNT: usize = [$($max),*].len();

            /// The fields, in their order.
            pub const FIELDS: [MatchField; Self::COUNT] = [$(MatchField::$variant),*];

            /// None of them.
            pub const NONE: Self = Self { $($name: None),* };

            /// The numbers by field.
            #[must_use]
            pub fn by_field(&self) -> [(MatchField, Option<u8>); Self::COUNT] {
                let Self { $($name),* } = self;
                [$((MatchField::$variant, $name.map(Bounded::get))),*]
            }

            /// The numbers that `read` finds, which is told the field, what a value is called, and the largest.
            pub fn read(mut read: impl FnMut(MatchField, &'static str, u8) -> Option<u8>) -> Self {
                Self { $($name: read(MatchField::$variant, $what, $max).and_then(Bounded::new)),* }
            }

            /// Each of these, or the other's where it is `None`.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name)),* }
            }
        }
    };
}
match_numbers! { [numbers] {} }

impl HeaderNumbers {
    /// An ICMP message.
    #[must_use]
    pub fn icmp(kind: u8, code: impl Into<Option<u8>>) -> Self {
        let mut numbers = Self::NONE;
        numbers.icmp_type = Some(Bounded::from(kind));
        numbers.icmp_code = code.into().map(Bounded::from);
        numbers
    }

    /// Those of the fields that packets of `scope` have, and `None` for the others.
    #[must_use]
    pub fn of_scope(&self, scope: Scope) -> Self {
        let mut numbers = self.by_field().into_iter();
        Self::read(|field, _, _| numbers.next()?.1.filter(|_| field.scope() == scope))
    }

    /// Whether every packet with the numbers of `other` has these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.by_field().iter().zip(other.by_field()).all(|((_, one), (_, two))| one.is_none() || *one == two)
    }
}

/// Those that are given, each behind its key and a blank.
impl fmt::Display for HeaderNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.by_field().into_iter().filter_map(|(field, number)| Some((field, number?)));
        given.into_iter().try_for_each(|(field, number)| write!(f, " {field} {number}"))
    }
}

/// A number from 0 to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MAX: u8>(u8);

/// A text or number that is not in the range.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{found:?}: a number from 0 to {max}")]
pub struct OutOfBounds {
    /// What was found.
    pub found: String,
    /// The largest number that is allowed.
    pub max: u8,
}

impl<const MAX: u8> Bounded<MAX> {
    /// The number; `None` if it is larger than `MAX`.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl From<u8> for Bounded<{ u8::MAX }> {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

impl<const MAX: u8> fmt::Display for Bounded<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: u8> FromStr for Bounded<MAX> {
    type Err = OutOfBounds;

    fn from_str(text: &str) -> Result<Self, OutOfBounds> {
        let number = text.parse().ok().and_then(Self::new);
        number.ok_or_else(|| OutOfBounds { found: text.to_owned(), max: MAX })
    }
}

impl<'de, const MAX: u8> Deserialize<'de> for Bounded<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expected<const MAX: u8>;
        impl<const MAX: u8> Visitor<'_> for Expected<MAX> {
            type Value = Bounded<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from 0 to {MAX}")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Bounded<MAX>, E> {
                let bounded = u8::try_from(number).ok().and_then(Bounded::new);
                bounded.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Bounded<MAX>, E> {
                Err(E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_u8(Expected::<MAX>)
    }
}

impl<const MAX: u8> PartialSchema for Bounded<MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX)).into()
    }
}

impl<const MAX: u8> ToSchema for Bounded<MAX> {
    fn name() -> Cow<'static, str> {
        format!("NumberTo{MAX}").into()
    }
}

/// A struct with the number fields among its own, in two forms: nested, with `numbers: HeaderNumbers`, for code; and flat, for
/// serde. It has both conversions.
///
/// By hand, because serde's `flatten` neither names the fields that are allowed nor says where a wrong one is, and is slow. Fields
/// end in commas; their `#[…]` go to the flat form, and doc comments to both. The `@[…]` of the struct go to the nested form, the
/// `#[…]` behind `as` to the flat one. `..numbers` stands for the numbers, `of rules` or `of packets`.
#[macro_export]
macro_rules! flat {
    (of rules; $($given:tt)*) => { $crate::match_numbers! { [$crate::__flat_of_rules] { $($given)* } } };
    (of packets; $($given:tt)*) => { $crate::match_numbers! { [$crate::__flat_of_packets] { $($given)* } } };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __flat_of_rules {
    ({ $($given:tt)* } $(($name:ident $variant:ident $max:tt $scope:ident $what:tt $rule:tt $packet:tt))*) => {
        $crate::__flat! { [$(($rule $name $max))*] $($given)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __flat_of_packets {
    ({ $($given:tt)* } $(($name:ident $variant:ident $max:tt $scope:ident $what:tt $rule:tt $packet:tt))*) => {
        $crate::__flat! { [$(($packet $name $max))*] $($given)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __flat {
    (
        [$(($doc:tt $number:ident $max:tt))*]
        $(#[doc = $struct_doc:tt])*
        $(@$nested_attribute:tt)*
        $visibility:vis struct $nested:ident$(<$life:lifetime>)? as
        $(#$flat_attribute:tt)*
        $flat:ident {
            $(
                $(#[doc = $before_doc:tt])*
                $(@$before_attribute:tt)*
                $before_visibility:vis $before:ident: $before_type:ty,
            )*
        } ..numbers {
            $(
                $(#[doc = $after_doc:tt])*
                $(@$after_attribute:tt)*
                $after_visibility:vis $after:ident: $after_type:ty,
            )*
        }
    ) => {
        $(#[doc = $struct_doc])*
        $(#$nested_attribute)*
        $visibility struct $nested$(<$life>)? {
            $($(#[doc = $before_doc])* $before_visibility $before: $before_type,)*
            /// The numbers in the headers of the packet.
            $visibility numbers: $crate::HeaderNumbers,
            $($(#[doc = $after_doc])* $after_visibility $after: $after_type,)*
        }

        $(#[doc = $struct_doc])*
        $(#$flat_attribute)*
        struct $flat$(<$life>)? {
            $($(#[doc = $before_doc])* $(#$before_attribute)* $before: $before_type,)*
            $(
                #[doc = $doc]
                #[serde(skip_serializing_if = "Option::is_none")]
                $number: Option<$crate::Bounded<$max>>,
            )*
            $($(#[doc = $after_doc])* $(#$after_attribute)* $after: $after_type,)*
        }

        impl$(<$life>)? From<$flat$(<$life>)?> for $nested$(<$life>)? {
            fn from(flat: $flat$(<$life>)?) -> Self {
                let $flat { $($before,)* $($number,)* $($after,)* } = flat;
                Self { $($before,)* numbers: $crate::HeaderNumbers { $($number,)* }, $($after,)* }
            }
        }

        impl$(<$life>)? From<$nested$(<$life>)?> for $flat$(<$life>)? {
            fn from(nested: $nested$(<$life>)?) -> Self {
                let $nested { $($before,)* numbers: $crate::HeaderNumbers { $($number,)* }, $($after,)* } = nested;
                Self { $($before,)* $($number,)* $($after,)* }
            }
        }
    };
}

/// Gives the nested form of [`flat`] the schema of the flat one.
#[macro_export]
macro_rules! schema_of {
    ($nested:ident: $flat:ident) => {
        impl ::utoipa::PartialSchema for $nested {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::schema::Schema> {
                $flat::schema()
            }
        }

        impl ::utoipa::ToSchema for $nested {
            fn schemas(all: &mut Vec<(String, ::utoipa::openapi::RefOr<::utoipa::openapi::schema::Schema>)>) {
                $flat::schemas(all);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_its_range() {
        type Six = Bounded<63>;
        let read = |text| serde_json::from_str::<Six>(text).map_err(|error| error.to_string());
        assert_eq!((read("63").unwrap().get(), "0".parse::<Six>().unwrap().get()), (63, 0));
        for wrong in ["64", "-1", "300", "\"1\"", "1.5"] {
            assert!(read(wrong).unwrap_err().contains("expected a number from 0 to 63"), "{wrong}");
        }
        for wrong in ["64", "-1", "", "ef"] {
            let why = wrong.parse::<Six>().unwrap_err().to_string();
            assert_eq!(why, format!("{wrong:?}: a number from 0 to 63"));
        }
    }

    #[test]
    fn what_is_not_given_covers_every_number() {
        let (any, echo, first) =
            (HeaderNumbers::NONE, HeaderNumbers::icmp(8, None), HeaderNumbers::icmp(8, 0));
        assert!(any.cover(&echo) && echo.cover(&first) && echo.cover(&echo));
        assert!(!echo.cover(&any) && !first.cover(&echo) && !HeaderNumbers::icmp(0, 0).cover(&first));
        assert_eq!(HeaderNumbers::icmp(8, None).or(HeaderNumbers::icmp(0, 3)), HeaderNumbers::icmp(8, 3));
    }
}
