//! How the places of half-open flows are divided among NICs.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeSet;

use sg_common::flow::{Shares, Width, common_tickets, own_tickets, ticket_counts};

#[test]
fn no_two_shares_have_a_place_together() {
    for (places, nics) in [(1_536, 1), (1_536, 3), (98_304, 256), (98_304, 1_000), (1_536, 512)] {
        let shares = Shares::of(places, nics);
        assert!(shares.common >= places / 3 * 2 && shares.each > 0);
        let mut taken = BTreeSet::new();
        for ticket in 0..u64::from(shares.common) {
            assert!(taken.insert(shares.in_common().place(ticket).unwrap()));
        }
        for nic in 0..nics as u16 {
            for ticket in 0..u64::from(shares.each) {
                assert!(taken.insert(shares.own(nic).place(ticket).unwrap()), "NIC {nic} of {nics}");
            }
        }
        assert!(taken.last().is_some_and(|&last| last < places));
        assert!(places - taken.len() as u32 <= nics, "{} of {places} places are used", taken.len());
    }
}

#[test]
fn the_oldest_place_comes_again_first() {
    let shares = Shares::of(1_536, 2);
    assert_eq!(shares, Shares { common: 1_024, each: 256 });
    assert_eq!(shares.in_common().place(1_024), shares.in_common().place(0));
    assert_eq!(shares.own(1).place(256), Some(1_280));
    assert_eq!(Shares::default().in_common().place(3), None);
    assert_eq!(Shares::default().own(0).place(3), None);
}

#[test]
fn every_line_has_tickets_of_its_own() {
    let mut counts = BTreeSet::new();
    for width in [Width::Narrow, Width::Wide] {
        assert!(counts.insert(common_tickets(width)));
        assert!((0..10).all(|nic| counts.insert(own_tickets(width, nic))));
    }
    assert_eq!(counts.last(), Some(&(ticket_counts(10) - 1)));
}
