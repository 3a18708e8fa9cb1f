//! In which line a packet that starts a flow is. It must never judge it. The API counts live flows by it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::packet::{has_ports, is_icmp};
use sg_model::{Direction, Family};

use super::{
    line::{Line, Span},
    nets::{Nets, has_key},
};

/// A packet that starts a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The direction.
    pub direction: Direction,
    /// The family.
    pub family: Family,
    /// The remote address, as a number.
    pub remote: u128,
    /// The local address, as a number.
    pub local: u128,
    /// The protocol.
    pub protocol: u8,
    /// The source port; of no meaning if the protocol has none.
    pub source_port: u16,
    /// The destination port, or the ICMP type and code as one number; of no meaning if the protocol has neither.
    pub detail: u16,
    /// The DSCP.
    pub dscp: u8,
}

/// Finds the line of a packet.
#[derive(Debug)]
pub struct Finder<'a> {
    lines: HashMap<(&'a str, Direction, Family), Vec<Entry<'a>>>,
}

#[derive(Debug)]
struct Entry<'a> {
    number: usize,
    line: &'a Line<'a>,
}

impl<'a> Finder<'a> {
    /// Of these lines, of one comparison.
    #[must_use]
    pub fn new(lines: &'a [Line<'a>]) -> Self {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for (number, line) in lines.iter().enumerate() {
            let entry = Entry { number, line };
            found.entry((line.nic, line.direction, line.family)).or_default().push(entry);
        }
        Self { lines: found }
    }

    /// The number of the line that a packet of `nic` is in. There is at most one.
    #[must_use]
    pub fn find(&self, nic: &str, start: &Start) -> Option<usize> {
        let entries = self.lines.get(&(nic, start.direction, start.family))?;
        entries.iter().find(|entry| entry.has(start)).map(|entry| entry.number)
    }
}

impl Entry<'_> {
    fn has(&self, start: &Start) -> bool {
        let Start { direction: _, family, remote, local, protocol, source_port, detail, dscp } = *start;
        let Line { protocols, ports, source_ports, icmp, dscp: dscps, .. } = self.line;
        let (is_ported, [kind, code]) = (has_ports(protocol), detail.to_be_bytes());
        is_in(self.line.remote.as_ref(), remote)
            && is_in(self.line.local.as_ref(), local)
            && protocols.as_ref().is_none_or(|list| has(list, protocol))
            && ports.as_ref().is_none_or(|list| is_ported && has(list, detail))
            && source_ports.as_ref().is_none_or(|list| is_ported && has(list, source_port))
            && dscps.as_ref().is_none_or(|list| has(list, dscp))
            && icmp.as_ref().is_none_or(|list| {
                is_icmp(family, protocol)
                    && list.iter().any(|[kinds, codes]| has(&[*kinds], kind) && has(&[*codes], code))
            })
    }
}

fn has<T: PartialOrd + Copy>(list: &[Span<T>], value: T) -> bool {
    list.iter().any(|&(first, last)| (first..=last).contains(&value))
}

fn is_in(nets: Option<&Nets>, key: u128) -> bool {
    nets.is_none_or(|nets| has_key(&nets.ranges, key))
}
