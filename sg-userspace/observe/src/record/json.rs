//! The JSON of a record: which fields it has by its event, and addresses as text.
//!
//! It must never change a record. Called by serde.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize as _, Deserializer, Serialize, Serializer, de, ser::SerializeStruct as _};
use sg_model::Shortest;

use super::Record;

/// An address or a prefix.
pub(super) fn net<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpNet>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(from)? else { return Ok(None) };
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(Some).map_err(|_| de::Error::custom(format_args!("{text:?}: an IP address or prefix")))
}

/// By hand: derived, a change of the policy would have a verdict.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self {
            event,
            start,
            end,
            nic,
            device,
            instance,
            vpc,
            direction,
            vlan,
            protocol,
            src,
            sport,
            dst,
            dport,
            icmp,
            verdict,
            stage,
            group,
            rule,
            groups,
            reason,
            generation,
            state,
            packets,
            bytes,
            tcp_flags,
            folded,
            message,
            count,
            live,
            frame,
        } = self;
        let traffic = event.is_traffic();
        // A sum over several rules has none.
        let decided = traffic && !reason.is_empty();
        let mut fields = to.serialize_struct("Record", 31)?;
        macro_rules! write {
            ($($name:ident)*) => { $(fields.serialize_field(stringify!($name), $name)?;)* };
        }
        macro_rules! write_some {
            ($($name:ident)*) => {
                $(match $name {
                    Some(value) => fields.serialize_field(stringify!($name), value)?,
                    None => fields.skip_field(stringify!($name))?,
                })*
            };
        }
        let (src, dst) = (src.map(Shortest), dst.map(Shortest));
        let (src, dst) = (&src, &dst);
        write! { event start end nic device }
        write_some! { instance vpc }
        if traffic {
            write! { direction }
        }
        write_some! { vlan protocol src sport dst dport icmp }
        if traffic {
            write! { verdict }
        }
        if decided {
            write! { stage }
        }
        write_some! { group rule }
        if !groups.is_empty() {
            write! { groups }
        }
        if decided {
            write! { reason }
        }
        write! { generation }
        write_some! { state }
        if traffic {
            write! { packets bytes }
        }
        write_some! { tcp_flags }
        if *folded {
            write! { folded }
        }
        write_some! { message count }
        if *live {
            write! { live }
        }
        write_some! { frame }
        fields.end()
    }
}
