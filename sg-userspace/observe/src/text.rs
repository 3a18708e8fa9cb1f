//! A record as one line for people: what `sgctl observe` prints.
//!
//! Names are escaped, so that a name cannot move the cursor or look like another column. It must never know colours or widths of
//! terminals. `sgctl` calls it, through `Display` of a record.

mod row;

use std::fmt::{self, Display as _, Write as _};

use ipnet::IpNet;
use sg_model::{
    Protocol, Shortest,
    text::{escaped, is_invisible},
};

pub use row::NoRecord;

use crate::record::{Record, Stage};

/// `TIME EVENT VERDICT DIRECTION NIC SRC -> DST PROTOCOL RULE PACKETS BYTES GENERATION`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {:8}", self.end, self.event)?;
        if self.event.is_traffic() {
            write!(f, " {:6} {:7} ", self.verdict, self.direction)?;
            word(f, if self.nic.is_empty() { "-" } else { &self.nic })?;
            f.write_char(' ')?;
            end(f, self.src, self.sport)?;
            f.write_str(" -> ")?;
            end(f, self.dst, self.dport)?;
            f.write_char(' ')?;
            match (self.protocol, self.icmp) {
                (Some(number), Some(icmp)) => {
                    write!(f, "{}:{}/{}", Protocol::Number(number), icmp.kind, icmp.code)?;
                }
                (Some(number), None) => Protocol::Number(number).fmt(f)?,
                (None, _) => f.write_char('-')?,
            }
            f.write_char(' ')?;
            decider(f, self)?;
            counts(f, self.packets, "pkts")?;
            counts(f, self.bytes, "B")?;
            if self.folded {
                f.write_str(" folded")?;
            }
        } else if !self.nic.is_empty() {
            f.write_char(' ')?;
            word(f, &self.nic)?;
        }
        if let Some(count) = self.count {
            write!(f, " {count} records")?;
        }
        if let Some(message) = &self.message {
            write!(f, " {}", escaped(message))?;
        }
        if self.generation != 0 { write!(f, " gen {}", self.generation) } else { Ok(()) }
    }
}

/// An address with its port, `any` for one that was folded away or not parsed.
fn end(f: &mut fmt::Formatter<'_>, net: Option<IpNet>, port: Option<u16>) -> fmt::Result {
    match (net, port) {
        (Some(IpNet::V6(net)), Some(port)) => write!(f, "[{}]:{port}", Shortest(net.into())),
        (Some(net), Some(port)) => write!(f, "{}:{port}", Shortest(net)),
        (Some(net), None) => Shortest(net).fmt(f),
        (None, Some(port)) => write!(f, "any:{port}"),
        (None, None) => f.write_str("any"),
    }
}

/// The rule with its group, the default with the groups that were evaluated, or the reason.
fn decider(f: &mut fmt::Formatter<'_>, record: &Record) -> fmt::Result {
    let rule = record.rule.as_deref().unwrap_or(&record.reason);
    match record.stage {
        Stage::Rule | Stage::IntraGroup => {
            if let Some(group) = &record.group {
                word(f, group)?;
                f.write_char('/')?;
            }
            word(f, rule)
        }
        Stage::Default => {
            f.write_str("default")?;
            for (index, group) in record.groups.iter().enumerate() {
                f.write_char(if index == 0 { '(' } else { ',' })?;
                word(f, group)?;
            }
            if record.groups.is_empty() { Ok(()) } else { f.write_char(')') }
        }
        Stage::Exception | Stage::Reason if record.reason.is_empty() => f.write_char('-'),
        Stage::Exception | Stage::Reason => word(f, &record.reason),
    }
}

/// Counts of the side that opened, and of the other if it sent something.
fn counts(f: &mut fmt::Formatter<'_>, [opened, other]: [u64; 2], unit: &str) -> fmt::Result {
    if other == 0 { write!(f, " {opened} {unit}") } else { write!(f, " {opened}/{other} {unit}") }
}

/// A name. One that could be taken for several words, or for none, is in quotation marks.
fn word(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain =
        |letter: char| !(" \"\\/,()".contains(letter) || letter.is_whitespace() || is_invisible(letter));
    if !name.is_empty() && name.chars().all(plain) {
        return f.write_str(name);
    }
    f.write_char('"')?;
    for letter in name.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            _ if is_invisible(letter) => write!(f, "{}", letter.escape_default())?,
            _ => f.write_char(letter)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests;
