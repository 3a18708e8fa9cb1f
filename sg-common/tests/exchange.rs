//! What a NIC remembers without a rule.

use sg_common::{
    dhcp::{Lease, Name},
    exchange::Exchanges,
    packet::{Address, Tag, Vlan, ethertype},
};

const NONE: Vlan = Vlan::NONE;
const VLAN: Vlan = NONE.behind(Tag { kind: ethertype::VLAN, control: 7 });

const fn neighbour(number: u64) -> Address {
    Address { high: 0x2001_0db8_0000_0000, low: number }
}

#[test]
fn replies_to_a_solicitation_pass_for_a_while() {
    let mut exchanges = Exchanges::default();
    assert!(!exchanges.is_solicitor(neighbour(1), NONE, 100, 5_000));
    exchanges.solicited(neighbour(1), NONE, 5_000);
    // Another processor may be a moment behind.
    for (now, known) in [(4_999, true), (5_000, true), (5_100, true), (5_101, false), (1 << 40, false)] {
        assert_eq!(exchanges.is_solicitor(neighbour(1), NONE, 100, now), known, "at {now}");
    }
    for other in [neighbour(2), Address { high: 1, ..neighbour(1) }, Address::default()] {
        assert!(!exchanges.is_solicitor(other, NONE, 100, 5_000), "{other:?}");
    }
    assert!(!exchanges.is_solicitor(neighbour(1), VLAN, 100, 5_000), "one of another network");
}

#[test]
fn the_newest_are_remembered() {
    let mut exchanges = Exchanges::default();
    for number in 0..100_000 {
        exchanges.solicited(neighbour(number), NONE, 5_000);
        assert!(exchanges.is_solicitor(neighbour(number), NONE, 100, 5_000));
    }
    let known =
        (0..100_000).filter(|&number| exchanges.is_solicitor(neighbour(number), NONE, 100, 5_000)).count();
    assert!((2..=8).contains(&known), "{known} are known");
}

const fn name(client: u64, transaction: u32) -> Name {
    Name { client, transaction, vlan: NONE }
}

#[test]
fn replies_to_a_request_pass_for_a_while() {
    let mut exchanges = Exchanges::default();
    assert!(!exchanges.is_open(name(1, 7), 100, 5_000));
    exchanges.open(name(1, 7), 5_000);
    for (now, open) in [(4_999, true), (5_000, true), (5_100, true), (5_101, false), (1 << 40, false)] {
        assert_eq!(exchanges.is_open(name(1, 7), 100, now), open, "at {now}");
    }
    for other in [name(1, 8), name(2, 7), name(0, 0), Name { vlan: VLAN, ..name(1, 7) }] {
        assert!(!exchanges.is_open(other, 100, 5_000), "{other:?}");
    }
    // Asked again, it is open for as long again.
    exchanges.open(name(1, 7), 5_090);
    assert!(exchanges.is_open(name(1, 7), 100, 5_190));
}

#[test]
fn a_flood_of_questions_forgets_questions_of_this_nic_only() {
    let mut exchanges = Exchanges::default();
    for client in 0..100_000 {
        exchanges.open(name(client, 7), 5_000);
        assert!(exchanges.is_open(name(client, 7), 100, 5_000));
    }
    let open = (0..100_000).filter(|&client| exchanges.is_open(name(client, 7), 100, 5_000)).count();
    assert!((4..=16).contains(&open), "{open} are open");
}

#[test]
fn a_lease_is_of_one_client_and_one_server() {
    let mut exchanges = Exchanges::default();
    let lease = Lease { client: 0x0a00_0005, server: 0xc633_6407 };
    assert!(!exchanges.is_leased(lease, NONE) && !exchanges.is_leased(Lease { client: 0, server: 0 }, NONE));
    exchanges.lease(lease, NONE);
    assert!(exchanges.is_leased(lease, NONE));
    assert!(!exchanges.is_leased(lease, VLAN), "in another network");
    for other in [Lease { client: 0x0a00_0006, ..lease }, Lease { server: 0xc633_6408, ..lease }] {
        assert!(!exchanges.is_leased(other, NONE), "{other:?}");
    }
    // The server of now.
    exchanges.lease(Lease { server: 1, ..lease }, NONE);
    assert!(!exchanges.is_leased(lease, NONE));
}
