//! Test runs of the programs in the kernel: a datapath under a document, frames by hand, and what becomes of them.
//!
//! It attaches nothing and sends nothing. Called by the tests of `engines.rs`.

use sg_check::{CompiledNic, EngineKind, KernelEngine};
use sg_common::{packet::Family, verdict::Reason};
use sg_compile::Image;
use sg_kernel::{Datapath, Program};
use sg_tests::packet::{TCP, ethernet, ip, tcp};

/// A test by its name.
pub(crate) type Test = (&'static str, fn());

/// A test that is asked of these engines, one by one.
pub(crate) type AskedOf = (&'static str, &'static [EngineKind], fn(EngineKind));

/// The engines that are compared with the oracle.
pub(crate) const COMPARED: &[EngineKind] = &[EngineKind::Image, EngineKind::Kernel];

pub(crate) const REMOTE: [u8; 4] = [192, 0, 2, 1];
pub(crate) const LOCAL: [u8; 4] = [10, 0, 0, 5];
pub(crate) const REMOTE6: &str = "2001:db8::1";
pub(crate) const LOCAL6: &str = "2001:db8::5";

/// An Ethernet frame with an IPv4 packet.
pub(crate) fn ipv4(protocol: u8, ends: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
    ethernet([[0; 6]; 2], &ip(ends.map(Into::into), protocol, 64, payload))
}

pub(crate) fn inbound(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4(protocol, [REMOTE, LOCAL], payload)
}

pub(crate) fn outbound(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4(protocol, [LOCAL, REMOTE], payload)
}

/// An Ethernet frame with an IPv6 packet.
pub(crate) fn ipv6(next: u8, hop_limit: u8, ends: [&str; 2], payload: &[u8]) -> Vec<u8> {
    ethernet([[0; 6]; 2], &ip(ends.map(|end| end.parse().unwrap()), next, hop_limit, payload))
}

/// A packet of `family` between the remote end and the local one, inbound or outbound.
pub(crate) fn packet(family: Family, inbound: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match family {
        Family::V4 => ipv4(protocol, if inbound { [REMOTE, LOCAL] } else { [LOCAL, REMOTE] }, payload),
        Family::V6 => {
            ipv6(protocol, 64, if inbound { [REMOTE6, LOCAL6] } else { [LOCAL6, REMOTE6] }, payload)
        }
    }
}

/// A TCP segment to port 80 with the flags given, from a source port.
pub(crate) fn segment(flags: u8, source_port: u16) -> Vec<u8> {
    segment_to(80, flags, source_port)
}

/// A TCP segment from a source port of the remote end to a port of the local one.
pub(crate) fn segment_to(port: u16, flags: u8, source_port: u16) -> Vec<u8> {
    inbound(TCP, &tcp([source_port, port], [1, 0], flags))
}

/// A datapath whose test runs meet a NIC with one rule each way.
pub(crate) fn judging(ingress: &str, egress: &str) -> Datapath {
    judging_nic(ingress, egress, "role: host").1
}

/// The same with more to say about the NIC; and its image.
pub(crate) fn judging_nic(ingress: &str, egress: &str, nic: &str) -> (Image, Datapath) {
    let rule = |action| format!("[{{ action: {action}, protocol: all }}]");
    let (ingress, egress) = (rule(ingress), rule(egress));
    let nic = if nic.is_empty() { String::new() } else { format!("{nic}, ") };
    let text = format!(
        "groups: {{ g: {{ inner_access: drop, ingress: {ingress}, egress: {egress} }} }}\n\
         nics: [{{ device: nic, {nic}addresses: [10.0.0.5], groups: [g] }}]"
    );
    judged(KernelEngine::datapath().unwrap(), &text)
}

/// The first NIC of the document `text` in `datapath`.
pub(crate) fn judged(mut datapath: Datapath, text: &str) -> (Image, Datapath) {
    let policy = sg_document::parse("program", text.as_bytes()).unwrap().policy;
    let image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
    datapath.publish(0, &image).unwrap();
    datapath.stand_in(0).unwrap();
    (image, datapath)
}

#[track_caller]
fn meets(datapath: &mut Datapath, program: Program, frame: &[u8]) -> (bool, Reason) {
    let outcome = datapath.run(program, frame, 1).unwrap();
    let decision = outcome.decision.expect("a decision is recorded");
    assert_eq!(outcome.passed, decision.accepts());
    (outcome.passed, decision.reason().unwrap())
}

#[track_caller]
pub(crate) fn expect(datapath: &mut Datapath, program: Program, frame: &[u8], wanted: (bool, Reason)) {
    assert_eq!(meets(datapath, program, frame), wanted);
}

pub(crate) const PASSES: (bool, Reason) = (true, Reason::Rule);

pub(crate) const fn dropped(reason: Reason) -> (bool, Reason) {
    (false, reason)
}
