//! A line of a difference: packets of one NIC, one direction and one family that the policies judge differently, and all in the same
//! way. Its fields are those that a rule matches; one that is absent means everything. It must never find differences. `compare`
//! makes lines; `written` writes them.

use sg_common::{
    packet::{has_ports, is_icmp, protocol::is_extension_header},
    verdict::Verdict,
};
use sg_model::{Direction, Family};

use super::{
    cell::Shape,
    decider::{By, Dimension, Named, parts_of},
    nets::Nets,
    set::{Range, SetId, Sets},
};

/// From the first to the last, both included.
pub type Span<T> = (T, T);

/// What decides packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// Who decides.
    pub by: By<'a>,
    /// The group or list that the remote of that is written as.
    pub named: Option<Named<'a>>,
}

/// Packets that are judged differently. No packet is in two lines of one comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The device of the NIC.
    pub nic: &'a str,
    /// The direction, as seen by the NIC's owner.
    pub direction: Direction,
    /// The family.
    pub family: Family,
    /// Remote addresses.
    pub remote: Option<Nets>,
    /// Local addresses.
    pub local: Option<Nets>,
    /// Protocols, by IANA number.
    pub protocols: Option<Vec<Span<u8>>>,
    /// Destination ports. If present, the line has packets with ports only.
    pub ports: Option<Vec<Span<u16>>>,
    /// Source ports. The same.
    pub source_ports: Option<Vec<Span<u16>>>,
    /// ICMP types, each with codes. If present, the line has ICMP (IPv4) or ICMPv6 (IPv6) only.
    pub icmp: Option<Vec<[Span<u8>; 2]>>,
    /// DSCP.
    pub dscp: Option<Vec<Span<u8>>>,
    /// What decides under the first policy.
    pub before: Outcome<'a>,
    /// What decides under the second.
    pub after: Outcome<'a>,
}

/// What a service is: protocols that are in it as a whole, and others with some of their ports or messages.
#[derive(Debug, Default)]
struct Services {
    whole: Vec<u8>,
    /// By details.
    partly: Vec<(Vec<Span<u16>>, Vec<u8>)>,
}

impl Services {
    fn of(keys: &[Range], family: Family) -> Self {
        let mut services = Self::default();
        let mut by_protocol: Vec<(u8, Vec<Span<u16>>)> = Vec::new();
        for range in keys {
            let ((from, first), (to, last)) = (parts_of(range.first), parts_of(range.last));
            for number in from..=to {
                let first = if number == from { first } else { 0 };
                let last = if number == to { last } else { u16::MAX };
                match by_protocol.last_mut() {
                    Some((known, spans)) if *known == number => spans.push((first, last)),
                    _ => by_protocol.push((number, vec![(first, last)])),
                }
            }
        }
        for (number, spans) in by_protocol {
            if family == Family::V6 && is_extension_header(number) {
                // No packet's protocol.
            } else if spans == [(0, u16::MAX)] || !(has_ports(number) || is_icmp(family, number)) {
                services.whole.push(number);
            } else if let Some((_, numbers)) = services.partly.iter_mut().find(|(known, numbers)| {
                *known == spans && numbers.iter().all(|other| has_ports(*other)) && has_ports(number)
            }) {
                numbers.push(number);
            } else {
                services.partly.push((spans, vec![number]));
            }
        }
        services
    }
}

/// Protocols as ranges; `None` if there are all of them. Numbers that no packet has are in a range if their neighbours are.
fn spans_of(numbers: &[u8], family: Family) -> Option<Vec<Span<u8>>> {
    let is_nobodys = |number: u8| family == Family::V6 && is_extension_header(number);
    let mut spans: Vec<Span<u8>> = Vec::new();
    for &number in numbers {
        match spans.last_mut() {
            Some((_, last)) if (*last + 1..number).all(is_nobodys) => *last = number,
            _ => spans.push((number, number)),
        }
    }
    let is_all = matches!(spans.as_slice(), [(first, last)]
        if (0..*first).all(is_nobodys) && (*last..=u8::MAX).skip(1).all(is_nobodys));
    (!is_all).then_some(spans)
}

impl<'a> Line<'a> {
    /// The lines of packets with these keys.
    pub(super) fn of(
        nic: &'a str,
        direction: Direction,
        family: Family,
        keys: &Shape,
        sets: &Sets,
        [before, after]: [Outcome<'a>; 2],
    ) -> Vec<Self> {
        let of = |dimension: Dimension| {
            let set = keys[dimension as usize];
            (set != SetId::FULL).then(|| sets.ranges(set))
        };
        let nets = |dimension: Dimension| {
            let set = keys[dimension as usize];
            (set != SetId::FULL).then(|| Nets { ranges: sets.shared(set), family })
        };
        let spans = |dimension| {
            let of_range = |range: &Range| (range.first as u16, range.last as u16);
            of(dimension).map(|ranges| ranges.iter().map(of_range).collect())
        };
        let line = Self {
            nic,
            direction,
            family,
            remote: nets(Dimension::Remote),
            local: nets(Dimension::Local),
            protocols: None,
            ports: None,
            source_ports: spans(Dimension::SourcePort),
            icmp: None,
            dscp: of(Dimension::Dscp)
                .map(|ranges| ranges.iter().map(|range| (range.first as u8, range.last as u8)).collect()),
            before,
            after,
        };
        let Some(services) = of(Dimension::Service).map(|keys| Services::of(keys, family)) else {
            return vec![line];
        };
        let mut lines = Vec::new();
        if !services.whole.is_empty() {
            lines.push(Self { protocols: spans_of(&services.whole, family), ..line.clone() });
        }
        for (details, numbers) in services.partly {
            let is_ported = numbers.iter().all(|number| has_ports(*number));
            let protocols = spans_of(&numbers, family);
            lines.push(if is_ported {
                Self { protocols, ports: Some(details), ..line.clone() }
            } else {
                Self { protocols, icmp: Some(messages(&details)), ..line.clone() }
            });
        }
        lines
    }

    /// What the change does to these packets.
    #[must_use]
    pub fn effect(&self) -> Effect {
        let [before, after] = [self.before, self.after].map(|outcome| outcome.verdict);
        match (before == after, after == Verdict::Accept, before == Verdict::Accept) {
            (true, ..) => Effect::Attributes,
            (_, true, _) if self.remote.is_none() => Effect::OpensToAny,
            (_, true, _) => Effect::Opens,
            (_, _, true) => Effect::Closes,
            _ => Effect::Refuses,
        }
    }
}

/// What a line does, the most dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Accepts packets that were not accepted, from or to any address.
    OpensToAny,
    /// Accepts packets that were not accepted.
    Opens,
    /// Does not accept packets that were accepted.
    Closes,
    /// Drops what was rejected, or rejects what was dropped.
    Refuses,
    /// The same verdict, by something else.
    Attributes,
}

/// Numbers of lines, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that accept packets which were not accepted.
    pub opens: usize,
    /// Lines that do not accept packets which were accepted.
    pub closes: usize,
    /// Lines that drop what was rejected, or reject what was dropped.
    pub refuses: usize,
    /// Lines with the same verdict, by something else.
    pub attributes: usize,
}

impl Counts {
    /// Of these lines.
    #[must_use]
    pub fn of(lines: &[Line<'_>]) -> Self {
        let mut counts = Self::default();
        for line in lines {
            let number = match line.effect() {
                Effect::OpensToAny | Effect::Opens => &mut counts.opens,
                Effect::Closes => &mut counts.closes,
                Effect::Refuses => &mut counts.refuses,
                Effect::Attributes => &mut counts.attributes,
            };
            *number += 1;
        }
        counts
    }
}

/// Types with codes, of details that are each a type and a code.
fn messages(details: &[Span<u16>]) -> Vec<[Span<u8>; 2]> {
    let mut found = Vec::new();
    for &(first, last) in details {
        let ([mut from, code], [to, last_code]) = (first.to_be_bytes(), last.to_be_bytes());
        if from == to {
            found.push([(from, from), (code, last_code)]);
            continue;
        }
        if code != 0 {
            found.push([(from, from), (code, u8::MAX)]);
            from += 1;
        }
        let whole_to = if last_code == u8::MAX { Some(to) } else { to.checked_sub(1) };
        if let Some(whole_to) = whole_to
            && from <= whole_to
        {
            found.push([(from, whole_to), (0, u8::MAX)]);
        }
        if last_code != u8::MAX {
            found.push([(to, to), (0, last_code)]);
        }
    }
    found
}
