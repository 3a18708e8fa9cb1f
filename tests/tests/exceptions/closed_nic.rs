//! A NIC whose rules accept nothing: it finds its neighbours, and neighbour discovery and ARP carry no other data.

use std::net::Ipv6Addr;

use anyhow::{Context as _, Result, ensure};
use sg_tests::{
    lab::{Attach, Family, Lab},
    packet::{ICMPV6, ip},
};

use crate::support::{
    forwarding::{ARP, ForwardingPath, IPV6},
    scene::{Client, Counted, NOTHING, Role, Server, Who, counts, filtered, over_roles, web},
    suite::Suite,
};

const OWN: &str = "fd77::1";
const NEIGHBOUR: &str = "fd77::2";
const ELSEWHERE: &str = "fd99::1";
const SOLICITED: &str = "ff02::1:ff00:2";

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "discovery_is_no_channel", discovery_is_no_channel);
    over_roles(suite, "a_solicitation_gets_a_reply", a_solicitation_gets_a_reply);
    over_roles(suite, "arp_is_no_channel", arp_is_no_channel);
}

/// An ICMPv6 message: its first eight bytes, an address where it has one, and what stands behind it.
fn message(kind: u8, code: u8, target: Option<&str>, options: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec());
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(target.and_then(address).unwrap_or_default());
    message.extend(options);
    message
}

/// Options that are right by themselves, and full of something else.
fn data(bytes: usize) -> Vec<u8> {
    let mut option = vec![253, (bytes / 8) as u8];
    option.resize(bytes, b'x');
    option
}

struct Sent<'a> {
    what: &'a str,
    from: Who,
    ends: [&'a str; 2],
    hop_limit: u8,
    message: Vec<u8>,
    passes: bool,
}

fn out<'a>(what: &'a str, ends: [&'a str; 2], message: Vec<u8>, passes: bool) -> Sent<'a> {
    Sent { what, from: Server, ends, hop_limit: 255, message, passes }
}

fn inward<'a>(what: &'a str, ends: [&'a str; 2], message: Vec<u8>, passes: bool) -> Sent<'a> {
    Sent { from: Client, ..out(what, ends, message, passes) }
}

fn discovery_is_no_channel(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const ADDRESS: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 1];
    let (scene, agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    let ask = |options: &[u8]| message(135, 0, Some(NEIGHBOUR), options);
    let report = |records: u8, rest: &[u8]| [&[143, 0, 0, 0, 0, 0, 0, records][..], rest].concat();
    let mut messages = vec![
        out("the question for a neighbour", [OWN, SOLICITED], ask(&ADDRESS), true),
        out("the question whether it is still there", [OWN, NEIGHBOUR], ask(&[]), true),
        out("a question for an address of one's own", ["::", SOLICITED], ask(&[]), true),
        out("a question that goes elsewhere", [OWN, ELSEWHERE], ask(&ADDRESS), false),
        out("a question with data", [OWN, SOLICITED], ask(&[b'x'; 1_200]), false),
        out("a question with data in an option", [OWN, SOLICITED], ask(&data(1_200)), false),
        out(
            "a question with an option of no length",
            [OWN, SOLICITED],
            ask(&[1, 0, 0, 0, 0, 0, 0, 0]),
            false,
        ),
        out("a question of another code", [OWN, SOLICITED], message(135, 7, Some(NEIGHBOUR), &[]), false),
        out("a search for routers", [OWN, "ff02::2"], message(133, 0, None, &ADDRESS), true),
        out("a search for routers elsewhere", [OWN, ELSEWHERE], message(133, 0, None, &[]), false),
        out("an advertisement to all", [OWN, "ff02::1"], message(136, 0, Some(OWN), &[]), true),
        out(
            "an advertisement that nobody asked for",
            [OWN, ELSEWHERE],
            message(136, 0, Some(OWN), &[]),
            false,
        ),
        out("a redirect", [OWN, NEIGHBOUR], message(137, 0, Some(OWN), &[0; 16]), false),
        inward("a question", [NEIGHBOUR, OWN], message(135, 0, Some(OWN), &ADDRESS), true),
        inward("a question with data", [NEIGHBOUR, OWN], message(135, 0, Some(OWN), &data(1_200)), false),
        inward(
            "an advertisement with data",
            [NEIGHBOUR, OWN],
            message(136, 0, Some(NEIGHBOUR), &data(64)),
            false,
        ),
        inward(
            "a router",
            ["fe80::2", "ff02::1"],
            message(134, 0, None, &[&[0; 8][..], &data(1_200)].concat()),
            true,
        ),
        inward("a router of another code", ["fe80::2", "ff02::1"], message(134, 1, None, &[0; 8]), false),
    ];
    for (what, rest, passes) in [
        ("a report", report(1, &[[4, 0, 0, 0].as_slice(), &[0xff; 16]].concat()), true),
        ("a report with data", report(1, &[[4, 250, 0, 0].as_slice(), &[b'x'; 1_016]].concat()), false),
        ("a report with data behind it", report(0, &[b'x'; 1_000]), false),
    ] {
        messages.push(Sent { hop_limit: 1, ..out(what, ["fe80::1", "ff02::16"], rest, passes) });
    }
    for sent in messages {
        let to = if sent.from == Server { Client } else { Server };
        let path = ForwardingPath::open(&scene, sent.from, to, Family::V6, IPV6)?;
        let [from, to] = [sent.ends[0].parse()?, sent.ends[1].parse()?];
        let frame = path.frame(&ip([from, to], ICMPV6, sent.hop_limit, &sent.message));
        crosses(&agent, &path, &frame, "neighbour-discovery", sent.passes).context(sent.what.to_owned())?;
    }
    Ok(())
}

/// Sends `frame`, which must come out where it `passes`, and only there.
fn crosses(
    agent: &sg_tests::lab::Agent,
    path: &ForwardingPath,
    frame: &[u8],
    reason: &str,
    passes: bool,
) -> Result<()> {
    // The hosts look for each other in between.
    let least = u64::from(passes);
    counts(agent, Counted::Reason(reason), least.., || {
        let arrived = path.carries(frame, passes)?;
        ensure!(arrived == passes, "it {}", if arrived { "arrived" } else { "did not arrive" });
        Ok(())
    })
}

/// A solicitation from an address of the network gets its reply there.
fn a_solicitation_gets_a_reply(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    let outward = ForwardingPath::open(&scene, Server, Client, Family::V6, IPV6)?;
    let inward = ForwardingPath::open(&scene, Client, Server, Family::V6, IPV6)?;
    let asker = "fd77::77";
    let reply = ip([OWN.parse()?, asker.parse()?], ICMPV6, 255, &message(136, 0, Some(OWN), &[]));
    let reply = outward.frame(&reply);
    crosses(&agent, &outward, &reply, "neighbour-discovery", false).context("before it asked")?;
    let question = ip([asker.parse()?, OWN.parse()?], ICMPV6, 255, &message(135, 0, Some(OWN), &[]));
    let question = inward.frame(&question);
    crosses(&agent, &inward, &question, "neighbour-discovery", true).context("it asks")?;
    crosses(&agent, &outward, &reply, "neighbour-discovery", true).context("when it has asked")?;
    for (what, to, options) in [("to somewhere else", ELSEWHERE, vec![]), ("with data", asker, data(64))] {
        let reply = message(136, 0, Some(OWN), &options);
        let reply = outward.frame(&ip([OWN.parse()?, to.parse()?], ICMPV6, 255, &reply));
        crosses(&agent, &outward, &reply, "neighbour-discovery", false).context(what)?;
    }
    Ok(())
}

fn arp_is_no_channel(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    for from in [Server, Client] {
        let to = if from == Server { Client } else { Server };
        let path = ForwardingPath::open(&scene, from, to, Family::V4, ARP)?;
        let arp = |operation: u8, behind: &[u8]| path.frame(&arp(&path, from, operation, behind));
        for (what, frame, passes) in [
            ("a question", arp(1, &[]), true),
            ("a reply", arp(2, &[]), true),
            ("padded", arp(1, &[0; 18]), true),
            ("with data behind it", arp(1, &[b'x'; 400]), false),
            ("with a byte more than padding", arp(1, &[0; 19]), from == Client),
            ("padded, with its check sequence", arp(1, &[0; 22]), from == Client),
            ("with a byte more than that", arp(1, &[0; 23]), false),
            ("with data as padding", arp(1, &[b'x'; 18]), from == Client),
            ("the other way round", arp(3, &[]), false),
        ] {
            crosses(&agent, &path, &frame, "arp", passes).with_context(|| format!("{what} from {from:?}"))?;
        }
    }
    Ok(())
}

fn arp(path: &ForwardingPath, from: Who, operation: u8, behind: &[u8]) -> Vec<u8> {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, operation];
    arp.extend(path.sender());
    arp.extend([10, 77, 0, from as u8]);
    arp.extend([0; 6]);
    arp.extend([10, 77, 0, 3]);
    arp.extend(behind);
    arp
}
