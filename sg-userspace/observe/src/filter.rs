//! A filter: which records a reader or a sink wants.
//!
//! It is the same in the query of `GET /v1/observe`, in flags of `sgctl observe` and in `--flow-log-filter`. It must never know
//! where records come from. The API, the history, the sinks and the observer call it.

use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use sg_common::verdict::Reason;
use sg_model::{MOMENT, PortRange, ProtocolName, moment, port_range, text::digits};
use thiserror::Error;

use crate::{
    UnknownWord,
    record::{Direction, Event, IcmpType, Record, Verdict},
};

/// A condition that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// No condition has this name.
    #[error("{0:?} is no condition of a filter: allowed are {allowed}", allowed = Filter::KEYS.join(", "))]
    UnknownKey(String),
    /// The condition has another form.
    #[error("{0:?}: write KEY=VALUE, such as verdict=drop")]
    NoPair(String),
    /// The value of a condition is one of several words, and this is none of them.
    #[error(transparent)]
    UnknownWord(#[from] UnknownWord),
    /// The value of a condition does not fit it.
    #[error("{key}={found:?}: write {wanted}")]
    Value {
        /// The condition.
        key: &'static str,
        /// The value as given.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A condition that can be given once only was given again.
    #[error("{0}: given twice, and allowed once")]
    Twice(&'static str),
}

/// The ICMP messages of a type, or one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpPattern {
    /// The type.
    pub kind: u8,
    /// The code. `None`: every one.
    pub code: Option<u8>,
}

/// Which records are wanted. Each list holds alternatives, an empty one admits everything, and all of them must admit a record.
///
/// Written as `KEY=VALUE` in a query or in a list with commas. A key may be repeated: `verdict=drop,verdict=reject` admits both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `event`.
    pub events: Vec<Event>,
    /// `verdict`.
    pub verdicts: Vec<Verdict>,
    /// `direction`.
    pub directions: Vec<Direction>,
    /// `nic`: id or device.
    pub nics: Vec<String>,
    /// `group`: the group of the rule, or one without a matching rule, before the default.
    pub groups: Vec<String>,
    /// `rule`: `RULE`, or `GROUP/RULE`.
    pub rules: Vec<String>,
    /// `reason`: its word.
    pub reasons: Vec<String>,
    /// `remote`: an address or prefix.
    pub remotes: Vec<IpNet>,
    /// `local`: an address or prefix.
    pub locals: Vec<IpNet>,
    /// `port`: the destination port of the first packet, or a range `FIRST-LAST`.
    pub ports: Vec<PortRange>,
    /// `protocol`: a name or number.
    pub protocols: Vec<u8>,
    /// `icmp`: `TYPE` or `TYPE/CODE`.
    pub icmp: Vec<IcmpPattern>,
    /// `since`: a time, or how long ago, such as `5m`. Records that ended before it are left out.
    pub since: Option<Timestamp>,
    /// `until`: as `since`. Records that began after it are left out.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// The names of the conditions.
    pub const KEYS: [&str; 14] = [
        "event",
        "verdict",
        "direction",
        "nic",
        "group",
        "rule",
        "reason",
        "remote",
        "local",
        "port",
        "protocol",
        "icmp",
        "since",
        "until",
    ];

    /// Adds a condition, or an alternative to an earlier one. Durations count back from `now`.
    ///
    /// # Errors
    /// The key or the value is not understood.
    pub fn add(&mut self, key: &str, value: &str, now: Timestamp) -> Result<(), FilterError> {
        match key {
            "event" => self.events.push(value.parse()?),
            "verdict" => self.verdicts.push(value.parse()?),
            "direction" => self.directions.push(value.parse()?),
            "nic" => self.nics.push(name("nic", value)?),
            "group" => self.groups.push(name("group", value)?),
            "rule" => self.rules.push(name("rule", value)?),
            "reason" => self.reasons.push(reason(value)?),
            "remote" => self.remotes.push(net("remote", value)?),
            "local" => self.locals.push(net("local", value)?),
            "port" => self.ports.push(ports(value)?),
            "protocol" => self.protocols.push(protocol(value)?),
            "icmp" => self.icmp.push(icmp(value)?),
            "since" => once("since", &mut self.since, when("since", value, now)?)?,
            "until" => once("until", &mut self.until, when("until", value, now)?)?,
            _ => return Err(FilterError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    /// Whether a record is wanted.
    ///
    /// A folded record is wanted if it may stand for packets of a remote that is wanted; a loss is, whatever the conditions
    /// on traffic; a change of the policy, if there are none but on NICs.
    #[must_use]
    pub fn admits(&self, record: &Record) -> bool {
        let Self {
            events,
            verdicts,
            directions,
            nics,
            groups,
            rules,
            reasons,
            remotes,
            locals,
            ports,
            protocols,
            icmp,
            since: _,
            until: _,
        } = self;
        if !self.is_in_time(record) || !any(events, |event| *event == record.event) {
            return false;
        }
        match record.event {
            Event::Lost => return true,
            Event::Policy => return self.is_of_nic(record) && !self.is_about_traffic(),
            Event::Begin | Event::Continue | Event::End | Event::Denied | Event::Revoked => {}
        }
        let number = |number: Option<u8>, wanted: u8| number == Some(wanted);
        any(verdicts, |verdict| *verdict == record.verdict)
            && any(directions, |direction| *direction == record.direction)
            && any(nics, |nic| *nic == record.nic || *nic == record.device)
            && any(protocols, |protocol| number(record.protocol, *protocol))
            && any(ports, |range| record.dport.is_some_and(|port| range.contains(port)))
            && any(remotes, |net| is_in(record.remote(), net, record.folded))
            && any(locals, |net| is_in(record.local(), net, record.folded))
            && any(icmp, |pattern| record.icmp.is_some_and(|icmp| pattern.admits(icmp)))
            && any(reasons, |reason| *reason == record.reason)
            && any(groups, |group| record.group.as_ref() == Some(group) || record.groups.contains(group))
            && any(rules, |rule| is_rule(record, rule))
    }

    /// Whether somebody wants to be told that the NIC of `interval` had no traffic in it. That holds for traffic of every kind, so
    /// conditions on traffic do not matter.
    #[must_use]
    pub fn admits_no_data(&self, interval: &Record) -> bool {
        self.is_in_time(interval) && self.is_of_nic(interval)
    }

    fn is_in_time(&self, record: &Record) -> bool {
        self.since.is_none_or(|since| record.end >= since)
            && self.until.is_none_or(|until| record.start <= until)
    }

    fn is_of_nic(&self, record: &Record) -> bool {
        let is = |nic: &String| *nic == record.nic || *nic == record.device;
        record.nic.is_empty() || any(&self.nics, is)
    }

    /// Whether it has a condition that only records of packets can meet, other than the NIC.
    fn is_about_traffic(&self) -> bool {
        let Self {
            events: _,
            verdicts,
            directions,
            nics: _,
            groups,
            rules,
            reasons,
            remotes,
            locals,
            ports,
            protocols,
            icmp,
            since: _,
            until: _,
        } = self;
        !(verdicts.is_empty()
            && directions.is_empty()
            && groups.is_empty()
            && rules.is_empty()
            && reasons.is_empty()
            && remotes.is_empty()
            && locals.is_empty()
            && ports.is_empty()
            && protocols.is_empty()
            && icmp.is_empty())
    }
}

impl IcmpPattern {
    /// Whether a message is one of these.
    #[must_use]
    pub fn admits(self, message: IcmpType) -> bool {
        self.kind == message.kind && self.code.is_none_or(|code| code == message.code)
    }
}

fn any<T>(alternatives: &[T], admits: impl FnMut(&T) -> bool) -> bool {
    alternatives.is_empty() || alternatives.iter().any(admits)
}

/// Whether the end of a record is in `net`; of a folded record, whether it may be.
fn is_in(end: Option<IpNet>, net: &IpNet, folded: bool) -> bool {
    match end {
        Some(end) => net.contains(&end) || (folded && end.contains(net)),
        None => folded,
    }
}

fn is_rule(record: &Record, wanted: &str) -> bool {
    let Some(rule) = record.rule.as_deref() else { return false };
    let of_group = || {
        record.group.as_deref().and_then(|group| wanted.strip_prefix(group)?.strip_prefix('/')) == Some(rule)
    };
    rule == wanted || of_group()
}

fn name(key: &'static str, value: &str) -> Result<String, FilterError> {
    if value.is_empty() {
        return Err(FilterError::Value { key, found: String::new(), wanted: "a name" });
    }
    Ok(value.to_owned())
}

fn reason(value: &str) -> Result<String, FilterError> {
    let known = Reason::ALL.iter().any(|reason| reason.name() == value);
    if known {
        return Ok(value.to_owned());
    }
    let allowed = Reason::ALL.map(Reason::name).join(", ");
    Err(UnknownWord { what: "reason", found: value.to_owned(), allowed }.into())
}

fn net(key: &'static str, value: &str) -> Result<IpNet, FilterError> {
    let wanted = "an IP address or prefix, such as 192.0.2.0/24";
    sg_model::net(value).ok_or_else(|| FilterError::Value { key, found: value.to_owned(), wanted })
}

fn ports(value: &str) -> Result<PortRange, FilterError> {
    let wanted = "a port from 0 to 65535, or a range FIRST-LAST";
    port_range(value, '-').ok_or_else(|| FilterError::Value { key: "port", found: value.to_owned(), wanted })
}

fn protocol(value: &str) -> Result<u8, FilterError> {
    let wanted = "tcp, udp, icmp, icmpv6, gre, sctp or 0 to 255";
    let name: Result<ProtocolName, _> = value.parse();
    name.map(|name| name.0).map_err(|_| FilterError::Value {
        key: "protocol",
        found: value.to_owned(),
        wanted,
    })
}

fn icmp(value: &str) -> Result<IcmpPattern, FilterError> {
    let (kind, code) = value.split_once('/').map_or((value, None), |(kind, code)| (kind, Some(code)));
    let pattern = || {
        Some(IcmpPattern {
            kind: digits(kind)?,
            code: code.map(digits).map_or(Some(None), |code| code.map(Some))?,
        })
    };
    let wanted = "TYPE or TYPE/CODE, each from 0 to 255";
    pattern().ok_or_else(|| FilterError::Value { key: "icmp", found: value.to_owned(), wanted })
}

/// A time, or how long before `now`.
fn when(key: &'static str, value: &str, now: Timestamp) -> Result<Timestamp, FilterError> {
    moment(value, now).ok_or_else(|| FilterError::Value { key, found: value.to_owned(), wanted: MOMENT })
}

fn once(key: &'static str, place: &mut Option<Timestamp>, time: Timestamp) -> Result<(), FilterError> {
    if place.replace(time).is_some() { Err(FilterError::Twice(key)) } else { Ok(()) }
}

/// Conditions with commas between them.
impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let now = Timestamp::now();
        let mut filter = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| FilterError::NoPair(pair.to_owned()))?;
            filter.add(key.trim(), value.trim(), now)?;
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests;
