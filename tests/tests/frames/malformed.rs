//! Frames that cannot be judged are dropped, and counted under why.

use anyhow::{Context as _, Result, ensure};
use sg_tests::{
    lab::{Attach, Family, Lab},
    packet::{UDP, checksum, udp},
};

use crate::support::{
    forwarding::{ARP, ForwardingPath},
    scene::{Client, Counted, Role, Scene, Server, Who, counts, filtered, over_roles, web},
    suite::Suite,
};

/// Everything that can be judged is accepted.
const OPEN: &str = "
ingress:
  - { protocol: all }
egress:
  - { protocol: all }
";

const FRAGMENT_HEADER: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// Local experiments (IEEE 802).
const EXPERIMENTAL: u16 = 0x88b5;

pub(crate) fn tests(suite: &mut Suite) {
    for (way, from, to) in [("in", Client, Server), ("out", Server, Client)] {
        over_roles(suite, &format!("are_dropped_for_a_reason_{way}"), move |lab, attach, role| {
            are_dropped_for_a_reason(lab, attach, role, from, to)
        });
    }
}

fn are_dropped_for_a_reason(lab: Lab, attach: Attach, role: Role, from: Who, to: Who) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, OPEN))?;
    let v4 = ForwardingPath::ip(&scene, from, to, Family::V4)?;
    let v6 = ForwardingPath::ip(&scene, from, to, Family::V6)?;

    // The control: what can be judged goes through.
    for path in [&v4, &v6] {
        let whole = path.frame(&path.packet(UDP, &udp([7, 7], b"whole")));
        ensure!(path.carries(&whole, true)?, "a whole packet was dropped");
    }

    let mut later_v4 = v4.packet(UDP, b"the rest");
    later_v4[6..8].copy_from_slice(&5_u16.to_be_bytes());
    summed(&mut later_v4);
    let later_v6 = v6.packet(FRAGMENT_HEADER, &[&[UDP, 0, 0, 8, 0, 0, 0, 1][..], b"the rest"].concat());
    let mut long_header = v4.packet(UDP, &udp([7, 7], b"odd"));
    long_header[0] = 0x4f;
    summed(&mut long_header);
    long_header.truncate(24);
    let options = [DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(7);
    let unknown = ForwardingPath::open(&scene, from, to, Family::V4, EXPERIMENTAL)?;

    let cases: [(&str, &str, &ForwardingPath, Vec<u8>); 8] = [
        ("a later fragment, v4", "fragment", &v4, later_v4),
        ("a later fragment, v6", "fragment", &v6, later_v6),
        ("half an IPv4 header", "malformed", &v4, v4.packet(UDP, &[])[..10].to_vec()),
        ("half an IPv6 header", "malformed", &v6, v6.packet(UDP, &[])[..20].to_vec()),
        ("half a UDP header", "malformed", &v6, v6.packet(UDP, &[0, 7])),
        ("a header longer than the packet", "malformed", &v4, long_header),
        ("seven extension headers", "too-many-headers", &v6, v6.packet(DESTINATION_OPTIONS, &options)),
        ("an unknown EtherType", "not-ip", &unknown, b"anything".to_vec()),
    ];
    for (what, reason, path, payload) in cases {
        counts(&agent, Counted::Reason(reason), 1..=1, || {
            ensure!(!path.carries(&path.frame(&payload), false)?, "it arrived");
            Ok(())
        })
        .with_context(|| what.to_owned())?;
    }
    arp_passes(&scene, from, to)
}

/// Puts the right checksum into an IPv4 header of twenty bytes.
fn summed(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The other control: what is not IP is not all dropped.
fn arp_passes(scene: &Scene, from: Who, to: Who) -> Result<()> {
    let path = ForwardingPath::open(scene, from, to, Family::V4, ARP)?;
    // A probe (RFC 5227), which a guest that speaks for itself may send, too: from its Ethernet address and no other.
    let mut probe = path.frame(&[&[0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 20]].concat());
    probe.copy_within(6..12, 22);
    ensure!(path.carries(&probe, true)?, "ARP was dropped");
    Ok(())
}
