//! A hostile peer after its rule is gone. Both ends of one TCP connection send what they like, whenever they like, before and
//! after the rule that allowed it is taken away; segments are forged, lost, and come late. From then on no byte of the
//! connection may reach the server: unless the server asks for a connection itself, and the peer replies.
//!
//! Time is a number here, so waiting costs nothing: `SG_DEEP=1` takes millions of steps. Checksums do not exist here: the filter
//! looks at none. The program in the kernel is asked in `tests/tests/conntrack/revocation.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod tables;
mod world;

use tables::Tables;
use world::{ACK, CLIENT, SERVER, Segment, Sent, World};

/// Segments in a sequence after the rule is gone.
const SEGMENTS: usize = 60;

/// How many sequences.
fn sequences() -> u64 {
    if std::env::var_os("SG_DEEP").is_some() { 120_000 } else { 6_000 }
}

#[test]
fn no_byte_of_a_revoked_connection_reaches_the_server() {
    let (mut steps, mut blocked, mut lived, mut began) = (0_u64, 0_u64, 0_u64, 0_u64);
    for seed in 0..sequences() {
        let mut world = World::new(seed, Tables::new);
        world.live();
        lived += u64::from(world.delivered > 0);
        world.revoke();
        for _ in 0..SEGMENTS {
            steps += 1;
            let sent = world.step();
            if world.is_another {
                began += 1;
                break;
            }
            assert_ne!(sent, Sent::Reaches, "seed {seed}\n{}", world.log);
            blocked += u64::from(sent == Sent::Blocked);
        }
    }
    println!(
        "{steps} steps, {blocked} segments with bytes were dropped, {began} times another connection began"
    );
    // The test tests something: connections lived before, and much was tried.
    assert!(lived > sequences() / 2 && blocked > sequences() * 3 && began > 0);
}

/// The same while the rule stands: whatever was forged, what is known goes on.
#[test]
fn a_connection_whose_rule_stands_goes_on() {
    let mut asked = 0;
    for seed in 0..sequences() {
        let mut world = World::new(seed, Tables::new);
        world.live();
        for _ in 0..SEGMENTS / 2 {
            world.step();
            let [sequence, acknowledgement] = [world.next[CLIENT], world.next[SERVER]];
            let data = Segment { end: CLIENT, flags: ACK, sequence, acknowledgement, data: 1 };
            if world.filter.is_known() {
                asked += 1;
                assert!(world.filter.would_pass(&data), "seed {seed}\n{}", world.log);
            }
        }
    }
    assert!(asked > sequences() * 10);
}
