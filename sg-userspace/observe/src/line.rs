//! Reads back the line for people that `text` writes of a record: from a terminal into `sgctl check --flow`.
//!
//! It must never guess: a word that it does not expect is refused by what should be there. What a line does not have, such as the
//! instance, stays absent. `sgctl` calls it.

use std::{iter::Peekable, net::IpAddr, str::Chars};

use ipnet::IpNet;
use jiff::Timestamp;
use sg_common::verdict::Reason;
use sg_model::ProtocolName;
use thiserror::Error;

use crate::record::{Event, IcmpType, Record, Stage};

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// It ends too early.
    #[error("the line ends where {0} should be")]
    Missing(&'static str),
    /// Something else is where this should be.
    #[error("{found:?} is where {wanted} should be")]
    Unexpected {
        /// What should be there.
        wanted: &'static str,
        /// What is.
        found: String,
    },
    /// It is about no packets.
    #[error("a record of event {0} has no packet")]
    NoPacket(Event),
}

/// Reads a line of a record with packets.
///
/// # Errors
/// It is no such line.
pub fn record(line: &str) -> Result<Record, LineError> {
    let words = split(line, ' ');
    let mut words = words.iter().map(String::as_str).filter(|word| !word.is_empty()).peekable();
    let end: Timestamp = parsed(&mut words, "a time")?;
    let event: Event = parsed(&mut words, "an event")?;
    if !event.is_traffic() {
        return Err(LineError::NoPacket(event));
    }
    let mut record = Record::new(event, end, end);
    record.verdict = parsed(&mut words, "a verdict")?;
    record.direction = parsed(&mut words, "a direction")?;
    record.nic = plain(next(&mut words, "a NIC")?);
    if record.nic == "-" {
        record.nic.clear();
    }
    (record.src, record.sport) = side(&mut words, "a source")?;
    expect(&mut words, "->")?;
    (record.dst, record.dport) = side(&mut words, "a destination")?;
    (record.protocol, record.icmp) = protocol(next(&mut words, "a protocol")?)?;
    decider(next(&mut words, "a rule or reason")?, &mut record);
    record.packets = counts(&mut words, "packets", "pkts")?;
    record.bytes = counts(&mut words, "bytes", "B")?;
    record.folded = words.next_if_eq(&"folded").is_some();
    while let Some(word) = words.next() {
        match (word, words.peek()) {
            ("gen", Some(_)) => record.generation = parsed(&mut words, "a generation")?,
            (count, Some(&"records")) => {
                record.count = Some(number(count, "a number of records")?);
                words.next();
            }
            (found, _) => return Err(unexpected("a generation", found)),
        }
    }
    Ok(record)
}

fn next<'a>(words: &mut impl Iterator<Item = &'a str>, wanted: &'static str) -> Result<&'a str, LineError> {
    words.next().ok_or(LineError::Missing(wanted))
}

fn unexpected(wanted: &'static str, found: &str) -> LineError {
    LineError::Unexpected { wanted, found: found.to_owned() }
}

fn number<T: std::str::FromStr>(word: &str, wanted: &'static str) -> Result<T, LineError> {
    word.parse().map_err(|_| unexpected(wanted, word))
}

fn parsed<'a, T: std::str::FromStr>(
    words: &mut impl Iterator<Item = &'a str>,
    wanted: &'static str,
) -> Result<T, LineError> {
    number(next(words, wanted)?, wanted)
}

fn expect<'a>(words: &mut impl Iterator<Item = &'a str>, wanted: &'static str) -> Result<(), LineError> {
    let found = next(words, wanted)?;
    if found == wanted { Ok(()) } else { Err(unexpected(wanted, found)) }
}

/// An address or prefix with its port: `192.0.2.7:5`, `[2001:db8::1]:5`, `any:5`, `any`.
fn side<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    wanted: &'static str,
) -> Result<(Option<IpNet>, Option<u16>), LineError> {
    let found = next(words, wanted)?;
    let wrong = || unexpected(wanted, found);
    let net = |text: &str| -> Result<Option<IpNet>, LineError> {
        if text == "any" {
            return Ok(None);
        }
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Some).map_err(|_| wrong())
    };
    if let Some(rest) = found.strip_prefix('[') {
        let (address, port) = rest.split_once("]:").ok_or_else(wrong)?;
        return Ok((net(address)?, Some(number(port, wanted)?)));
    }
    if let Ok(net) = net(found) {
        return Ok((net, None));
    }
    let (address, port) = found.rsplit_once(':').ok_or_else(wrong)?;
    Ok((net(address)?, Some(number(port, wanted)?)))
}

/// `tcp`, `icmp:8/0`, `-`.
fn protocol(found: &str) -> Result<(Option<u8>, Option<IcmpType>), LineError> {
    if found == "-" {
        return Ok((None, None));
    }
    let wrong = || unexpected("a protocol", found);
    let name = found.split_once(':').map_or(found, |(name, _)| name);
    let ProtocolName(protocol) = name.parse().map_err(|_| wrong())?;
    let message = |text: &str| {
        let (kind, code) = text.split_once('/')?;
        Some(IcmpType { kind: kind.parse().ok()?, code: code.parse().ok()? })
    };
    let icmp = match found.split_once(':') {
        Some((_, text)) => Some(message(text).ok_or_else(wrong)?),
        None => None,
    };
    Ok((Some(protocol), icmp))
}

/// `web/https`, `default(web,db)`, `malformed`, `-`.
fn decider(word: &str, record: &mut Record) {
    let reasons = || Reason::ALL.iter().map(|reason| reason.name());
    if let Some((group, rule)) = split_once(word, '/') {
        record.stage = if rule == "intra-group" { Stage::IntraGroup } else { Stage::Rule };
        record.stage.name().clone_into(&mut record.reason);
        (record.group, record.rule) = (Some(plain(group)), Some(plain(rule)));
    } else if let Some(groups) = word.strip_prefix("default(").and_then(|rest| rest.strip_suffix(')')) {
        default(record);
        record.groups = split(groups, ',').iter().map(|group| plain(group)).collect();
    } else if word == "default" {
        default(record);
    } else if word == "-" {
        // A sum over several.
    } else if let Some(reason) = reasons().find(|reason| *reason == word) {
        reason.clone_into(&mut record.reason);
    } else {
        record.reason = plain(word);
    }
}

fn default(record: &mut Record) {
    record.stage = Stage::Default;
    "default".clone_into(&mut record.reason);
    record.rule = Some("default".to_owned());
}

/// `3 pkts` or `3/4 pkts`.
fn counts<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    wanted: &'static str,
    unit: &'static str,
) -> Result<[u64; 2], LineError> {
    let found = next(words, wanted)?;
    let (opened, other) = found.split_once('/').unwrap_or((found, "0"));
    let counts = [number(opened, wanted)?, number(other, wanted)?];
    expect(words, unit)?;
    Ok(counts)
}

/// The parts of a text between separators that are in no quotation marks.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = Quoted::new(text);
    while let Some((letter, is_quoted)) = letters.next() {
        if letter == separator && !is_quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

/// The parts before and behind the first separator that is in no quotation marks.
fn split_once(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut letters = Quoted::new(text);
    let mut at = 0;
    loop {
        let (letter, is_quoted) = letters.next()?;
        if letter == separator && !is_quoted {
            return Some((text.get(..at)?, text.get(at + letter.len_utf8()..)?));
        }
        at += letter.len_utf8();
    }
}

/// Letters, and whether each is within quotation marks.
struct Quoted<'a> {
    letters: Chars<'a>,
    inside: bool,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    fn new(text: &'a str) -> Self {
        Self { letters: text.chars(), inside: false, escaped: false }
    }

    fn next(&mut self) -> Option<(char, bool)> {
        let letter = self.letters.next()?;
        let was_escaped = std::mem::take(&mut self.escaped);
        if self.inside && letter == '\\' && !was_escaped {
            self.escaped = true;
        } else if letter == '"' && !was_escaped {
            self.inside = !self.inside;
            return Some((letter, true));
        }
        Some((letter, self.inside))
    }
}

/// A name without its quotation marks and escapes.
fn plain(word: &str) -> String {
    let Some(quoted) = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return word.to_owned();
    };
    let mut name = String::with_capacity(quoted.len());
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        name.push(if letter == '\\' { escape(&mut letters) } else { letter });
    }
    name
}

/// The letter behind a backslash, as `char::escape_default` writes it.
fn escape(letters: &mut Peekable<Chars<'_>>) -> char {
    match letters.next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            letters.next_if_eq(&'{');
            let mut digits = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_hexdigit) {
                digits.push(digit);
            }
            letters.next_if_eq(&'}');
            let letter = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
            letter.unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        Some(letter) => letter,
        None => '\\',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Direction, Verdict};

    const LINE: &str = "2026-11-30T13:29:28.123Z denied   drop   ingress eth0 192.0.2.7:51234 -> 10.0.0.5:443 tcp \
                        web/no-https 3 pkts 180 B gen 7";

    #[test]
    fn a_line_is_read() {
        let found = record(LINE).unwrap();
        assert_eq!(found.to_string(), LINE);
        assert_eq!((found.verdict, found.direction), (Verdict::Drop, Direction::Ingress));
        assert_eq!((found.group.as_deref(), found.rule.as_deref()), (Some("web"), Some("no-https")));
        assert_eq!((found.stage, found.reason.as_str()), (Stage::Rule, "rule"));
        // As a mail or a shell leaves it.
        assert_eq!(record(&LINE.replace("  ", " ")).unwrap(), found);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (line, error) in [
            ("", "the line ends where a time should be"),
            ("yesterday denied", "\"yesterday\" is where a time should be"),
            ("2026-11-30T13:29:28.123Z lost 9 records slow", "a record of event lost has no packet"),
            (&LINE.replace("443", "99999"), "\"99999\" is where a destination should be"),
            (&LINE.replace("tcp", "tpc"), "\"tpc\" is where a protocol should be"),
            (&LINE.replace(" gen 7", " no 7"), "\"no\" is where a generation should be"),
            (&LINE.replace(" 180 B gen 7", ""), "the line ends where bytes should be"),
        ] {
            assert_eq!(record(line).unwrap_err().to_string(), error, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_line_that_is_read_is_written_again(written in crate::tests::record()) {
            prop_assume!(written.event.is_traffic());
            let line = written.to_string();
            let found = record(&line).unwrap();
            // Of a group with a slash in its name, the name is another, and the line is the same but for quotation marks.
            let has_slash = |name: &Option<String>| name.as_ref().is_some_and(|name| name.contains('/'));
            if !has_slash(&written.group) && !has_slash(&written.rule) {
                prop_assert_eq!(found.to_string(), line);
            }
            prop_assert_eq!((found.src, found.sport), (written.src, written.sport));
            prop_assert_eq!((found.packets, found.generation), (written.packets, written.generation));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), at in 0..LINE.len(), letter in any::<char>()) {
            let _ = record(&text);
            let mut line = LINE.to_owned();
            line.insert(at, letter);
            let _ = record(&line);
        }
    }
}
