use super::*;
use crate::verdict::{Reason, Verdict};

const DECISION: Decision = Decision::new(Verdict::Reject, Reason::Rule, 0xdead_beef);

#[test]
fn an_origin_keeps_its_parts() {
    for direction in [Direction::Ingress, Direction::Egress] {
        for parsed in [false, true] {
            let origin = Origin::new(DECISION, direction, parsed);
            for fold in [Fold::Exact, Fold::Prefix, Fold::Others] {
                let origin = Origin::of(origin.folded(fold).word());
                assert_eq!(origin.decision(), Some(DECISION));
                assert_eq!((origin.direction(), origin.is_parsed()), (direction, parsed));
                assert_eq!((origin.fold(), origin.is_of_host()), (fold, false));
            }
        }
    }
    let host = Origin::of_host(DECISION);
    assert!(host.is_of_host() && host.decision() == Some(DECISION));
}

fn packet(family: Family) -> Packet {
    Packet {
        family,
        source: Address { high: 0x0a0b_0c0d_0e0f_1011, low: 7 },
        destination: Address { high: 0x2021_2223_2425_2627, low: 9 },
        source_port: 40_000,
        l4_selector: 443,
        protocol: 6,
        ..Packet::EMPTY
    }
}

#[test]
fn a_name_is_of_the_ends_and_not_of_the_ephemeral_port() {
    for (direction, remote) in [(Direction::Ingress, 7), (Direction::Egress, 9)] {
        let mut key = DeniedKey::default();
        key.name(5, Origin::new(DECISION, direction, true), &packet(Family::V6));
        assert_eq!(key.remote_low, remote);
        assert_eq!((key.l4.remote_port(), key.l4.local_port(), key.l4.nic()), (0, 443, 5));
        assert_eq!(key.l4.protocol(), 6);
    }
}

#[test]
fn hints_are_spread_over_all_places() {
    const PLACES: u32 = 1_000;
    let mut used = [0_u32; PLACES as usize];
    let mut key = DeniedKey::default();
    key.name(5, Origin::new(DECISION, Direction::Ingress, true), &packet(Family::V6));
    for number in 0..u64::from(PLACES) {
        // Neighbours, as a scan has them, in each part of a name.
        let of_remote = DeniedKey { remote_high: number, ..key };
        let of_remote_low = DeniedKey { remote_low: number, ..key };
        let of_local = DeniedKey { local_high: number, ..key };
        let of_local_low = DeniedKey { local_low: number, ..key };
        let of_port = DeniedKey { l4: PortsProtoNic::new((0, number as u16), 5, 6, Family::V6), ..key };
        for key in [of_remote, of_remote_low, of_local, of_local_low, of_port] {
            used[key.place(PLACES) as usize] += 1;
        }
    }
    let most = used.iter().max().copied();
    assert!(most < Some(20), "{most:?} of 5,000 names share a place of 1,000");
}

#[test]
fn what_was_not_parsed_has_no_addresses() {
    let mut key =
        DeniedKey { remote_high: 1, remote_low: 2, local_high: 3, local_low: 4, ..DeniedKey::default() };
    key.name(5, Origin::new(DECISION, Direction::Ingress, false), &packet(Family::V6));
    assert_eq!((key.remote_high, key.remote_low, key.local_high, key.local_low), (0, 0, 0, 0));
    assert_eq!((key.l4.nic(), key.l4.family()), (5, Family::V4));
}

#[test]
fn recent_packets_are_not_lost_before_they_are_moved() {
    let one = Recent::one((1 << 24) - 1);
    let mut sum = 0_u64;
    let mut packets = 0;
    while !Recent::of(sum).is_full() {
        sum += one.word();
        packets += 1;
    }
    assert_eq!(packets, 1 << 18);
    // As many again, of processors that are late.
    sum += one.word() * packets;
    assert_eq!(Recent::of(sum).packets(), 2 * packets);
    assert_eq!(Recent::of(sum).bytes(), 2 * packets * ((1 << 24) - 1));
}

#[test]
fn a_folded_name_keeps_the_prefix_and_then_the_decision() {
    for (family, kept) in [(Family::V4, 0x0e0f_1000), (Family::V6, 0x0a0b_0c0d_0e0f_0000)] {
        let mut key = DeniedKey::default();
        let mut packet = packet(family);
        if family == Family::V4 {
            packet.source = Address { high: 0x0e0f_1011, low: 0 };
        }
        key.name(5, Origin::new(DECISION, Direction::Ingress, true), &packet);
        key.fold(Fold::Prefix);
        assert_eq!((key.remote_high, key.remote_low, key.local_low), (kept, 0, 9));
        assert_eq!(key.l4.local_port(), 443);
        key.fold(Fold::Others);
        assert_eq!((key.remote_high, key.local_high, key.l4.local_port()), (0, 0, 0));
        assert_eq!((key.l4.nic(), key.origin.decision()), (5, Some(DECISION)));
    }
}

#[test]
fn new_names_keep_to_the_rate() {
    for hertz in [100, 250, 300, 1000] {
        let start = 1 << 20;
        let (mut due, mut counted) = (0, 0_u64);
        // Ten seconds in which every moment brings more than there may be.
        for jiffy in 0..u64::from(hertz) * 10 {
            for _ in 0..500 {
                if let Some(next) = (Pace { now: start + jiffy, hertz }).spend(due) {
                    due = next;
                    counted += 1;
                }
            }
        }
        let expected = NEW_PER_SECOND * 12;
        assert!(counted.abs_diff(expected) <= expected / 50, "{hertz}: {counted}");
    }
}

#[test]
fn names_of_decisions_have_room_when_others_have_none() {
    assert!(has_room(Fold::Exact, 100, 0, 128) && !has_room(Fold::Exact, 32, 0, 128));
    assert!(!has_room(Fold::Exact, 100, 64, 128), "a NIC has a share");
    assert!(has_room(Fold::Prefix, 17, 0, 128) && !has_room(Fold::Prefix, 16, 0, 128));
    assert!(has_room(Fold::Others, 1, 1000, 128) && !has_room(Fold::Others, 0, 0, 128));
}
