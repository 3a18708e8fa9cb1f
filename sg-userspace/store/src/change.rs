//! Records of all kinds, their keys, and changes of them.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use sg_records::{
    AccessKey, AccessKeyId, Demands, DocumentName, Group, GroupId, Instance, InstanceId, Member, Nic, NicId,
    PortList, PortListId, PrefixList, PrefixListId, Rule, RuleId, Settings, Token, Vpc, VpcId,
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal ($record:ty, $key:ty) = |$value:ident| $of:expr;)*) => {
        /// A record of any kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "record")]
        pub enum Record {
            $($(#[$doc])* #[serde(rename = $name)] $kind(Arc<$record>),)*
        }

        /// The key of a record.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "key")]
        pub enum Key {
            $($(#[$doc])* #[serde(rename = $name)] $kind($key),)*
        }

        /// `rule sgr-…`: different keys have different texts.
        impl fmt::Display for Key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$kind(key) => {
                        f.write_str($name)?;
                        key.follow(f)
                    })*
                }
            }
        }

        impl Record {
            /// The record's key.
            #[must_use]
            pub fn key(&self) -> Key {
                match self {
                    $(Self::$kind($value) => Key::$kind($of),)*
                }
            }
        }

        $(
            impl From<$record> for Record {
                fn from(record: $record) -> Self {
                    Self::$kind(Arc::new(record))
                }
            }

            impl From<$key> for Key {
                fn from(key: $key) -> Self {
                    Self::$kind(key)
                }
            }
        )*
    };
}
/// The part of a key's text after the kind.
trait Follow {
    fn follow(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! follow {
    ($($key:ty),*) => {
        $(impl Follow for $key {
            fn follow(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }
        })*
    };
}
follow!(
    VpcId,
    GroupId,
    RuleId,
    PrefixListId,
    PortListId,
    InstanceId,
    NicId,
    AccessKeyId,
    DocumentName,
    String
);

impl Follow for (GroupId, IpAddr) {
    fn follow(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {} {}", self.0, self.1)
    }
}

impl Follow for () {
    fn follow(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

kinds! {
    Vpc "vpc" (Vpc, VpcId) = |vpc| vpc.id.clone();
    Group "group" (Group, GroupId) = |group| group.id.clone();
    Rule "rule" (Rule, RuleId) = |rule| rule.id.clone();
    /// A member on another host.
    Member "member" (Member, (GroupId, IpAddr)) = |member| (member.group.clone(), member.address);
    PrefixList "prefix_list" (PrefixList, PrefixListId) = |list| list.id.clone();
    PortList "port_list" (PortList, PortListId) = |list| list.id.clone();
    Instance "instance" (Instance, InstanceId) = |instance| instance.id.clone();
    Nic "nic" (Nic, NicId) = |nic| nic.id.clone();
    AccessKey "access_key" (AccessKey, AccessKeyId) = |key| key.id.clone();
    /// The kept response to an operation with a token.
    Token "token" (Token, String) = |token| token.token.clone();
    /// What later changes must keep, by the document that demands it.
    Demands "demands" (Demands, DocumentName) = |demands| demands.document.clone();
    /// The settings of everything; there is one such record.
    Settings "settings" (Settings, ()) = |_settings| ();
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Inserts the record, or replaces the one with its key.
    Put(Record),
    /// Removes the record.
    Delete(Key),
}
