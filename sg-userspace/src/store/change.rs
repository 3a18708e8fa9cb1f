//! Records of all kinds, and changes of them.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    AccessKey, Group, GroupId, Instance, InstanceId, KeyId, Member, Nic, NicId, PortList, PortListId,
    PrefixList, PrefixListId, Rule, RuleId, Settings, Token, Vpc, VpcId,
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($record:ty, $key:ty) = |$value:ident| $of:expr;)*) => {
        /// A record of any kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", tag = "kind", content = "record")]
        pub enum Record {
            $($(#[$doc])* $kind(Arc<$record>),)*
        }

        /// What names a record.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", tag = "kind", content = "key")]
        pub enum Key {
            $($(#[$doc])* $kind($key),)*
        }

        impl Record {
            /// What names it.
            #[must_use]
            pub fn key(&self) -> Key {
                match self {
                    $(Self::$kind($value) => Key::$kind($of),)*
                }
            }
        }

        $(impl From<$record> for Record {
            fn from(record: $record) -> Self {
                Self::$kind(Arc::new(record))
            }
        })*
    };
}
kinds! {
    /// A VPC.
    Vpc(Vpc, VpcId) = |vpc| vpc.id.clone();
    /// A group.
    Group(Group, GroupId) = |group| group.id.clone();
    /// A rule.
    Rule(Rule, RuleId) = |rule| rule.id.clone();
    /// A member on another host.
    Member(Member, (GroupId, IpAddr)) = |member| (member.group.clone(), member.address);
    /// A prefix list.
    PrefixList(PrefixList, PrefixListId) = |list| list.id.clone();
    /// A port list.
    PortList(PortList, PortListId) = |list| list.id.clone();
    /// An instance.
    Instance(Instance, InstanceId) = |instance| instance.id.clone();
    /// A NIC.
    Nic(Nic, NicId) = |nic| nic.id.clone();
    /// An access key.
    AccessKey(AccessKey, KeyId) = |key| key.id.clone();
    /// The answer to an operation with a token.
    Token(Token, String) = |token| token.token.clone();
    /// What holds for everything; there is one.
    Settings(Settings, ()) = |_settings| ();
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The record is this now.
    Put(Record),
    /// There is none any more.
    Delete(Key),
}
