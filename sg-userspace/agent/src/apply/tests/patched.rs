//! Large images are patched if that is enough; whatever the fate of a patch, what is in force decides as the policy does, and an
//! image that is not in force is not taken for one that is.

use std::{
    mem::take,
    net::{IpAddr, Ipv4Addr},
};

use sg_common::{
    flow::{Direction, packet_keys},
    image::{Header, Walk, header},
    packet::{Family, Packet, protocol},
};
use sg_compile::LARGEST_WORDS;
use sg_model::{GroupIndex, Policy, PolicyParts};

use super::incremental::{Host, Moods, devices};

const MEMBERS: GroupIndex = GroupIndex(1);

/// Two NICs that accept traffic from the many members of one group.
const POLICY: &str = "
groups:
  web: { inner_access: drop, ingress: [ { id: a, protocol: all, remote: { group: members } } ] }
  members: {}
nics:
  - { device: n0, addresses: [10.0.0.1], groups: [web] }
  - { device: n1, addresses: [10.0.0.2], groups: [web] }
";

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a01_0000 + number * 8).into()
}

fn parts() -> PolicyParts {
    let mut parts = sg_document::parse("policy.yaml", POLICY.as_bytes()).unwrap().policy.into_parts();
    parts.members = [(MEMBERS, (0..3_000).map(address).collect())].into();
    parts
}

fn members(parts: &mut PolicyParts) -> &mut Vec<IpAddr> {
    parts.members.get_mut(&MEMBERS).unwrap()
}

/// Puts `parts` in force; returns how many images were published, how many of them patched, and how many errors there were.
fn apply(host: &mut Host, parts: &PolicyParts) -> (usize, usize, usize) {
    host.agent.prepare(Policy::new(parts.clone()).unwrap(), &devices(parts)).unwrap();
    let report = host.agent.enforce().unwrap();
    (report.published, take(&mut host.kept.moods.lock().unwrap().patched), report.errors.len())
}

/// Whether the images in force accept a member and nobody else, and have the recorded generation.
fn holds(host: &Host, parts: &PolicyParts) -> bool {
    let root = header::ROOTS + Direction::Ingress as usize * 2 + Family::V4 as usize;
    let kept = host.kept.images.lock().unwrap();
    kept.iter().all(|(&slot, image)| {
        let accepts = |address: IpAddr| {
            let packet =
                Packet { protocol: protocol::TCP, l4_selector: 80, source: address.into(), ..Packet::EMPTY };
            let keys = packet_keys(Direction::Ingress, &packet);
            Walk::from(image.words(), root).run(image.words(), &keys).unwrap().accepts()
        };
        let record = host.agent.records.iter().find(|record| record.nic.slot == slot).unwrap();
        let members = &parts.members[&MEMBERS];
        let ends = [address(3_001), address(3_002), address(7)];
        Header::read(image.words()).unwrap().generation == record.nic.generation
            && members.iter().rev().chain(&ends).take(40).all(|&address| {
                let IpAddr::V4(bits) = address else { return true };
                let beside = Ipv4Addr::from_bits(bits.to_bits() + 1).into();
                accepts(address) == members.contains(&address) && accepts(beside) == members.contains(&beside)
            })
    })
}

#[test]
fn a_member_more_or_less_is_a_patch() {
    let (mut host, mut parts) = (Host::new(LARGEST_WORDS), parts());
    assert_eq!(apply(&mut host, &parts), (2, 0, 0));
    for round in 0..5 {
        members(&mut parts).push(address(3_001 + round));
        assert_eq!(apply(&mut host, &parts), (2, 2, 0));
        assert!(holds(&host, &parts));
    }
    members(&mut parts).remove(7);
    assert_eq!(apply(&mut host, &parts), (2, 2, 0));
    assert!(holds(&host, &parts));
    // A change without effect changes nothing, and prevents nothing.
    let twice = members(&mut parts)[0];
    members(&mut parts).push(twice);
    assert_eq!(apply(&mut host, &parts), (0, 0, 0));
    members(&mut parts).swap(0, 9);
    assert_eq!(apply(&mut host, &parts), (0, 0, 0));
    members(&mut parts).push(address(4_000));
    assert_eq!(apply(&mut host, &parts), (2, 2, 0));
    // The rules of one NIC change, together with another NIC that is patched.
    parts.groups[0].ingress[0].id.push('x');
    members(&mut parts).push(address(4_001));
    assert_eq!(apply(&mut host, &parts), (2, 0, 0));
    parts.nics[0].addresses.push("10.0.0.9".parse().unwrap());
    members(&mut parts).push(address(4_002));
    assert_eq!(apply(&mut host, &parts), (2, 1, 0));
    assert!(holds(&host, &parts));
}

#[test]
fn what_cannot_be_patched_is_published_whole() {
    let (mut host, mut parts) = (Host::new(LARGEST_WORDS), parts());
    apply(&mut host, &parts);
    host.kept.moods.lock().unwrap().unpatchable = true;
    members(&mut parts).push(address(3_001));
    assert_eq!(apply(&mut host, &parts), (2, 0, 0));
    assert!(holds(&host, &parts));
    host.kept.moods.lock().unwrap().unpatchable = false;
    members(&mut parts).push(address(3_002));
    assert_eq!(apply(&mut host, &parts), (2, 2, 0));
    assert!(holds(&host, &parts));
}

#[test]
fn what_failed_is_not_patched_any_further() {
    let (mut host, mut parts) = (Host::new(LARGEST_WORDS), parts());
    apply(&mut host, &parts);
    {
        let mut moods = host.kept.moods.lock().unwrap();
        (moods.unpatchable, moods.failing) = (true, true);
    }
    members(&mut parts).push(address(3_001));
    assert_eq!(apply(&mut host, &parts), (0, 0, 2));
    *host.kept.moods.lock().unwrap() = Moods::default();
    members(&mut parts).push(address(3_002));
    assert_eq!(apply(&mut host, &parts), (2, 0, 0), "what is in force is not known");
    assert!(holds(&host, &parts));
}

#[test]
fn a_patch_that_was_prepared_in_vain_leaves_nothing() {
    let (mut host, mut parts) = (Host::new(LARGEST_WORDS), parts());
    apply(&mut host, &parts);
    let mut refused = parts.clone();
    members(&mut refused).push(address(3_001));
    host.agent.prepare(Policy::new(refused.clone()).unwrap(), &devices(&refused)).unwrap();
    members(&mut parts).push(address(3_002));
    assert_eq!(apply(&mut host, &parts), (2, 2, 0));
    assert!(holds(&host, &parts));
}
