//! The cost of a packet in the kernel, by `BPF_PROG_TEST_RUN`. Every figure is the difference to the empty program, which runs
//! over the same packets in turns with the measured program.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sg_benches::{
    LOCAL, LOCAL_V6, Plan, Sequence,
    frames::{ACK, RST, SYN, foreign, tcp},
    kernel::Kernel,
    listed, members, open, policy, policy_v6, refused, refusing, unmatched, valid,
};
use sg_common::packet::Family;
use sg_kernel::Program;
use sg_model::{GroupIndex, Policy, Remote, Unmatched};

/// Different packets in a measurement, so that no single path through the tables stays hot.
const PACKETS: usize = 128;

fn main() {
    let Some(plan) = Plan::from_env(&[
        "stage",
        "classify",
        "classify-ipv6",
        "groups",
        "deny",
        "established",
        "established-ipv6",
        "once",
        "counters",
        "reject",
        "memory",
        "verifier",
    ]) else {
        return;
    };
    let mut kernel = Kernel::new(plan);
    stages(&mut kernel);
    rules(&mut kernel);
    counters(&mut kernel);
    reject(&mut kernel);
    for (flows, name) in [(1, "1"), (16_384, "16k"), (1_000_000, "1m")] {
        established(&mut kernel, Family::V4, flows, name);
    }
    established(&mut kernel, Family::V6, 16_384, "16k");
    kernel.memory();
    kernel.verifier();
}

/// Addresses without a meaning, the same in every run.
fn strangers(family: Family) -> impl FnMut() -> IpAddr {
    let mut random = Sequence(11);
    move || match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(random.next() as u32)),
        Family::V6 => {
            let high = random.next() >> 3 | 1 << 61;
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(random.next())))
        }
    }
}

/// A segment from `source` to a port of the NIC.
fn to_nic(source: (IpAddr, u16), port: u16, flags: u8) -> Vec<u8> {
    let local = if source.0.is_ipv4() { IpAddr::V4(LOCAL) } else { IpAddr::V6(LOCAL_V6) };
    tcp(source, (local, port), flags)
}

fn syns(family: Family, port: u16) -> Vec<Vec<u8>> {
    let mut stranger = strangers(family);
    (0..PACKETS).map(|_| to_nic((stranger(), 40_000), port, SYN)).collect()
}

/// How far a packet gets, without a rule.
fn stages(kernel: &mut Kernel) {
    if !kernel.plan.wants("stage") {
        return;
    }
    kernel.publish(&policy(0, 1));
    let foreign = vec![foreign()];
    let strangers = syns(Family::V4, 80);
    kernel.measure("stage/nic", Program::Classify, &foreign);
    kernel.measure("stage/nic-counted", Program::Ingress, &foreign);
    kernel.measure("stage/headers", Program::Classify, &strangers);
    kernel.measure("stage/flow-counted", Program::Ingress, &strangers);
}

/// New flows: by number of rules, of groups, and of addresses.
fn rules(kernel: &mut Kernel) {
    for (rules, name) in [(0, "0"), (10, "10"), (100, "100"), (1_000, "1k"), (10_000, "10k")] {
        let (classify, deny) = (format!("classify/{name}"), format!("deny/{name}"));
        if kernel.plan.wants(&classify) || kernel.plan.wants(&deny) {
            let policy = policy(rules, 1);
            kernel.publish(&policy);
            kernel.measure(&classify, Program::Classify, &hits_and_misses(&policy, Family::V4));
            kernel.measure(&deny, Program::Ingress, &syns(Family::V4, 80));
        }
        let classify = format!("classify-ipv6/{name}");
        if kernel.plan.wants(&classify) {
            let policy = policy_v6(rules);
            kernel.publish(&policy);
            kernel.measure(&classify, Program::Classify, &hits_and_misses(&policy, Family::V6));
        }
    }
    for (name, policy) in [
        ("classify/100k", (|| listed(100_000)) as fn() -> Policy),
        ("classify/1m", || valid(members(1_000_000))),
    ] {
        if kernel.plan.wants(name) {
            let policy = policy();
            kernel.publish(&policy);
            kernel.measure(name, Program::Classify, &hits_and_misses(&policy, Family::V4));
        }
    }
    for groups in [1, 5, 10] {
        let name = format!("groups/{groups}");
        if kernel.plan.wants(&name) {
            let policy = policy(1_000, groups);
            kernel.publish(&policy);
            kernel.measure(&name, Program::Classify, &hits_and_misses(&policy, Family::V4));
        }
    }
}

/// Packets that the policy matches, and those of strangers, in turns.
fn hits_and_misses(policy: &Policy, family: Family) -> Vec<Vec<u8>> {
    let mut stranger = strangers(family);
    (0..PACKETS)
        .map(|number| {
            let known = number.is_multiple_of(2).then(|| known(policy, number)).flatten();
            to_nic((known.unwrap_or_else(&mut stranger), 40_000), 443, SYN)
        })
        .collect()
}

/// An address that a rule names.
fn known(policy: &Policy, number: usize) -> Option<IpAddr> {
    let group = &policy.groups()[number % policy.groups().len()];
    let group = if group.ingress.is_empty() { &policy.groups()[0] } else { group };
    let number = number * 7_919;
    match group.ingress.get(number % group.ingress.len().max(1))?.matches.remote {
        Remote::Net(net) => Some(net.broadcast()),
        Remote::PrefixList(list) => {
            let prefixes = policy.prefixes(list);
            Some(prefixes[number * 31 % prefixes.len()].broadcast())
        }
        Remote::Group(GroupIndex(group)) => {
            let members = policy.remote_members(GroupIndex(group));
            members.get(number * 31 % members.len()).copied()
        }
        Remote::Any => None,
    }
}

/// Every packet meets another rule's counter: 10,000 rules that drop, an address each.
fn counters(kernel: &mut Kernel) {
    if !kernel.plan.wants("counters") {
        return;
    }
    kernel.publish(&refusing(10_000));
    for (counters, name) in [(1, "counters/1"), (100, "counters/100"), (10_000, "counters/10k")] {
        let frames: Vec<Vec<u8>> =
            (0..10_000u32).map(|number| to_nic((refused(number % counters), 40_000), 80, SYN)).collect();
        kernel.once(name, Program::Ingress, &frames);
    }
}

/// The cost of a reject: each packet once, since it becomes its reject.
fn reject(kernel: &mut Kernel) {
    if !kernel.plan.wants("reject") {
        return;
    }
    for (name, default, flags) in [
        ("reject/dropped", Unmatched::Drop, SYN),
        ("reject/reset", Unmatched::Reject, SYN),
        ("reject/no-reply", Unmatched::Reject, RST),
    ] {
        kernel.publish(&unmatched(default));
        let mut stranger = strangers(Family::V4);
        // Some addresses belong to no interface.
        let mut peer =
            || std::iter::repeat_with(&mut stranger).find(|address| is_one(*address)).expect("no end");
        let frames: Vec<Vec<u8>> = (0..10_000).map(|_| to_nic((peer(), 40_000), 80, flags)).collect();
        kernel.once(name, Program::Ingress, &frames);
    }
}

/// Whether an interface can have this address.
const fn is_one(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !matches!(address.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(_) => false,
    }
}

/// Packets of established flows: both directions of each were seen.
fn established(kernel: &mut Kernel, family: Family, flows: usize, size: &str) {
    let after = if family == Family::V4 { "" } else { "-ipv6" };
    let (hot, once) = (format!("established{after}/{size}"), format!("once/established{after}-{size}"));
    if !kernel.plan.wants(&hot) && !kernel.plan.wants(&once) {
        return;
    }
    kernel.publish(&open());
    let mut stranger = strangers(family);
    let all: Vec<Vec<u8>> =
        (0..flows).map(|number| to_nic((stranger(), 1_024 + (number % 60_000) as u16), 443, ACK)).collect();
    kernel.datapath.forget_flows(0).expect("flows can be forgotten");
    let replies = |question: &[u8]| reply_to(question, family);
    for question in &all {
        for (program, frame) in [(Program::Ingress, question), (Program::Egress, &replies(question))] {
            kernel.datapath.run(program, frame, 1).expect("a test run works");
        }
    }
    let known = kernel.datapath.flows().expect("the flow table can be read").len();
    assert_eq!(known, flows, "every flow had a reply and has its place");
    let some = |count: usize| -> Vec<Vec<u8>> {
        all.iter().step_by((flows / count).max(1)).take(count).cloned().collect()
    };
    kernel.measure(&hot, Program::Ingress, &some(PACKETS));
    kernel.once(&once, Program::Ingress, &some(16_384));
}

/// The same segment in the other direction.
fn reply_to(question: &[u8], family: Family) -> Vec<u8> {
    let (at, length) = if family == Family::V4 { (26, 4) } else { (22, 16) };
    let mut reply = question.to_vec();
    for (at, length) in [(at, length), (at + 2 * length, 2)] {
        let (source, destination) = (at..at + length, at + length..at + 2 * length);
        reply[source.clone()].copy_from_slice(&question[destination.clone()]);
        reply[destination].copy_from_slice(&question[source]);
    }
    reply
}
