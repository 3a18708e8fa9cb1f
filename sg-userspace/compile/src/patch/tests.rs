//! A patched image decides like a freshly compiled one, and like the rules, inside and next to every changed range.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::{
    flow::packet_keys,
    image::Walk,
    packet::{Packet, protocol},
    verdict::{Decision, Reason},
};
use sg_model::{GroupIndex, HeaderNumbers, Match, PolicyParts, Precedence, PrefixListIndex, Remote, Rule};
use sg_oracle::Oracle;
use sg_probe::{CheckResult, Probe, ProbeParts};

use super::*;
use crate::{
    compile,
    tests::{OPTIONS, group, hosts, nic, overlapping, parts, rule, tcp},
};

/// Deterministic pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Mostly around a few places, so that they overlap; the ends of the address space too.
    fn address(&mut self) -> IpAddr {
        let places =
            [0_u32, 1, 0x0a00_0000, 0x0a00_ffff, 0x7fff_ffff, 0x8000_0000, 0xfffe_0000, u32::MAX - 3];
        let place = self.of(&places).wrapping_add(self.below(5) as u32);
        if self.below(3) > 0 {
            return Ipv4Addr::from_bits(place).into();
        }
        let lows = [0, 1, u64::MAX >> 1, 1 << 63, u64::MAX];
        let low = u128::from(self.of(&lows));
        Ipv6Addr::from_bits(u128::from(place) << 96 | u128::from(self.below(3) as u64) << 64 | low).into()
    }

    fn net(&mut self) -> IpNet {
        match self.address() {
            IpAddr::V4(address) => {
                let length = self.of(&[0, 1, 8, 15, 24, 30, 31, 32, 32, 32]);
                Ipv4Net::new(address, length).unwrap().trunc().into()
            }
            IpAddr::V6(address) => {
                let length = self.of(&[0, 1, 31, 63, 64, 65, 120, 128, 128, 128]);
                Ipv6Net::new(address, length).unwrap().trunc().into()
            }
        }
    }

    fn remote(&mut self) -> Remote {
        match self.below(8) {
            0 => Remote::Any,
            1 => Remote::Net(self.net()),
            2..5 => Remote::Group(GroupIndex(self.below(4))),
            _ => Remote::PrefixList(PrefixListIndex(self.below(2))),
        }
    }

    fn rules(&mut self) -> Vec<Rule> {
        let count = self.below(9);
        (0..count)
            .map(|number| {
                let first = self.of(&[22, 80, 443]);
                let remote = self.remote();
                // A rule has one family.
                let local = match (remote, self.below(4)) {
                    (Remote::Any | Remote::Group(_) | Remote::PrefixList(_), 0) => {
                        Some("10.0.0.0/29".parse().unwrap())
                    }
                    _ => None,
                };
                let matches = Match { local, ..tcp(first, first + self.of(&[0, 100])) };
                rule(number, matches, remote)
            })
            .collect()
    }

    /// Two groups of a NIC, two groups that their rules refer to, two lists.
    fn parts(&mut self) -> PolicyParts {
        let mut groups: Vec<_> = ["a", "b", "c", "d"].map(|name| group(name, self.rules())).into();
        for group in &mut groups {
            group.egress = self.rules();
            group.inner_access = self.below(4) == 0;
        }
        let mut nic = nic(2);
        nic.precedence = self.of(&[Precedence::Sequence, Precedence::Merged]);
        let list = |random: &mut Self| (0..random.below(30)).map(|_| random.net()).collect();
        let prefix_lists = vec![("one".to_owned(), list(self)), ("two".to_owned(), list(self))];
        let members = (0..4).map(|group| {
            let count = self.of(&[0, 3, 40]);
            (GroupIndex(group), (0..count).map(|_| self.address()).collect())
        });
        let members = members.collect();
        PolicyParts { prefix_lists, members, nics: vec![nic], ..parts(groups) }
    }

    /// Adds or removes one member or entry, or a few; returns them.
    fn change(&mut self, parts: &mut PolicyParts) -> Vec<IpNet> {
        let mut changed = Vec::new();
        for _ in 0..self.of(&[1, 1, 1, 5]) {
            let (group, list) = (GroupIndex(self.below(4)), self.below(2));
            let members = parts.members.entry(group).or_default();
            let mut entries = parts.prefix_lists[list].1.as_slice().to_vec();
            match self.below(6) {
                0 | 1 => {
                    let address = self.address();
                    members.insert(self.below(members.len() + 1), address);
                    changed.push(address.into());
                }
                2 | 3 if !members.is_empty() => {
                    changed.push(members.remove(self.below(members.len())).into());
                }
                4 if !entries.is_empty() => changed.push(entries.remove(self.below(entries.len()))),
                _ => {
                    let net = self.net();
                    entries.insert(self.below(entries.len() + 1), net);
                    changed.push(net);
                }
            }
            parts.prefix_lists[list].1 = entries.into();
        }
        changed
    }
}

/// Stable counter numbers of deciders.
#[derive(Default)]
struct Numbers(Vec<Decider>);

impl Numbers {
    fn of(&mut self, decider: Decider) -> u32 {
        let known = self.0.iter().position(|&known| known == decider);
        known.unwrap_or_else(|| {
            self.0.push(decider);
            self.0.len() - 1
        }) as u32
    }
}

/// The first and the last address of a prefix, and their neighbours.
fn around(net: IpNet) -> Vec<IpAddr> {
    let ends = [net.network(), net.broadcast()];
    let beside = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            [bits.wrapping_sub(1), bits, bits.wrapping_add(1)].map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [bits.wrapping_sub(1), bits, bits.wrapping_add(1)].map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    };
    ends.into_iter().flat_map(beside).collect()
}

fn decided(image: &Image, remote: IpAddr, direction: Direction, port: u16, local: IpAddr) -> Decision {
    let family = if remote.is_ipv4() { Family::V4 } else { Family::V6 };
    let (source, destination) = match direction {
        Direction::Ingress => (remote.into(), local.into()),
        Direction::Egress => (local.into(), remote.into()),
    };
    let keys = packet_keys(
        direction,
        &Packet {
            family,
            protocol: protocol::TCP,
            source,
            destination,
            source_port: 40_000,
            l4_selector: port,
            ..Packet::EMPTY
        },
    );
    let root = header::ROOTS + direction as usize * 2 + family as usize;
    Walk::from(image.words(), root).run(image.words(), &keys).expect("the image is whole")
}

/// The verdict of the rules, where they decide.
fn said(
    oracle: &mut Oracle<'_>,
    remote: IpAddr,
    direction: Direction,
    port: u16,
    local: IpAddr,
) -> CheckResult {
    let (source, destination) = match direction {
        Direction::Ingress => (remote, local),
        Direction::Egress => (local, remote),
    };
    let probe = Probe::new(ProbeParts {
        nic: 0,
        direction,
        protocol: 6,
        source,
        destination,
        source_port: Some(40_000),
        destination_port: Some(port),
        numbers: HeaderNumbers::NONE,
    });
    oracle.judge(&probe.unwrap())
}

/// An image under a chain of changes.
struct Chain {
    parts: PolicyParts,
    policy: Policy,
    numbers: Numbers,
    patchable: Patchable,
    patched: usize,
    whole: usize,
    asked: usize,
}

impl Chain {
    fn new(parts: PolicyParts) -> Self {
        let policy = Policy::new(parts.clone()).unwrap();
        let mut numbers = Numbers::default();
        let patchable = Patchable::new(fresh(&policy, &mut numbers));
        Self { parts, policy, numbers, patchable, patched: 0, whole: 0, asked: 0 }
    }

    /// Patches or recompiles, then compares both images and the rules.
    fn step(&mut self, change: impl FnOnce(&mut PolicyParts) -> Vec<IpNet>) {
        let changed = change(&mut self.parts);
        let policy = Policy::new(self.parts.clone()).unwrap();
        let whole = fresh(&policy, &mut self.numbers);
        let untouched = self.patchable.clone();
        let numbers = &mut self.numbers;
        let patch =
            self.patchable.patch((&self.policy, &policy), &policy.nics()[0], &OPTIONS, &mut |decider| {
                numbers.of(decider)
            });
        assert_eq!(self.patchable.image, untouched.image, "nothing is done before it is applied");
        if let Some(patch) = patch {
            self.patchable.apply(&patch);
            self.patched += 1;
        } else {
            self.patchable = Patchable::new(whole.clone());
            self.whole += 1;
        }
        self.policy = policy;
        self.ask(&whole, &changed);
    }

    fn ask(&mut self, whole: &Image, changed: &[IpNet]) {
        let members = self.parts.members.values().flatten().copied().map(IpNet::from);
        let lists = self.parts.prefix_lists.iter().flat_map(|(_, list)| list.as_slice().iter().copied());
        let everywhere = members.chain(lists).step_by(7);
        let ends = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap());
        let nets: BTreeSet<IpNet> = changed.iter().copied().chain(everywhere).chain(ends).collect();
        let remotes: BTreeSet<IpAddr> = nets.into_iter().flat_map(around).collect();
        let mut oracle = Oracle::new(&self.policy);
        for remote in remotes {
            for direction in [Direction::Ingress, Direction::Egress] {
                for port in [22, 80, 122, 443, 600] {
                    let locals: [&str; 2] = if remote.is_ipv4() {
                        ["10.0.0.5", "10.0.0.77"]
                    } else {
                        ["2001:db8::5", "2001:db8::77"]
                    };
                    for local in locals.map(|local| local.parse().unwrap()) {
                        let found = decided(self.patchable.image(), remote, direction, port, local);
                        let expected = decided(whole, remote, direction, port, local);
                        assert_eq!(
                            found, expected,
                            "{direction:?} {remote} {local} {port} after {changed:?}"
                        );
                        let said = said(&mut oracle, remote, direction, port, local);
                        if matches!(said.reason, Reason::Rule | Reason::IntraGroup | Reason::Default) {
                            let decider = self.numbers.0[found.number() as usize];
                            assert_eq!(
                                CheckResult::of(decider, found.verdict()),
                                said,
                                "{direction:?} {remote} {port}"
                            );
                        }
                        self.asked += 1;
                    }
                }
            }
        }
    }
}

fn fresh(policy: &Policy, numbers: &mut Numbers) -> Image {
    compile(policy, &policy.nics()[0], &OPTIONS, &mut |decider| numbers.of(decider)).unwrap()
}

#[test]
fn a_patched_image_says_what_a_fresh_one_says() {
    let (mut patched, mut whole, mut asked) = (0, 0, 0);
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut chain = Chain::new(random.parts());
        for _ in 0..12 {
            chain.step(|parts| random.change(parts));
        }
        patched += chain.patched;
        whole += chain.whole;
        asked += chain.asked;
    }
    println!("{patched} patches, {whole} compiled anew, {asked} questions");
    assert!(patched > 4 * whole, "{patched} patches, {whole} compiled anew");
}

#[test]
fn a_partition_is_patched_before_its_trees() {
    let mut parts = overlapping(600).into_parts();
    parts.groups.push(group("members", Vec::new()));
    let addresses = hosts(50).iter().map(IpNet::addr).collect();
    parts.members = [(GroupIndex(1), addresses)].into();
    parts.groups[0].ingress.insert(0, rule(9_000, tcp(20, 90), Remote::Group(GroupIndex(1))));
    let mut chain = Chain::new(parts);
    let root = header::ROOTS + Family::V4 as usize;
    let was = chain.patchable.image().words()[root];
    assert_eq!(was, Reference::partition(was as u32).word(), "one tree: this test tests nothing");
    let mut random = Random(7);
    for _ in 0..12 {
        chain.step(|parts| {
            let address = random.address();
            parts.members.get_mut(&GroupIndex(1)).unwrap().push(address);
            vec![address.into()]
        });
    }
    assert!(chain.patched > 9, "{} compiled anew", chain.whole);
}

#[test]
fn a_member_that_comes_and_goes_takes_no_longer_to_find_each_time() {
    let rules = vec![rule(0, tcp(22, 22), Remote::Group(GroupIndex(1)))];
    let mut parts = parts(vec![group("web", rules), group("members", Vec::new())]);
    parts.members = [(GroupIndex(1), hosts(2_000).iter().map(IpNet::addr).collect())].into();
    parts.nics = vec![nic(1)];
    let mut chain = Chain::new(parts);
    let address: IpAddr = "10.1.2.3".parse().unwrap();
    for _ in 0..20 {
        for comes in [true, false] {
            chain.step(|parts| {
                let members = parts.members.get_mut(&GroupIndex(1)).unwrap();
                if comes {
                    members.insert(500, address);
                } else {
                    members.remove(500);
                }
                vec![address.into()]
            });
        }
    }
    assert_eq!((chain.patched, chain.whole), (40, 0));
}
