//! Reads a record back from its line of text, or of JSON.
//!
//! A line has less than the record: its end is all of its interval, and device, instance, VPC, state and TCP flags are not there.
//! What it has is enough to ask again what decided. `sgctl check --flow` calls it.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use jiff::Timestamp;
use sg_common::verdict::Reason;
use sg_model::ProtocolName;
use thiserror::Error;

use crate::record::{Event, IcmpType, Record, Stage};

/// A line that is no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoRecord {
    /// It begins like JSON and is not the JSON of a record.
    #[error("no JSON of a record: {0}")]
    Json(String),
    /// A column cannot be read.
    #[error(
        "{found:?} where {wanted} is expected: paste a whole line of `sgctl observe`, or of the flow log"
    )]
    Column {
        /// The text of the column. Empty: the line ends before it.
        found: String,
        /// What the column has.
        wanted: &'static str,
    },
}

impl FromStr for Record {
    type Err = NoRecord;

    fn from_str(line: &str) -> Result<Self, NoRecord> {
        let line = line.trim();
        if line.starts_with('{') {
            return serde_json::from_str(line).map_err(|error| NoRecord::Json(error.to_string()));
        }
        let mut words = words(line).into_iter();
        let mut next =
            |wanted| words.next().filter(|word| !word.is_empty()).ok_or_else(|| column("", wanted));
        let time = parsed::<Timestamp>(&next("a time")?, "a time")?;
        let event: Event = parsed(&next("an event")?, "an event")?;
        if !event.is_traffic() {
            return Err(column(event.name(), "an event about packets"));
        }
        let mut record = Self::new(event, time, time);
        record.verdict = parsed(&next("a verdict")?, "a verdict")?;
        record.direction = parsed(&next("a direction")?, "a direction")?;
        record.nic = Some(unquoted(&next("a NIC")?)).filter(|nic| nic != "-").unwrap_or_default();
        (record.src, record.sport) = end(&next("a source")?)?;
        let arrow = next("->")?;
        if arrow != "->" {
            return Err(column(&arrow, "->"));
        }
        (record.dst, record.dport) = end(&next("a destination")?)?;
        (record.protocol, record.icmp) = protocol(&next("a protocol")?)?;
        decider(&next("a rule")?, &mut record);
        let mut rest: Vec<String> = words.collect();
        for (unit, counts) in [("pkts", &mut record.packets), ("B", &mut record.bytes)] {
            if let Some(at) = rest.iter().position(|word| word == unit).and_then(|at| at.checked_sub(1)) {
                *counts = sides(&rest.remove(at))?;
                rest.remove(at);
            }
        }
        if let Some(at) = rest.iter().position(|word| word == "records").and_then(|at| at.checked_sub(1)) {
            record.count = rest.get(at).map(|count| parsed(count, "a count")).transpose()?;
        }
        record.folded = rest.iter().any(|word| word == "folded");
        if let Some(number) = after(&rest, "gen") {
            record.generation = parsed(number, "a generation")?;
        }
        Ok(record)
    }
}

fn column(found: &str, wanted: &'static str) -> NoRecord {
    NoRecord::Column { found: found.to_owned(), wanted }
}

fn parsed<T: FromStr>(word: &str, wanted: &'static str) -> Result<T, NoRecord> {
    word.parse().map_err(|_| column(word, wanted))
}

fn after<'a>(words: &'a [String], key: &str) -> Option<&'a String> {
    words.iter().position(|word| word == key).and_then(|at| words.get(at + 1))
}

/// Words, of which those in quotation marks may have spaces.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for letter in line.chars() {
        match letter {
            ' ' if !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        word.push(letter);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// A name without its quotation marks and escapes.
fn unquoted(word: &str) -> String {
    let Some(quoted) = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) else {
        return word.to_owned();
    };
    let (mut name, mut letters) = (String::new(), quoted.chars());
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            name.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => name.push('\n'),
            Some('r') => name.push('\r'),
            Some('t') => name.push('\t'),
            Some('u') => {
                let digits: String = letters.by_ref().skip(1).take_while(|letter| *letter != '}').collect();
                name.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            other => name.extend(other),
        }
    }
    name
}

/// An address or prefix with its port.
fn end(word: &str) -> Result<(Option<IpNet>, Option<u16>), NoRecord> {
    const WANTED: &str = "an address with its port, or any";
    let net = |text: &str| -> Result<Option<IpNet>, NoRecord> {
        let net = || text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if text == "any" { Ok(None) } else { net().map(Some).ok_or_else(|| column(word, WANTED)) }
    };
    if let Some((address, port)) = word.strip_prefix('[').and_then(|word| word.split_once("]:")) {
        return Ok((net(address)?, Some(parsed(port, "a port")?)));
    }
    match word.split_once(':') {
        Some((address, port)) if !port.contains(':') => Ok((net(address)?, Some(parsed(port, "a port")?))),
        _ => Ok((net(word)?, None)),
    }
}

fn protocol(word: &str) -> Result<(Option<u8>, Option<IcmpType>), NoRecord> {
    if word == "-" {
        return Ok((None, None));
    }
    let (name, message) = word.split_once(':').map_or((word, None), |(name, message)| (name, Some(message)));
    let name: ProtocolName = parsed(name, "a protocol")?;
    let icmp = match message {
        Some(message) => {
            let (kind, code) =
                message.split_once('/').ok_or_else(|| column(word, "an ICMP type and code"))?;
            Some(IcmpType { kind: parsed(kind, "an ICMP type")?, code: parsed(code, "an ICMP code")? })
        }
        None => None,
    };
    Ok((Some(name.0), icmp))
}

fn sides(word: &str) -> Result<[u64; 2], NoRecord> {
    let (opened, other) = word.split_once('/').unwrap_or((word, "0"));
    Ok([parsed(opened, "a count")?, parsed(other, "a count")?])
}

/// `GROUP/RULE`, `default(GROUP,GROUP)`, or a reason.
fn decider(word: &str, record: &mut Record) {
    if let Some((group, rule)) = split_outside(word, '/') {
        record.stage = if rule == "intra-group" { Stage::IntraGroup } else { Stage::Rule };
        (record.group, record.rule) = (Some(unquoted(group)), Some(unquoted(rule)));
        let reason = if rule == "intra-group" { "intra-group" } else { "rule" };
        reason.clone_into(&mut record.reason);
    } else if let Some(groups) = word.strip_prefix("default") {
        (record.stage, record.rule, record.reason) =
            (Stage::Default, Some("default".into()), "default".into());
        let mut groups = groups.strip_prefix('(').and_then(|groups| groups.strip_suffix(')')).unwrap_or("");
        while !groups.is_empty() {
            let (group, rest) = split_outside(groups, ',').unwrap_or((groups, ""));
            record.groups.push(unquoted(group));
            groups = rest;
        }
    } else if word != "-" {
        record.reason = unquoted(word);
        if let Some(reason) = Reason::ALL.into_iter().find(|reason| reason.name() == word) {
            record.stage = Stage::of(reason);
        }
    }
}

/// Splits at the first `sign` that is in no quotation marks.
fn split_outside(word: &str, sign: char) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let at = word.char_indices().find(|(_, letter)| {
        if *letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = *letter == '\\' && !escaped;
        *letter == sign && !quoted
    });
    at.and_then(|(at, _)| Some((word.get(..at)?, word.get(at + sign.len_utf8()..)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::record;

    proptest! {
        #[test]
        fn a_line_is_read_back_as_far_as_it_goes(mut record in record()) {
            let line = record.to_string();
            let read = line.parse::<Record>();
            if !record.event.is_traffic() {
                prop_assert!(read.is_err());
                return Ok(());
            }
            let read = read.unwrap();
            // The line as a whole is the same, and so is what it was made of.
            prop_assert_eq!(read.to_string(), line);
            for (one, other) in [(record.src, read.src), (record.dst, read.dst)] {
                prop_assert_eq!(one, other);
            }
            record.nic = Some(record.nic).filter(|nic| nic != "-").unwrap_or_default();
            prop_assert_eq!((record.nic, record.generation), (read.nic, read.generation));
            prop_assert_eq!((record.packets, record.bytes), (read.packets, read.bytes));
            if record.stage == Stage::Default {
                prop_assert_eq!(record.groups, read.groups);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Record>();
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, error) in [
            ("", "\"\" where a time is expected"),
            ("yesterday denied", "\"yesterday\" where a time is expected"),
            ("2026-11-30T13:29:28Z denied drop sideways", "\"sideways\" where a direction is expected"),
            ("2026-11-30T13:29:28Z lost 9 records", "\"lost\" where an event about packets is expected"),
            ("{}", "no JSON of a record: missing field `event`"),
        ] {
            let refused = line.parse::<Record>().unwrap_err().to_string();
            assert!(refused.starts_with(error), "{refused}");
        }
    }
}
