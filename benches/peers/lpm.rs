//! The tables of `tests/programs/src/lpm.rs`. Only the longest prefix matches, so each prefix has everything that the rules of
//! the shorter ones around it say.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{
        HashMap,
        lpm_trie::{Key, LpmTrie},
    },
};
use ipnet::Ipv4Net;
use sg_benches::cloud::{Rule, TCP, UDP};
use sg_tests::lab::{Host, programs};

use super::{Filter, Peer, attached};

/// The size of a flow's key, in bytes.
const FLOW: usize = 16;

pub(super) const PEER: Peer = Peer { name: "lpm", commands: &[], conntrack: false, install };

fn install(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let mut ebpf = programs()?;
    let mut nets: Vec<Ipv4Net> = rules.iter().map(|rule| rule.remote).collect();
    nets.sort_unstable();
    nets.dedup();
    let mut remotes: LpmTrie<_, [u8; 4], u32> =
        LpmTrie::try_from(ebpf.map_mut("LPM_REMOTES").context("no remotes")?)?;
    for (who, net) in (0..).zip(&nets) {
        remotes.insert(&Key::new(net.prefix_len().into(), net.addr().octets()), who, 0)?;
    }
    let mut services: LpmTrie<_, [u8; 8], u32> =
        LpmTrie::try_from(ebpf.map_mut("LPM_SERVICES").context("no services")?)?;
    for (who, net) in (0_u32..).zip(&nets) {
        let around: Vec<_> = rules.iter().filter(|rule| rule.remote.contains(net)).collect();
        for protocol in [TCP, UDP] {
            for (port, bits) in accepted(&around, protocol).into_iter().flat_map(prefixes) {
                let ([a, b, c, d], [high, low]) = (who.to_be_bytes(), port.to_be_bytes());
                services.insert(&Key::new(40 + bits, [a, b, c, d, protocol, high, low, 0]), 1, 0)?;
            }
        }
    }
    attached(host, ebpf, ["lpm_ingress", "lpm_egress"])
}

/// Empties the table of flows.
pub(super) fn forget(programs: &mut Ebpf) -> Result<()> {
    let mut flows: HashMap<_, [u8; FLOW], u32> =
        HashMap::try_from(programs.map_mut("LPM_FLOWS").context("no flows")?)?;
    let known: Vec<_> = flows.keys().collect::<Result<_, _>>()?;
    known.iter().try_for_each(|flow| Ok(flows.remove(flow)?))
}

/// The ranges of ports that the first rule that matches accepts.
fn accepted(rules: &[&Rule], protocol: u8) -> Vec<[u16; 2]> {
    let of_it: Vec<_> = rules.iter().filter(|rule| rule.protocol == protocol).collect();
    let mut edges: Vec<u32> =
        of_it.iter().flat_map(|rule| [u32::from(rule.ports[0]), u32::from(rule.ports[1]) + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut ranges: Vec<[u16; 2]> = Vec::new();
    for pair in edges.windows(2) {
        let (first, last) = (pair[0] as u16, (pair[1] - 1) as u16);
        let found = of_it.iter().find(|rule| rule.ports[0] <= first && last <= rule.ports[1]);
        if !found.is_some_and(|rule| rule.accepts) {
            continue;
        }
        match ranges.last_mut() {
            Some(before) if u32::from(before[1]) + 1 == pair[0] => before[1] = last,
            _ => ranges.push([first, last]),
        }
    }
    ranges
}

/// A range as prefixes: the first port, and how many bits of it count.
fn prefixes([first, last]: [u16; 2]) -> Vec<(u16, u32)> {
    let (mut next, end) = (u32::from(first), u32::from(last) + 1);
    let mut all = Vec::new();
    while next < end {
        let room = (end - next).ilog2();
        let size = if next == 0 { room } else { room.min(next.trailing_zeros()) }.min(16);
        all.push((next as u16, 16 - size));
        next += 1 << size;
    }
    all
}
