//! The table of `sg_common::dhcp`, row by row, and every row with one condition not met: as frames.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::net::IpAddr;

use sg_common::{
    dhcp::{
        Kind::{self, Assigns, Reply, ToAll, ToOne},
        Lease, Message, Name,
    },
    exceptions::{self, Exception},
    flow::Direction::{self, Egress, Ingress},
    packet::{ETHERNET, Packet, Parsed, Part, Vlan, parse},
};

const ALL: &str = "255.255.255.255";
const SERVERS: &str = "ff02::1:2";
const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 5];

/// A UDP packet with a message in it.
#[derive(Clone)]
struct Udp {
    ports: [u16; 2],
    from: &'static str,
    to: &'static str,
    message: Vec<u8>,
    /// What the UDP header says of its length, beyond what there is.
    lies: i16,
    trailer: usize,
}

impl Udp {
    fn frame(&self) -> Vec<u8> {
        let (from, to): (IpAddr, IpAddr) = (self.from.parse().unwrap(), self.to.parse().unwrap());
        let length = 8 + self.message.len() as u16;
        let mut frame = vec![2; 12];
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend([8, 0, 0x45, 0]);
                frame.extend((20 + length).to_be_bytes());
                frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([17, 1]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            _ => panic!("two families"),
        }
        for word in [self.ports[0], self.ports[1], length.wrapping_add_signed(self.lies), 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(&self.message);
        frame.resize(frame.len() + self.trailer, 0);
        frame
    }

    fn read(&self, direction: Direction) -> Option<Message> {
        let frame = self.frame();
        let Parsed::Packet(packet) = parse(&&frame[..]) else { return None };
        match exceptions::find(&&frame[..], ETHERNET, &packet, direction) {
            None => None,
            Some(Exception::Dhcp(message)) => Some(message),
            other => panic!("{other:?}"),
        }
    }

    fn kind(&self, direction: Direction) -> Option<Kind> {
        self.read(direction).map(|message| message.kind)
    }

    fn with(&self, change: impl Fn(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

/// A message of BOOTP with DHCP options, from or to who has `has`.
fn bootp(operation: u8, transaction: u32, [has, gets]: [[u8; 4]; 2], options: &[u8]) -> Vec<u8> {
    let mut message = vec![operation, 1, 6, 0];
    message.extend(transaction.to_be_bytes());
    message.extend([0; 4]);
    message.extend(has);
    message.extend(gets);
    message.extend([0; 8]);
    message.extend(CLIENT);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    message
}

const NOBODY: [u8; 4] = [0; 4];
const OWN: [u8; 4] = [10, 0, 0, 5];

fn question(from: &'static str, to: &'static str, has: [u8; 4]) -> Udp {
    let message = bootp(1, 7, [has, NOBODY], &[53, 1, 1, 255]);
    Udp { ports: [68, 67], from, to, message, lies: 0, trailer: 0 }
}

fn bootp_reply(options: &[u8]) -> Udp {
    let message = bootp(2, 7, [NOBODY, OWN], options);
    Udp { ports: [67, 68], from: "10.0.0.1", to: "10.0.0.5", message, lies: 0, trailer: 0 }
}

const OFFER: [u8; 10] = [53, 1, 2, 54, 4, 10, 0, 0, 1, 255];
const ACK: [u8; 10] = [53, 1, 5, 54, 4, 10, 0, 0, 1, 255];

#[test]
fn a_client_asks_everybody_or_one_server() {
    for (what, from, to, has, wanted) in [
        ("discover", "0.0.0.0", ALL, NOBODY, Some(ToAll)),
        ("rebind", "10.0.0.5", ALL, OWN, Some(ToAll)),
        ("renew", "10.0.0.5", "198.51.100.7", OWN, Some(ToOne)),
        ("renew of another", "10.0.0.6", "198.51.100.7", OWN, None),
        ("renew without an address", "10.0.0.5", "198.51.100.7", NOBODY, None),
        ("to a group", "10.0.0.5", "224.0.0.1", OWN, None),
        ("to another group", "10.0.0.5", "239.1.2.3", OWN, None),
    ] {
        assert_eq!(question(from, to, has).kind(Egress), wanted, "{what}");
        assert_eq!(question(from, to, has).kind(Ingress), None, "{what}, to a server here");
    }
    let name = Name { client: 0x0200_0000_0005, transaction: 7, vlan: Vlan::NONE };
    assert_eq!(question("0.0.0.0", ALL, NOBODY).read(Egress).unwrap().name, name);
    assert_eq!(bootp_reply(&OFFER).read(Ingress).unwrap().name, name);
}

#[test]
fn a_server_replies_and_perhaps_assigns_an_address() {
    let lease = Assigns(Lease { client: 0x0a00_0005, server: 0x0a00_0001 });
    let late = [&[0, 0, 51, 4, 0, 0, 1, 0, 61, 3, 1, 2, 3][..], &ACK].concat();
    for (what, options, wanted) in [
        ("offer", &OFFER[..], Reply),
        ("acknowledgement", &ACK, lease),
        ("behind others", &late, lease),
        ("refusal", &[53, 1, 6, 54, 4, 10, 0, 0, 1, 255], Reply),
        ("of nobody", &[53, 1, 5, 255], Reply),
        ("of a short name", &[53, 1, 5, 54, 3, 10, 0, 0, 255], Reply),
        ("truncated", &[53, 1, 5, 54, 4, 10], Reply),
        ("no options", &[255], Reply),
        ("nothing", &[], Reply),
    ] {
        assert_eq!(bootp_reply(options).kind(Ingress), Some(wanted), "{what}");
        assert_eq!(bootp_reply(options).kind(Egress), None, "{what}, from a server here");
    }
    // Who has an address and asks for settings only gets none.
    let informs = bootp_reply(&ACK).with(|udp| udp.message = bootp(2, 7, [OWN, NOBODY], &ACK));
    assert_eq!(informs.kind(Ingress), Some(lease));
    // An acknowledgement goes to whatever address it gives, or to everybody.
    for to in [ALL, "203.0.113.9"] {
        assert_eq!(Udp { to, ..bootp_reply(&ACK) }.kind(Ingress), Some(lease), "to {to}");
    }
}

#[test]
fn other_things_are_no_message() {
    for (whole, direction) in [(question("0.0.0.0", ALL, NOBODY), Egress), (bootp_reply(&ACK), Ingress)] {
        let none = |what: &str, change: &dyn Fn(&mut Udp)| {
            assert_eq!(whole.with(change).kind(direction), None, "{what}, {direction:?}");
        };
        assert!(whole.kind(direction).is_some());
        none("the other operation", &|udp| udp.message[0] ^= 3);
        none("another network", &|udp| udp.message[1] = 6);
        none("another address", &|udp| udp.message[2] = 7);
        for at in 236..240 {
            none("another cookie", &|udp| udp.message[at] ^= 1);
        }
        none("text", &|udp| udp.message = b"stolen data, no DHCP".to_vec());
        none("without its end", &|udp| udp.message.truncate(239));
        none("longer than any", &|udp| udp.message.resize(1_473, 0));
        none("a length that is too short", &|udp| udp.lies = -1);
        none("a length that is too long", &|udp| udp.lies = 1);
        none("another port", &|udp| udp.ports[0] = 1068);
        none("another port there", &|udp| udp.ports[1] = 53);
        none("between servers", &|udp| udp.ports = [67, 67]);
        none("from port to port", &|udp| udp.ports.swap(0, 1));
        let longest = whole.with(|udp| udp.message.resize(1_472, 0));
        assert!(longest.kind(direction).is_some());
        let behind = whole.with(|udp| udp.trailer = 1);
        assert_eq!(behind.kind(direction).is_some(), direction == Ingress);

        let frame = whole.frame();
        let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!() };
        let find = |packet: &Packet| exceptions::find(&&frame[..], ETHERNET, packet, direction);
        // One that is the whole datagram included.
        for part in [Part::Whole, Part::First, Part::Middle, Part::Last] {
            assert_eq!(find(&Packet { part, payload: packet.transport, ..packet }), None, "{part:?}");
        }
        assert_eq!(find(&Packet { protocol: 6, ..packet }), None);
        // A frame of which the end is missing says nothing.
        for length in 0..frame.len().min(ETHERNET + 28 + 240) {
            let _ = exceptions::find(&&frame[..length], ETHERNET, &packet, direction)
                .map(|_| panic!("{length} bytes"));
        }
    }
}

/// A DHCPv6 message: its type, transaction and options.
fn six(kind: u8, transaction: u32, options: &[u8]) -> Vec<u8> {
    [&(u32::from(kind) << 24 | transaction).to_be_bytes()[..], options].concat()
}

/// An option with a DUID that ends in `last`.
fn duid(last: u8) -> [u8; 14] {
    [0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, last]
}

fn solicit(from: &'static str, to: &'static str) -> Udp {
    let message = six(1, 9, &[&[0, 8, 0, 2, 0, 0][..], &duid(5)].concat());
    Udp { ports: [546, 547], from, to, message, lies: 0, trailer: 0 }
}

fn dhcpv6_reply() -> Udp {
    let message = six(7, 9, &duid(5));
    Udp { ports: [547, 546], from: "fe80::1", to: "fe80::5", message, lies: 0, trailer: 0 }
}

#[test]
fn a_client_of_dhcpv6_asks_its_link_or_one_server() {
    const OWN: &str = "2001:db8::5";
    for (what, from, to, wanted) in [
        ("solicit", "fe80::5", SERVERS, Some(ToAll)),
        ("to a server of the link", "fe80::5", "fe80::1", Some(ToAll)),
        ("from an address of the network", OWN, SERVERS, None),
        ("to one server", OWN, "2001:db8:1::1", Some(ToOne)),
        ("to others", "fe80::5", "ff02::1:3", None),
        ("to the site", "fe80::5", "ff05::1:2", None),
    ] {
        assert_eq!(solicit(from, to).kind(Egress), wanted, "{what}");
        assert_eq!(solicit(from, to).kind(Ingress), None, "{what}, to a server here");
    }
    for kind in 0..=255 {
        let asks = matches!(kind, 1 | 3..=6 | 8 | 9 | 11);
        let question = solicit("fe80::5", SERVERS).with(|udp| udp.message[0] = kind);
        assert_eq!(question.kind(Egress), asks.then_some(ToAll), "type {kind}");
        let is_reply = matches!(kind, 2 | 7);
        let found = dhcpv6_reply().with(|udp| udp.message[0] = kind).kind(Ingress);
        assert_eq!(found, is_reply.then_some(Reply), "type {kind}");
        assert_eq!(dhcpv6_reply().with(|udp| udp.message[0] = kind).kind(Egress), None, "type {kind}");
    }
}

#[test]
fn an_exchange_of_dhcpv6_is_that_of_a_client_at_its_address() {
    let asked = solicit("fe80::5", SERVERS).read(Egress).unwrap().name;
    let name = |udp: &Udp| udp.read(Ingress).map(|message| message.name);
    assert_eq!(name(&dhcpv6_reply()), Some(asked));
    for (what, other) in [
        ("another transaction", dhcpv6_reply().with(|udp| udp.message[3] = 8)),
        ("another client", dhcpv6_reply().with(|udp| udp.message = six(7, 9, &duid(6)))),
        ("nobody in particular", dhcpv6_reply().with(|udp| udp.message = six(7, 9, &[]))),
        ("to another address", Udp { to: "fe80::6", ..dhcpv6_reply() }),
    ] {
        assert_ne!(name(&other), Some(asked), "{what}");
    }
    for (what, bad) in [
        ("a short DUID", six(7, 9, &[0, 1, 0, 4, 0, 3, 0, 1])),
        ("a DUID that ends beyond", six(7, 9, &[0, 1, 0, 40, 0, 3, 0, 1, 2, 0, 0, 0, 0, 5])),
        ("no type", vec![7, 0, 0]),
    ] {
        assert_eq!(name(&dhcpv6_reply().with(|udp| udp.message.clone_from(&bad))), None, "{what}");
    }
}

#[test]
fn nothing_stands_between_the_headers_of_ipv6() {
    let mut frame = solicit("fe80::5", SERVERS).frame();
    let length = u16::from_be_bytes([frame[18], frame[19]]) + 16;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[20] = 60;
    frame.splice(54..54, [17, 1, 1, 12].into_iter().chain([b'x'; 12]));
    let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!() };
    assert_eq!((packet.source_port, packet.l4_selector), (546, 547));
    assert_eq!(exceptions::find(&&frame[..], ETHERNET, &packet, Egress), None);
}

#[test]
fn ports_of_one_family_mean_nothing_in_the_other() {
    let v4 = question("0.0.0.0", ALL, NOBODY).with(|udp| udp.ports = [546, 547]);
    let v6 = solicit("fe80::5", SERVERS).with(|udp| udp.ports = [68, 67]);
    assert_eq!((v4.kind(Egress), v6.kind(Egress)), (None, None));
}
