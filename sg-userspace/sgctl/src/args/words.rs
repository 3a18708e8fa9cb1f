//! Words of other programs and of habit where this one has another: what to write is named, nothing is guessed. It must never
//! accept one of them. The arguments of rules and packets call it.

use std::ffi::OsStr;

use clap::{
    Arg, Command, Error,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
    error::ErrorKind,
};
use sg_document::elsewhere::{ACTIONS, BETWEEN};
use sg_model::{address_range, text::escaped};
use sg_records::{Action, Protocol};

use crate::args::service_name::service;

/// The protocol of a rule.
pub(crate) fn rule_protocol(text: &str) -> Result<Protocol, String> {
    protocol(text, "--ports")
}

/// The protocol of a packet, which has one.
pub(crate) fn packet_protocol(text: &str) -> Result<Protocol, String> {
    match protocol(text, "--port")? {
        Protocol::All => Err("a packet has one protocol: write tcp, udp, icmp …, or 0 to 255".to_owned()),
        protocol @ Protocol::Number(_) => Ok(protocol),
    }
}

fn protocol(text: &str, ports: &str) -> Result<Protocol, String> {
    text.parse().map_err(|error: sg_records::ProtocolError| match service(text) {
        Some((name, protocol, _)) => {
            format!("a service is no protocol: write --protocol {protocol} {ports} {name}")
        }
        None => error.to_string(),
    })
}

/// What to write instead of ranges of ports as other programs have them.
pub(crate) fn range_hint(ports: &str) -> Option<String> {
    let port = |text: &str| text.trim().parse::<u16>().ok();
    ports.split(',').find_map(|part| {
        let (first, last) = BETWEEN.iter().find_map(|between| {
            let (first, last) = part.split_once(between)?;
            Some((port(first)?, port(last)?))
        })?;
        Some(format!("a range is written {}-{}", first.min(last), first.max(last)))
    })
}

/// What to write if a remote is the mere name of something.
pub(crate) fn remote_hint(text: &str) -> Option<String> {
    let is_name = text.starts_with(char::is_alphabetic) && !text.contains([':', '/', ' ']);
    let name = escaped(text);
    let range = || {
        let range = address_range(text)?.ok()?;
        Some(format!(
            "a range has a prefix list of its own: `sgctl prefix-list create NAME --entry {range}`;"
        ))
    };
    is_name.then(|| format!("did you mean group:{name} or prefix-list:{name}?")).or_else(range)
}

/// Parses an action.
#[derive(Clone)]
pub(crate) struct ActionParser;

impl TypedValueParser for ActionParser {
    type Value = Action;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Action, Error> {
        let text = value.to_string_lossy();
        let meant = ACTIONS.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
        if let Some((word, meant)) = meant {
            let message = format!("invalid value '{word}' for '--action <ACTION>': did you mean {meant}?\n");
            return Err(Error::raw(ErrorKind::InvalidValue, message).with_cmd(command));
        }
        EnumValueParser::<Action>::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values: Vec<PossibleValue> = EnumValueParser::<Action>::new().possible_values()?.collect();
        Some(Box::new(values.into_iter()))
    }
}
