//! What works without a rule, under a policy that drops everything: finding neighbours, and getting an address.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Attach, Family, FrameSocket, Host, Lab, Outcome, PATIENCE, Service, until};

use crate::support::{
    forwarding::{ARP, IPV6},
    scene::{Client, Counted, NOTHING, Role, Server, counts, filtered, over_roles, question, web},
    suite::Suite,
};

const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// `IFA_F_DADFAILED` (`linux/if_addr.h`).
const DAD_FAILED: u8 = 0x08;

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "neighbours_are_found", neighbours_are_found);
    over_roles(suite, "duplicate_addresses_are_found", duplicate_addresses_are_found);
}

/// Both ways: each asks for the other, whose reply comes.
fn neighbours_are_found(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    for (family, ethertype, reason) in [(Family::V4, ARP, "arp"), (Family::V6, IPV6, "neighbour-discovery")] {
        let is_reply = |frame: &[u8]| match family {
            Family::V4 => frame.get(20..22) == Some(&[0, 2]),
            Family::V6 => frame.get(54) == Some(&NEIGHBOUR_ADVERTISEMENT),
        };
        for (asker, asked) in [(Client, Server), (Server, Client)] {
            let socket = FrameSocket::open(scene.host(asker), "eth0", ethertype)?;
            scene.host(asker).ip("neighbour flush dev eth0")?;
            counts(&agent, Counted::Reason(reason), 2.., || {
                // What makes the kernel look for the neighbour goes nowhere.
                scene.puts(asker, &question(asker, asked, family, Service::Udp(9)), Outcome::Silent)?;
                ensure!(socket.receives(PATIENCE, is_reply)?, "{family}: no reply for the {asker:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The server is given an address that the client has: its probe goes out, the client's objection comes in.
fn duplicate_addresses_are_found(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    let server = scene.host(Server);
    for device in ["all", "eth0"] {
        server.sysctl(&format!("net/ipv6/conf/{device}/accept_dad"), "1")?;
    }
    scene.host(Client).address("eth0", &["fd77::99/64"])?;
    counts(&agent, Counted::Reason("neighbour-discovery"), 2.., || {
        server.address("eth0", &["fd77::99/64"])?;
        until("the duplicate address is found", || is_duplicate(server))
    })
}

fn is_duplicate(host: &Host) -> Result<bool> {
    let addresses = host.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/if_inet6")?))?;
    let address = addresses.lines().find(|line| line.starts_with("fd77") && line.contains("99 "));
    let flags = address.and_then(|line| line.split_whitespace().nth(4)).context("no such address")?;
    Ok(u8::from_str_radix(flags, 16)? & DAD_FAILED != 0)
}
