//! Records as bytes, in the formats of the flow log.
//!
//! Each format has a file that knows its fields. A format writes into a buffer that is used again and allocates nothing of its
//! own but for what escaping needs. It must never know where the bytes go. The sinks call it.

mod alibaba;
mod aws;
mod azure;
mod bytes;
mod native;

use std::{borrow::Borrow, fmt, str::FromStr};

use thiserror::Error;

pub use aws::{AwsFields, UnknownAwsField};

use crate::record::{Event, Record};

/// A text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// No format has this name.
    #[error(
        "{0:?} is no format of the flow log: allowed are native, alibaba, aws, aws:${{FIELD}} ${{FIELD}} …, and azure"
    )]
    Unknown(String),
    /// A field of an AWS format string is not there.
    #[error(transparent)]
    AwsField(#[from] UnknownAwsField),
}

/// A format of the flow log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, with every field of a [`Record`].
    #[default]
    Native,
    /// A JSON object a line, with the fields of VPC flow logs of Alibaba Cloud.
    Alibaba,
    /// A line of fields, as VPC flow logs of AWS have.
    Aws(AwsFields),
    /// A JSON object a line, as virtual network flow logs of Azure have in version 4.
    Azure,
}

impl Format {
    /// Writes `records` to the end of `to`, in whole lines. Formats of clouds have no changes of the policy; those of AWS and
    /// Alibaba Cloud say `SKIPDATA` where records were lost.
    pub fn write<R: Borrow<Record>>(&self, records: &[R], to: &mut Vec<u8>) {
        match self {
            Self::Native => records.iter().for_each(|record| native::write(record.borrow(), to)),
            Self::Alibaba => records.iter().for_each(|record| alibaba::write(record.borrow(), to)),
            Self::Aws(fields) => records.iter().for_each(|record| fields.write(record.borrow(), to)),
            Self::Azure => azure::write(records, to),
        }
    }

    /// Writes that the NIC of `interval` had no traffic between its start and end, where the format has such a line.
    pub fn write_no_data(&self, interval: &Record, to: &mut Vec<u8>) {
        match self {
            Self::Native | Self::Azure => {}
            Self::Alibaba => alibaba::without_traffic(interval, Status::NoData, to),
            Self::Aws(fields) => fields.without_traffic(interval, Status::NoData, to),
        }
    }
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "native" => Ok(Self::Native),
            "alibaba" => Ok(Self::Alibaba),
            "aws" => Ok(Self::Aws(AwsFields::default())),
            "azure" => Ok(Self::Azure),
            _ => match text.strip_prefix("aws:") {
                Some(fields) => Ok(Self::Aws(fields.parse()?)),
                None => Err(FormatError::Unknown(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Alibaba => f.write_str("alibaba"),
            Self::Aws(fields) => write!(f, "aws:{fields}"),
            Self::Azure => f.write_str("azure"),
        }
    }
}

/// What the clouds say of an interval, in `log-status`.
#[derive(Clone, Copy)]
enum Status {
    NoData,
    SkipData,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::NoData => "NODATA",
            Self::SkipData => "SKIPDATA",
        }
    }
}

/// A record as the clouds have it, one for each direction that had packets. `Err`: of an interval without data.
fn sides(record: &Record) -> Result<impl Iterator<Item = Side<'_>>, Option<Status>> {
    match record.event {
        Event::Begin | Event::Continue | Event::End | Event::Denied | Event::Revoked => {}
        Event::Lost => return Err(Some(Status::SkipData)),
        Event::Policy => return Err(None),
    }
    let [opened, other] = record.packets;
    let first = Side { record, reply: false };
    let second = Side { record, reply: true };
    Ok([(opened > 0 || other == 0, first), (other > 0, second)]
        .into_iter()
        .filter_map(|(is, side)| is.then_some(side)))
}

/// One direction of a record.
#[derive(Clone, Copy)]
struct Side<'a> {
    record: &'a Record,
    /// Whether it is the direction against that of the first packet.
    reply: bool,
}

impl Side<'_> {
    fn is_ingress(self) -> bool {
        (self.record.direction == crate::record::Direction::Ingress) != self.reply
    }

    const fn source(self) -> (Option<ipnet::IpNet>, Option<u16>) {
        let Record { src, sport, dst, dport, .. } = self.record;
        if self.reply { (*dst, *dport) } else { (*src, *sport) }
    }

    const fn destination(self) -> (Option<ipnet::IpNet>, Option<u16>) {
        let Record { src, sport, dst, dport, .. } = self.record;
        if self.reply { (*src, *sport) } else { (*dst, *dport) }
    }

    const fn packets(self) -> u64 {
        self.record.packets[self.reply as usize]
    }

    const fn bytes(self) -> u64 {
        self.record.bytes[self.reply as usize]
    }

    /// Both ways not to accept are one to the clouds.
    fn action(self) -> &'static str {
        if self.record.verdict == crate::record::Verdict::Accept { "ACCEPT" } else { "REJECT" }
    }

    /// FIN, SYN and RST, and ACK only beside SYN, as the clouds have them. An entry follows the flags of both directions in one.
    fn tcp_flags(self) -> Option<u8> {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        self.record.tcp_flags.map(|flags| flags & if flags & SYN == 0 { 0b111 } else { 0b111 | ACK })
    }
}

#[cfg(test)]
mod tests;
