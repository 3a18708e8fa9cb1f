//! A guest that shares an address with another one, as keepalived with `use_vmac` does it: three pairs of addresses, and each of
//! them is needed ([docs/use/networks.md](../../../docs/use/networks.md)).

use anyhow::{Context as _, Result, ensure};
use sg_tests::{
    lab::{Attach, FrameSocket, Lab, PATIENCE, SILENCE, Stats},
    packet::{checksum, ip},
};

use crate::support::{
    forwarding::{ARP, IPV4},
    scene::{Client, Counted, Role, Scene, Server, counts},
    suite::Suite,
};

const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 7];
const VIRTUAL_ADDRESS: [u8; 4] = [10, 77, 0, 9];
const VRRP: u8 = 112;
/// The guest's, and that of the other router.
const OWN_ADDRESS: [u8; 4] = [10, 77, 0, 1];
const OTHER_ADDRESS: [u8; 4] = [10, 77, 0, 2];
/// To whom advertisements go, and the Ethernet address of that group.
const ROUTERS: [u8; 4] = [224, 0, 0, 18];
const ROUTERS_LINK: [u8; 6] = [1, 0, 0x5e, 0, 0, 18];
/// An advertisement lives on its link only (RFC 5798 5.1.1.3).
const HOP_LIMIT: u8 = 255;

/// The three pairs: of the virtual address with the guest's Ethernet address, with the virtual one, and of the guest's address
/// with the virtual one.
const PAIRS: [&str; 3] = [
    "10.77.0.9",
    "{ address: 10.77.0.9, mac: \"00:00:5e:00:01:07\" }",
    "{ address: 10.77.0.1, mac: \"00:00:5e:00:01:07\" }",
];

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("a_guest_needs_three_pairs", a_guest_needs_three_pairs);
    suite.each("advertisements_need_a_rule", advertisements_need_a_rule);
}

/// What the guest sends, and which of [`PAIRS`] it needs.
struct Said {
    what: &'static str,
    needs: usize,
    frame: Vec<u8>,
}

/// An advertisement of router 7, with priority 150 (RFC 3768 5.1).
fn advertisement() -> Vec<u8> {
    let mut bytes = vec![0x21, 7, 150, 1, 0, 1, 0, 0];
    bytes.extend(VIRTUAL_ADDRESS);
    bytes.extend([0; 8]);
    let sum = checksum(&bytes);
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn advertised(from: [u8; 6], source: [u8; 4]) -> Vec<u8> {
    let packet = ip([source.into(), ROUTERS.into()], VRRP, HOP_LIMIT, &advertisement());
    [&ROUTERS_LINK[..], &from, &IPV4.to_be_bytes(), &packet].concat()
}

/// "The virtual address is at this Ethernet address", to all.
fn announced(from: [u8; 6]) -> Vec<u8> {
    let ends = [&from[..], &VIRTUAL_ADDRESS, &[0; 6], &VIRTUAL_ADDRESS].concat();
    [&[0xff; 6][..], &from, &ARP.to_be_bytes(), &[0, 1, 8, 0, 6, 4, 0, 1], &ends].concat()
}

fn said(guest: [u8; 6]) -> [Said; 4] {
    [
        Said {
            what: "from the virtual address, from its own Ethernet address",
            needs: 0,
            frame: advertised(guest, VIRTUAL_ADDRESS),
        },
        Said {
            what: "from the virtual address, from the virtual Ethernet address",
            needs: 1,
            frame: advertised(VIRTUAL, VIRTUAL_ADDRESS),
        },
        Said { what: "where the virtual address is", needs: 1, frame: announced(VIRTUAL) },
        Said { what: "the advertisement", needs: 2, frame: advertised(VIRTUAL, OWN_ADDRESS) },
    ]
}

/// The server is a guest whose Ethernet address is known, with these pairs and rules.
fn policy(guest: [u8; 6], pairs: &[&str], rules: &str) -> String {
    let mac = guest.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "groups:\n  ha:\n    type: enterprise\n    inner_access: drop\n{rules}\nnics:\n  - device: server\n    role: guest\n    \
         mac: \"{mac}\"\n    addresses: [10.77.0.1]\n    allowed_address_pairs: [{}]\n    groups: [ha]\n",
        pairs.join(", ")
    )
}

const RULES: &str = "    ingress: [{ id: in, protocol: 112, remote: 10.77.0.0/24 }]
    egress: [{ id: out, protocol: 112 }]";

/// Whether `frame`, sent by the one, comes out at the other.
fn arrives(from: &FrameSocket, to: &FrameSocket, frame: &[u8], expected: bool) -> Result<bool> {
    from.send(frame)?;
    to.receives(if expected { PATIENCE } else { SILENCE }, |received| received == frame)
}

fn spoofed(stats: &Stats) -> u64 {
    stats.reason("anti-spoofing") + stats.reason("neighbour-spoofing")
}

fn a_guest_needs_three_pairs(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let guest = FrameSocket::open(scene.host(Server), "eth0", IPV4)?;
    let mac = guest.address();
    let mut agent = scene.agent(Role::Guest, attach, &policy(mac, &PAIRS, RULES))?;
    for missing in [None, Some(0), Some(1), Some(2)] {
        let mut pairs = PAIRS.to_vec();
        if let Some(missing) = missing {
            pairs.remove(missing);
            agent.apply(&policy(mac, &pairs, RULES))?;
        }
        for Said { what, needs, frame } in said(mac) {
            let passes = missing != Some(needs);
            let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
            let socket = FrameSocket::open(scene.host(Client), "eth0", ethertype)?;
            let expected = u64::from(!passes);
            counts(&agent, Counted::Of("spoofed packets", &spoofed), expected..=expected, || {
                ensure!(arrives(&guest, &socket, &frame, passes)? == passes, "it arrived: {}", !passes);
                Ok(())
            })
            .with_context(|| format!("{what}, without pair {missing:?}"))?;
        }
    }
    Ok(())
}

fn advertisements_need_a_rule(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let guest = FrameSocket::open(scene.host(Server), "eth0", IPV4)?;
    let other = FrameSocket::open(scene.host(Client), "eth0", IPV4)?;
    let mut agent = scene.agent(Role::Guest, attach, &policy(guest.address(), &PAIRS, RULES))?;
    let outbound = advertised(VIRTUAL, OWN_ADDRESS);
    let inbound = advertised(other.address(), OTHER_ADDRESS);
    for has_rules in [true, false] {
        if !has_rules {
            agent.apply(&policy(guest.address(), &PAIRS, ""))?;
        }
        let (from, to) = ((&guest, &other), (&other, &guest));
        for (direction, (from, to), frame) in [("out", from, &outbound), ("in", to, &inbound)] {
            let way = if direction == "out" { "egress" } else { "ingress" };
            let by = |stats: &Stats| if has_rules { stats.rule(direction) } else { stats.default_of(way) };
            counts(&agent, Counted::Of("who decides", &by), 1..=1, || {
                ensure!(arrives(from, to, frame, has_rules)? == has_rules, "it arrived: {}", !has_rules);
                Ok(())
            })
            .with_context(|| format!("{direction}, with rules: {has_rules}"))?;
        }
    }
    Ok(())
}
