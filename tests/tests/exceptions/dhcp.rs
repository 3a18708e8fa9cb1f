//! DHCP messages of our own making, under a policy that drops everything: requests of a client here pass, and so do the replies,
//! whatever their destination; nothing else does, and no text that says it is DHCP.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use sg_tests::{
    lab::{Agent, Attach, Family, Lab},
    packet::{UDP, ip, udp},
};

use crate::support::{
    forwarding::{ForwardingPath, IPV4, IPV6},
    scene::{Client, Counted, NOTHING, Role, Scene, Server, Who, counts, filtered, over_roles, web},
    suite::Suite,
};

const ALL: &str = "255.255.255.255";
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Somewhere on the Internet.
const ELSEWHERE: &str = "198.51.100.7";
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 6];

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "requests_get_their_replies", requests_get_their_replies);
    over_roles(suite, "one_server_is_asked", one_server_is_asked);
    over_roles(suite, "dhcpv6_likewise", dhcpv6_likewise);
}

/// A message of BOOTP with the options of DHCP.
struct Bootp {
    operation: u8,
    transaction: u32,
    mac: [u8; 6],
    has: Ipv4Addr,
    gets: Ipv4Addr,
    options: Vec<u8>,
}

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

fn asks(kind: u8, transaction: u32, has: Ipv4Addr) -> Bootp {
    Bootp { operation: 1, transaction, mac: MAC, has, gets: NOBODY, options: vec![53, 1, kind, 255] }
}

fn reply_of(kind: u8, transaction: u32, server: &str) -> Result<Bootp> {
    let server: Ipv4Addr = server.parse()?;
    let options = [&[53, 1, kind, 54, 4][..], &server.octets(), &[255]].concat();
    Ok(Bootp { operation: 2, transaction, mac: MAC, has: NOBODY, gets: OWN, options })
}

impl Bootp {
    fn bytes(&self) -> Vec<u8> {
        let mut message = vec![self.operation, 1, 6, 0];
        message.extend(self.transaction.to_be_bytes());
        message.extend([0; 4]);
        message.extend(self.has.octets());
        message.extend(self.gets.octets());
        message.extend([0; 8]);
        message.extend(self.mac);
        message.resize(236, 0);
        message.extend([0x63, 0x82, 0x53, 0x63]);
        message.extend(&self.options);
        message
    }
}

struct Wire<'a> {
    scene: &'a Scene,
    agent: &'a Agent,
}

impl Wire<'_> {
    /// Sends a datagram, which must come out as DHCP where it `passes`, and not at all where not.
    fn carries(
        &self,
        what: &str,
        from: Who,
        [source, destination]: [&str; 2],
        ports: [u16; 2],
        message: &[u8],
        passes: bool,
    ) -> Result<()> {
        let (source, destination): (IpAddr, IpAddr) = (source.parse()?, destination.parse()?);
        let (family, ethertype) = if source.is_ipv4() { (Family::V4, IPV4) } else { (Family::V6, IPV6) };
        let to = if from == Server { Client } else { Server };
        let path = ForwardingPath::open(self.scene, from, to, family, ethertype)?;
        let frame = path.frame(&ip([source, destination], UDP, 64, &udp(ports, message)));
        let counted = u64::from(passes);
        counts(self.agent, Counted::Reason("dhcp"), counted..=counted, || {
            let arrived = path.carries(&frame, passes)?;
            ensure!(arrived == passes, "it {}", if arrived { "arrived" } else { "did not arrive" });
            Ok(())
        })
        .with_context(|| what.to_owned())
    }

    fn ask(&self, what: &str, ends: [&str; 2], message: &Bootp, passes: bool) -> Result<()> {
        self.carries(what, Server, ends, [68, 67], &message.bytes(), passes)
    }

    fn reply(&self, what: &str, ends: [&str; 2], message: &Bootp, passes: bool) -> Result<()> {
        self.carries(what, Client, ends, [67, 68], &message.bytes(), passes)
    }
}

fn requests_get_their_replies(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const SERVER: &str = "10.77.0.2";
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, NOTHING))?;
    let offer = reply_of(OFFER, 7, SERVER)?;
    let wire = Wire { scene: &scene, agent: &agent };
    wire.reply("an offer that nobody asked for", [SERVER, ALL], &offer, false)?;
    wire.reply("an offer that nobody asked for, to the NIC", [SERVER, "10.77.0.1"], &offer, false)?;
    wire.ask("a discover", ["0.0.0.0", ALL], &asks(DISCOVER, 7, NOBODY), true)?;
    for to in [ALL, "10.77.0.1", "10.77.0.99"] {
        wire.reply(&format!("an offer to {to}"), [SERVER, to], &offer, true)?;
    }
    wire.reply("an offer through a relay", [ELSEWHERE, ALL], &offer, true)?;
    wire.reply("of another transaction", [SERVER, ALL], &reply_of(OFFER, 8, SERVER)?, false)?;
    let other = Bootp { mac: OTHER_MAC, ..reply_of(OFFER, 7, SERVER)? };
    wire.reply("to another client", [SERVER, ALL], &other, false)?;
    let question = Bootp { operation: 1, ..reply_of(OFFER, 7, SERVER)? };
    wire.reply("a request as a reply", [SERVER, ALL], &question, false)?;
    wire.carries("text as a reply", Client, [SERVER, "10.77.0.1"], [67, 68], b"command: run this", false)?;
    wire.carries("text as a question", Server, ["0.0.0.0", ALL], [68, 67], b"stolen data, no DHCP", false)?;
    wire.ask("a reply as a request", ["0.0.0.0", ALL], &offer, false)?;
    wire.carries(
        "a question to it as a server",
        Client,
        ["0.0.0.0", ALL],
        [68, 67],
        &asks(DISCOVER, 9, NOBODY).bytes(),
        false,
    )?;
    wire.carries("it as a server", Server, ["10.77.0.1", SERVER], [67, 68], &offer.bytes(), false)?;
    // Another agent goes on with it.
    agent.kill()?;
    agent.start_again()?;
    let wire = Wire { scene: &scene, agent: &agent };
    wire.reply("to another agent's question", [SERVER, "10.77.0.98"], &offer, true)
}

fn one_server_is_asked(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const NEAR: &str = "10.77.0.2";
    const OWN_TEXT: &str = "10.77.0.1";
    let policy = web(role, NOTHING);
    let (scene, mut agent) = filtered(lab, attach, role, &policy)?;
    let wire = Wire { scene: &scene, agent: &agent };
    let renew = |transaction| asks(REQUEST, transaction, OWN);
    // The host end of a guest's NIC is connected to nothing.
    wire.ask("of its network", [OWN_TEXT, NEAR], &renew(1), role == Role::Host)?;
    wire.ask("of its link", [OWN_TEXT, "169.254.169.254"], &renew(2), true)?;
    wire.ask("of somewhere else", [OWN_TEXT, ELSEWHERE], &renew(3), false)?;
    wire.reply("the reply of somewhere else", [ELSEWHERE, OWN_TEXT], &reply_of(ACK, 3, ELSEWHERE)?, false)?;
    wire.ask("rebinding", [OWN_TEXT, ALL], &renew(4), true)?;
    wire.reply("an acknowledgement", [ELSEWHERE, OWN_TEXT], &reply_of(ACK, 4, ELSEWHERE)?, true)?;
    wire.ask("who gave it its address", [OWN_TEXT, ELSEWHERE], &renew(5), true)?;
    wire.reply("its reply", [ELSEWHERE, OWN_TEXT], &reply_of(ACK, 5, ELSEWHERE)?, true)?;
    wire.ask("beside that one", [OWN_TEXT, "198.51.100.8"], &renew(6), false)?;
    wire.ask("for another", [OWN_TEXT, ELSEWHERE], &asks(REQUEST, 7, Ipv4Addr::new(10, 77, 0, 9)), false)?;
    wire.carries("text to it", Server, [OWN_TEXT, ELSEWHERE], [68, 67], b"stolen data, no DHCP", false)?;
    agent.kill()?;
    agent.start_again()?;
    let wire = Wire { scene: &scene, agent: &agent };
    wire.ask("who gave it its address, by another agent", [OWN_TEXT, ELSEWHERE], &renew(8), true)?;
    // Whom the policy names.
    agent.apply(&policy.replace("groups: [web]", "dhcp_servers: [203.0.113.5], groups: [web]"))?;
    let wire = Wire { scene: &scene, agent: &agent };
    wire.ask("whom the policy names", [OWN_TEXT, "203.0.113.5"], &renew(9), true)?;
    wire.ask("beside that one", [OWN_TEXT, "203.0.113.6"], &renew(10), false)
}

/// A message of DHCPv6 of a client with a DUID that ends in `client`.
fn six(kind: u8, transaction: u8, client: u8) -> Vec<u8> {
    vec![kind, 0, 0, transaction, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, client]
}

fn dhcpv6_likewise(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const SERVERS: &str = "ff02::1:2";
    let policy = web(role, NOTHING);
    let (scene, mut agent) = filtered(lab, attach, role, &policy)?;
    let wire = Wire { scene: &scene, agent: &agent };
    let ask = |what: &str, ends, message: &[u8], passes| {
        wire.carries(what, Server, ends, [546, 547], message, passes)
    };
    let reply = |what: &str, ends, message: &[u8], passes| {
        wire.carries(what, Client, ends, [547, 546], message, passes)
    };
    let advertise = six(2, 1, 5);
    reply("what nobody asked for", ["fe80::2", "fe80::1"], &advertise, false)?;
    ask("a solicit", ["fe80::1", SERVERS], &six(1, 1, 5), true)?;
    reply("an advertise", ["fe80::2", "fe80::1"], &advertise, true)?;
    reply("a reply", ["fe80::2", "fe80::1"], &six(7, 1, 5), true)?;
    reply("a reconfigure", ["fe80::2", "fe80::1"], &six(10, 1, 5), false)?;
    reply("of another transaction", ["fe80::2", "fe80::1"], &six(2, 2, 5), false)?;
    reply("to another client", ["fe80::2", "fe80::1"], &six(2, 1, 6), false)?;
    reply("to another address", ["fe80::2", "fe80::9"], &advertise, false)?;
    ask("no message", ["fe80::1", SERVERS], b"stolen data, no DHCP", false)?;
    ask("from an address of the network", ["fd77::1", SERVERS], &six(1, 3, 5), false)?;
    ask("to somewhere else", ["fd77::1", "fd99::1"], &six(3, 4, 5), false)?;
    ask("to a server of its network", ["fd77::1", "fd77::2"], &six(3, 5, 5), role == Role::Host)?;
    agent.apply(&policy.replace("groups: [web]", "dhcp_servers: [\"fd99::1\"], groups: [web]"))?;
    let wire = Wire { scene: &scene, agent: &agent };
    let to_it = ["fd77::1", "fd99::1"];
    wire.carries("whom the policy names", Server, to_it, [546, 547], &six(3, 6, 5), true)?;
    wire.carries("its reply", Client, ["fd99::1", "fd77::1"], [547, 546], &six(7, 6, 5), true)
}
