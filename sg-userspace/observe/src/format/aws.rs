//! Lines of VPC flow logs of AWS: fields in the order of a format string, separated by spaces.
//!
//! A flow with packets in both directions is two lines. What this project does not have is `-`; fields that came after version 5
//! are about AWS alone and are refused. Called by `Format`.

use std::{fmt, str::FromStr};

use ipnet::IpNet;
use thiserror::Error;

use super::{Side, Status, bytes, sides};
use crate::record::Record;

/// A field that this format does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is no field of AWS flow logs here: write fields as ${{FIELD}}, separated by spaces, from {allowed}", allowed = names())]
pub struct UnknownAwsField {
    /// The text as given.
    pub found: String,
}

macro_rules! fields {
    ($($field:ident $name:literal $version:literal,)*) => {
        /// A field of a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Field {
            $($field,)*
        }

        impl Field {
            const ALL: &[Self] = &[$(Self::$field),*];

            const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }

            /// The version of flow logs that brought it.
            const fn version(self) -> u8 {
                match self { $(Self::$field => $version,)* }
            }
        }
    };
}

// The first fourteen are the default format, in its order.
fields! {
    Version "version" 2,
    AccountId "account-id" 2,
    InterfaceId "interface-id" 2,
    SrcAddr "srcaddr" 2,
    DstAddr "dstaddr" 2,
    SrcPort "srcport" 2,
    DstPort "dstport" 2,
    Protocol "protocol" 2,
    Packets "packets" 2,
    Bytes "bytes" 2,
    Start "start" 2,
    End "end" 2,
    Action "action" 2,
    LogStatus "log-status" 2,
    VpcId "vpc-id" 3,
    SubnetId "subnet-id" 3,
    InstanceId "instance-id" 3,
    TcpFlags "tcp-flags" 3,
    Type "type" 3,
    PktSrcAddr "pkt-srcaddr" 3,
    PktDstAddr "pkt-dstaddr" 3,
    Region "region" 4,
    AzId "az-id" 4,
    SublocationType "sublocation-type" 4,
    SublocationId "sublocation-id" 4,
    PktSrcAwsService "pkt-src-aws-service" 5,
    PktDstAwsService "pkt-dst-aws-service" 5,
    FlowDirection "flow-direction" 5,
    TrafficPath "traffic-path" 5,
}

fn names() -> String {
    Field::ALL.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
}

/// The fields of a line, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFields {
    fields: Vec<Field>,
    /// The highest version of a field, as AWS numbers custom formats.
    version: u8,
}

/// The default format, which has the fields of version 2.
impl Default for AwsFields {
    fn default() -> Self {
        let fields = Field::ALL.iter().copied().filter(|field| field.version() == 2).collect();
        Self { fields, version: 2 }
    }
}

/// A format string, such as `${version} ${interface-id} ${srcaddr}`.
impl FromStr for AwsFields {
    type Err = UnknownAwsField;

    fn from_str(text: &str) -> Result<Self, UnknownAwsField> {
        let field = |word: &str| {
            let name = word.strip_prefix("${").and_then(|word| word.strip_suffix('}'));
            let known = name.and_then(|name| Field::ALL.iter().copied().find(|field| field.name() == name));
            known.ok_or_else(|| UnknownAwsField { found: name.unwrap_or(word).to_owned() })
        };
        let fields: Vec<Field> = text.split_whitespace().map(field).collect::<Result<_, _>>()?;
        let version = fields.iter().map(|field| field.version()).max();
        let version = version.ok_or_else(|| UnknownAwsField { found: text.to_owned() })?;
        Ok(Self { fields, version })
    }
}

impl fmt::Display for AwsFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.iter().enumerate().try_for_each(|(index, field)| {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "${{{}}}", field.name())
        })
    }
}

impl AwsFields {
    pub(super) fn write(&self, record: &Record, to: &mut Vec<u8>) {
        match sides(record) {
            Ok(sides) => sides.for_each(|side| self.line(to, |field, to| of_side(field, side, to))),
            Err(Some(status)) => self.without_traffic(record, status, to),
            Err(None) => {}
        }
    }

    /// An interval in which the NIC had no traffic, or records were lost.
    pub(super) fn without_traffic(&self, record: &Record, status: Status, to: &mut Vec<u8>) {
        self.line(to, |field, to| match field {
            Field::LogStatus => to.extend_from_slice(status.name().as_bytes()),
            _ => of_nic(field, record, to),
        });
    }

    fn line(&self, to: &mut Vec<u8>, mut write: impl FnMut(Field, &mut Vec<u8>)) {
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                to.push(b' ');
            }
            match field {
                Field::Version => bytes::number(self.version.into(), to),
                field => write(*field, to),
            }
        }
        to.push(b'\n');
    }
}

/// A field of a record's direction.
fn of_side(field: Field, side: Side<'_>, to: &mut Vec<u8>) {
    let ((src, sport), (dst, dport)) = (side.source(), side.destination());
    match field {
        Field::SrcAddr | Field::PktSrcAddr => bytes::address(src, to),
        Field::DstAddr | Field::PktDstAddr => bytes::address(dst, to),
        Field::SrcPort => bytes::number_or_dash(sport, to),
        Field::DstPort => bytes::number_or_dash(dport, to),
        Field::Protocol => bytes::number_or_dash(side.record.protocol, to),
        Field::Packets => bytes::number(side.packets(), to),
        Field::Bytes => bytes::number(side.bytes(), to),
        Field::Action => to.extend_from_slice(side.action().as_bytes()),
        Field::LogStatus => to.extend_from_slice(b"OK"),
        Field::TcpFlags => bytes::number_or_dash(side.tcp_flags(), to),
        Field::Type => to.extend_from_slice(match src.or(dst) {
            Some(IpNet::V4(_)) => b"IPv4",
            Some(IpNet::V6(_)) => b"IPv6",
            None => b"-",
        }),
        Field::FlowDirection => {
            to.extend_from_slice(if side.is_ingress() { b"ingress" } else { b"egress" });
        }
        _ => of_nic(field, side.record, to),
    }
}

/// A field that has nothing to do with packets.
fn of_nic(field: Field, record: &Record, to: &mut Vec<u8>) {
    match field {
        Field::InterfaceId => bytes::word(Some(&record.nic), to),
        Field::InstanceId => bytes::word(record.instance.as_deref(), to),
        Field::VpcId => bytes::word(record.vpc.as_deref(), to),
        Field::Start => bytes::seconds(record.start, to),
        Field::End => bytes::seconds(record.end, to),
        _ => to.push(b'-'),
    }
}
