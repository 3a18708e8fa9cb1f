//! Flags for the numbers in the headers of packets, made from the list of the model: of rules, and of packets to check.
//!
//! This file must never name one of them.

use clap::Args;
use sg_model::{Bounded, HeaderNumbers, match_numbers};

macro_rules! flags {
    ({} $(($name:ident $variant:ident $max:tt $scope:ident $what:tt $rule:tt $packet:tt))*) => {
        /// What a rule matches.
        #[derive(Clone, Debug, Args)]
        pub(crate) struct RuleNumbers {
            $(
                #[doc = $rule]
                #[arg(long, value_name = "NUMBER")]
                $name: Option<Bounded<$max>>,
            )*
        }

        /// What a packet has.
        #[derive(Clone, Copy, Debug, Args)]
        pub(crate) struct PacketNumbers {
            $(
                #[doc = $packet]
                #[arg(long, value_name = "NUMBER")]
                $name: Option<Bounded<$max>>,
            )*
        }

        impl From<RuleNumbers> for HeaderNumbers {
            fn from(RuleNumbers { $($name),* }: RuleNumbers) -> Self {
                Self { $($name),* }
            }
        }

        impl From<PacketNumbers> for HeaderNumbers {
            fn from(PacketNumbers { $($name),* }: PacketNumbers) -> Self {
                Self { $($name),* }
            }
        }
    };
}
match_numbers! { [flags] {} }
