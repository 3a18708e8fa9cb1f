//! Packets that get no reject (RFC 1122 3.2.2, RFC 4443 2.4), and senders that the NIC could not have received
//! a packet from.

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Attach, Family, Lab};

use crate::support::{
    reject_wire::{Crafted, Kind, Wire, absent, guest},
    scene::{Client, Role, Server, Who, over_roles},
    suite::Suite,
};

const SECOND: [u8; 6] = [2, 0, 0, 0, 0x77, 9];

pub(crate) fn tests(suite: &mut Suite) {
    for (way, from) in [("inbound", Client), ("outbound", Server)] {
        over_roles(suite, &format!("no_reply_{way}"), move |lab, attach, role| {
            no_reply(lab, attach, role, from)
        });
        over_roles(suite, &format!("whatever_is_between_{way}"), move |lab, attach, role| {
            whatever_is_between(lab, attach, role, from)
        });
    }
    over_roles(suite, "only_allowed_sources_of_a_router", only_allowed_sources_of_a_router);
    suite.each("a_guest_of_unknown_ethernet_address", a_guest_of_unknown_ethernet_address);
}

/// Everything is rejected, and as many senders are told as a test has packets.
fn all(nic: &str) -> String {
    format!(
        "groups:\n  all:\n    inner_access: drop\n    ingress: [{{ id: in, action: reject, protocol: all }}]\n    \
         egress: [{{ id: out, action: reject, protocol: all }}]\nnics:\n  - {{ {nic} groups: [all] }}\n"
    )
}

/// Changes one end of a frame: that of the NIC, or the other one.
struct Ends {
    local: usize,
}

impl Ends {
    fn link(&self, mut frame: Crafted, own: bool, address: [u8; 6]) -> Crafted {
        // To is the first.
        frame.link[if own { self.local } else { 1 - self.local }] = address;
        frame
    }

    fn ip(&self, mut frame: Crafted, own: bool, address: std::net::IpAddr) -> Crafted {
        if own == (self.local == 0) {
            frame.destination = address;
        } else {
            frame.source = address;
        }
        frame
    }
}

fn no_reply(lab: Lab, attach: Attach, role: Role, from: Who) -> Result<()> {
    let wire = Wire::new(lab, attach, role, all)?;
    let ends = Ends { local: usize::from(from == Server) };
    wire.rejects(from, "the control")?;
    for family in Family::ALL {
        for kind in Kind::ALL {
            let frame = wire.frame(from, family, kind);
            let mut silent: Vec<(String, Vec<u8>)> = Vec::new();
            let mut add = |what: &str, frame: Vec<u8>| silent.push((format!("{kind:?}, {what}"), frame));
            let third = ends.ip(frame, true, absent(family));
            add(
                "another host's, in a frame that a switch sent to all",
                ends.link(third, true, SECOND).bytes(),
            );
            add("of another Ethernet address", ends.link(frame, true, SECOND).bytes());
            add("of an address that is not the NIC's", third.bytes());
            for group in [[1, 0, 0x5e, 0, 0, 1], [0xff; 6], [0x33, 0x33, 0, 0, 0, 1]] {
                add("of a group by Ethernet", ends.link(frame, true, group).bytes());
                add("from a group by Ethernet", ends.link(frame, false, group).bytes());
            }
            for other in nobody(family, role) {
                let other = other.parse().context("an address")?;
                add(&format!("the remote is {other}"), ends.ip(frame, false, other).bytes());
            }
            for (what, frame) in spoiled(&frame) {
                add(what, frame);
            }
            wire.are_silent(from, &silent).with_context(|| format!("{family:?}"))?;
        }
    }
    wire.rejects(from, "the control, again")
}

/// Addresses that nobody has, or that mean many: at the other end of a packet.
fn nobody(family: Family, role: Role) -> Vec<&'static str> {
    let mut nobody = match family {
        Family::V4 => vec![
            "0.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "224.0.0.1",
            "239.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "10.77.0.1",
        ],
        Family::V6 => vec!["::", "::1", "::10.77.0.2", "::ffff:10.77.0.2", "ff02::1", "ff0e::1", "fd77::1"],
    };
    // The network of a guest is not known.
    if role == Role::Host {
        nobody.extend(match family {
            Family::V4 => &["10.77.0.0", "10.77.0.255"][..],
            Family::V6 => &["fd77::"],
        });
    }
    nobody
}

/// The frame with each of its checksums wrong.
fn spoiled(frame: &Crafted) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = frame.bytes();
    let spoil = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x55;
        bytes
    };
    let transport = if frame.family() == Family::V4 { 34 } else { 54 };
    let at = transport
        + match frame.kind {
            Kind::Syn => 16,
            Kind::Datagram => 6,
            Kind::Echo => 2,
        };
    let mut spoiled = vec![
        ("a wrong checksum", spoil(at)),
        ("a byte that the checksum does not know", spoil(bytes.len() - 1)),
    ];
    if frame.family() == Family::V4 {
        spoiled.push(("a wrong checksum of the IP header", spoil(24)));
    }
    spoiled
}

/// Options and extension headers, as many as there may be.
fn whatever_is_between(lab: Lab, attach: Attach, role: Role, from: Who) -> Result<()> {
    let wire = Wire::new(lab, attach, role, all)?;
    for (family, lengths) in [
        (Family::V4, [0, 4, 20, 24, 28, 36, 40].as_slice()),
        (Family::V6, &[0, 8, 16, 72, 80, 88, 208, 1_000, 1_400]),
    ] {
        for kind in [Kind::Syn, Kind::Datagram] {
            for &between in lengths {
                let frame = Crafted { between, ..wire.frame(from, family, kind) };
                ensure!(wire.is_rejected(from, &frame)?, "{kind:?} behind {between} bytes: no reject");
            }
        }
    }
    Ok(())
}

/// A router's NIC: for the networks behind it, it rejects where it is allowed to speak for them.
fn only_allowed_sources_of_a_router(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let wire = Wire::new(lab, attach, role, |nic| {
        all(&format!("{nic} allowed_address_pairs: [10.99.0.0/16, \"fd99::/48\"],"))
    })?;
    for (from, local) in [(Client, 0), (Server, 1)] {
        let ends = Ends { local };
        for (behind, beyond) in [("10.99.3.4", "10.98.3.4"), ("fd99::3:4", "fd98::3:4")] {
            let [behind, beyond] = [behind, beyond].map(str::parse::<std::net::IpAddr>);
            let (behind, beyond) = (behind?, beyond?);
            for kind in Kind::ALL {
                let frame = wire.frame(from, Family::from(behind), kind);
                let told = ends.ip(frame, true, behind);
                ensure!(wire.is_rejected(from, &told)?, "no reject for {told:?}");
                let silent = ends.ip(frame, true, beyond).bytes();
                wire.are_silent(from, &[(format!("for {beyond}"), silent)])?;
            }
        }
    }
    Ok(())
}

/// What is for it nobody can tell, so nobody is told in its name; itself is.
fn a_guest_of_unknown_ethernet_address(lab: Lab, attach: Attach) -> Result<()> {
    let wire = Wire::new(lab, attach, Role::Guest, |nic| {
        let (named, _) = nic.split_once("mac:").unwrap_or((nic, ""));
        all(named)
    })?;
    ensure!(guest(wire.link(Server)).contains("mac:"), "the test takes it out");
    wire.rejects(Server, "the guest itself")?;
    let frames = Family::ALL
        .into_iter()
        .flat_map(|family| Kind::ALL.map(|kind| wire.frame(Client, family, kind)))
        .map(|frame| (format!("{frame:?}"), frame.bytes()));
    wire.are_silent(Client, &frames.collect::<Vec<_>>())
}
