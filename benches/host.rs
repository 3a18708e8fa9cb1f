//! The work of the datapath without a kernel: parsing a frame, walking an image; and the sizes of images.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use sg_benches::{
    Figure, LOCAL, LOCAL_V6, Of, Plan, Sequence, Timing, Unit,
    frames::{SYN, tcp},
    listed, member, members, policy, policy_v6, valid,
};
use sg_check::CompiledNic;
use sg_common::{
    flow::{Direction, packet_keys},
    image::{Keys, Walk, header},
    packet::{Family, Parsed, parse},
};
use sg_model::Policy;

/// Different packets in a measurement; their number is a power of two.
const PACKETS: usize = 4_096;

/// A policy whose image is walked.
struct Case {
    lookup: &'static str,
    policy: fn() -> Policy,
    /// The figure of the image's memory for each of this many.
    memory: Option<(&'static str, usize)>,
}

impl Case {
    const fn new(lookup: &'static str, policy: fn() -> Policy) -> Self {
        Self { lookup, policy, memory: None }
    }

    const fn telling(self, name: &'static str, count: usize) -> Self {
        Self { memory: Some((name, count)), ..self }
    }
}

fn main() {
    let Some(plan) = Plan::from_env(&["parse", "lookup", "lookup-ipv6", "memory"]) else { return };
    let mut timing = Timing::new(plan);
    let frame = |address: IpAddr, local: IpAddr| tcp((address, 40_000), (local, 443), SYN);
    for (name, frame) in [
        ("parse/tcp", frame(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V4(LOCAL))),
        ("parse/tcp-ipv6", frame(IpAddr::V6(LOCAL_V6), IpAddr::V6(LOCAL_V6))),
    ] {
        timed(&mut timing, name, |_| {
            let _ = black_box(parse(&black_box(&frame[..])));
        });
    }
    let cases = [
        Case::new("lookup/10", || policy(10, 1)),
        Case::new("lookup/1k", || policy(1_000, 1)),
        Case::new("lookup/10k", || policy(10_000, 1)).telling("memory/rule", 10_000),
        Case::new("lookup/100k", || listed(100_000)).telling("memory/prefix", 100_000),
        Case::new("lookup/1m", || valid(members(1_000_000))).telling("memory/member", 1_000_000),
        Case::new("lookup-ipv6/1k", || policy_v6(1_000)),
        Case::new("lookup-ipv6/10k", || policy_v6(10_000)).telling("memory/rule-ipv6", 10_000),
    ];
    for Case { lookup, policy, memory } in cases {
        if !timing.plan.wants(lookup) && !memory.is_some_and(|(name, _)| timing.plan.wants(name)) {
            continue;
        }
        let words = words(&policy());
        if let Some((name, count)) = memory {
            let bytes = words.len() * size_of::<u64>();
            timing.plan.record(&Figure::new(name, bytes as f64 / count as f64, Unit::Bytes));
        }
        let family = if lookup.starts_with("lookup-ipv6") { Family::V6 } else { Family::V4 };
        let keys = keys(family, lookup == "lookup/1m");
        let root = header::ROOTS + Direction::Ingress as usize * 2 + family as usize;
        timed(&mut timing, lookup, |number| {
            black_box(Walk::from(&words[..], root).run(&words[..], &keys[number % PACKETS]));
        });
    }
}

fn words(policy: &Policy) -> Vec<u64> {
    let nic = CompiledNic::new(policy, &policy.nics()[0]).expect("the policy fits an image");
    nic.image.words().to_vec()
}

/// Packets of strangers, with `among_members` from their network. Few of them are in a prefix of a policy, but all walk down to
/// its end.
fn keys(family: Family, among_members: bool) -> Vec<Keys> {
    let mut random = Sequence(23);
    (0..PACKETS)
        .map(|_| {
            let frame = match family {
                Family::V4 if among_members => {
                    tcp((member(random.next() as u32), 40_000), (IpAddr::V4(LOCAL), 443), SYN)
                }
                Family::V4 => tcp(
                    (IpAddr::V4(Ipv4Addr::from_bits(random.next() as u32)), 40_000),
                    (IpAddr::V4(LOCAL), 443),
                    SYN,
                ),
                Family::V6 => {
                    let source = u128::from(random.next() >> 3 | 1 << 61) << 64;
                    tcp((IpAddr::V6(source.into()), 40_000), (IpAddr::V6(LOCAL_V6), 443), SYN)
                }
            };
            let Parsed::Packet(packet) = parse(&&frame[..]) else { unreachable!("it is a packet") };
            packet_keys(Direction::Ingress, &packet)
        })
        .collect()
}

/// A figure of something that takes nanoseconds; `work` gets the number of the repetition.
fn timed(timing: &mut Timing, name: &str, mut work: impl FnMut(usize)) {
    timing.take(name, Unit::Nanoseconds, Of::Least, |iterations| {
        let start = Instant::now();
        for number in 0..iterations as usize {
            work(number);
        }
        start.elapsed()
    });
}
