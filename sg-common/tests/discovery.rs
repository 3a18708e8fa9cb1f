//! The table of `sg_common::discovery`, row by row, and every row with one condition not met: as frames, since what a
//! message carries beyond its type is what matters.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::net::Ipv6Addr;

use sg_common::{
    discovery::Message::{self, Advertisement, Link, Solicitation},
    exceptions::{self, Exception},
    flow::Direction::{self, Egress, Ingress},
    packet::{ETHERNET, Family, Packet, Parsed, Part, parse},
};

const LINK_LOCAL: &str = "fe80::1";
const GLOBAL: &str = "2001:db8::1";
const TARGET: &str = "2001:db8::5";
const NODES: &str = "ff02::1";

/// An ICMPv6 message on its way.
#[derive(Clone)]
struct Icmp {
    from: &'static str,
    to: &'static str,
    hop_limit: u8,
    /// Extension headers: the number of the first, and the bytes.
    extension: Option<(u8, Vec<u8>)>,
    message: Vec<u8>,
    /// Behind the packet.
    trailer: Vec<u8>,
}

impl Icmp {
    fn frame(&self) -> Vec<u8> {
        let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        let (next, extension) = self.extension.clone().unwrap_or((58, Vec::new()));
        let length = (extension.len() + self.message.len()) as u16;
        let mut frame = [vec![2; 12], vec![0x86, 0xdd, 0x60, 0, 0, 0]].concat();
        frame.extend(length.to_be_bytes());
        frame.extend([next, self.hop_limit]);
        for part in [&octets(self.from)[..], &octets(self.to), &extension, &self.message, &self.trailer] {
            frame.extend(part);
        }
        frame
    }

    fn passes(&self, direction: Direction) -> Option<Message> {
        let frame = self.frame();
        let Parsed::Packet(packet) = parse(&&frame[..]) else { return None };
        match exceptions::find(&&frame[..], ETHERNET, &packet, direction) {
            None => None,
            Some(Exception::Discovery(message)) => Some(message),
            other => panic!("{other:?}"),
        }
    }

    fn with(&self, change: impl Fn(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

/// The fixed part of a message: zeroes behind the type, but for a target.
fn message(kind: u8) -> Vec<u8> {
    let length = match kind {
        133 | 143 => 8,
        134 => 16,
        _ => 24,
    };
    let mut message = vec![0; length];
    message[0] = kind;
    if matches!(kind, 135 | 136) {
        message[8..24].copy_from_slice(&TARGET.parse::<Ipv6Addr>().unwrap().octets());
    }
    message
}

fn discovery(kind: u8) -> Icmp {
    let message = message(kind);
    Icmp { from: LINK_LOCAL, to: NODES, hop_limit: 255, extension: None, message, trailer: Vec::new() }
}

fn listener(kind: u8) -> Icmp {
    Icmp { hop_limit: 1, to: "ff02::16", ..discovery(kind) }
}

/// An option with an Ethernet address.
const ETHERNET_ADDRESS: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 5];

#[track_caller]
fn check(what: &str, icmp: &Icmp, direction: Direction, wanted: Option<Message>) {
    assert_eq!(icmp.passes(direction), wanted, "{what}, {direction:?}");
}

const WAYS: [(u8, &[Direction]); 4] =
    [(133, &[Egress]), (134, &[Ingress]), (135, &[Ingress, Egress]), (136, &[Ingress, Egress])];

#[test]
fn neighbours_are_on_the_link() {
    for (kind, ways) in WAYS {
        for direction in [Ingress, Egress] {
            let wanted = ways.contains(&direction).then_some(Link);
            check(&format!("type {kind}"), &discovery(kind), direction, wanted);
            let option = discovery(kind).with(|icmp| icmp.message.extend(ETHERNET_ADDRESS));
            check(&format!("type {kind} with an option"), &option, direction, wanted);
            for hop_limit in [0, 1, 64, 254] {
                let routed = Icmp { hop_limit, ..discovery(kind) };
                check(&format!("type {kind}, hop limit {hop_limit}"), &routed, direction, None);
            }
        }
    }
}

#[test]
fn what_is_sent_stays_on_the_link_or_goes_to_who_is_meant() {
    for (kind, to, wanted) in [
        (133, "ff02::2", Some(Link)),
        (133, "fe80::9", Some(Link)),
        (133, GLOBAL, None),
        (133, "ff05::2", None),
        (135, "ff02::1:ff00:5", Some(Link)),
        (135, "fe80::9", Some(Link)),
        (135, TARGET, Some(Link)),
        (135, "2001:db8::6", None),
        (135, "2001:db9::5", None),
        (135, "ff05::1:ff00:5", None),
        (135, "ff0e::1", None),
        (136, NODES, Some(Link)),
        (136, "fe80::9", Some(Link)),
        // Only where that one asked.
        (136, GLOBAL, Some(Advertisement)),
    ] {
        check(&format!("type {kind} to {to}"), &Icmp { to, from: GLOBAL, ..discovery(kind) }, Egress, wanted);
    }
    // A solicitation may come from any address, and the reply goes there.
    for (from, wanted) in [(GLOBAL, Solicitation), (LINK_LOCAL, Link), ("::", Link)] {
        check(&format!("from {from}"), &Icmp { from, to: TARGET, ..discovery(135) }, Ingress, Some(wanted));
        check(&format!("from {from}"), &Icmp { from, to: TARGET, ..discovery(136) }, Ingress, Some(Link));
    }
}

#[test]
fn a_message_carries_nothing_but_itself() {
    for (kind, ways) in WAYS {
        for &direction in ways {
            let whole = discovery(kind);
            let refuse = |what: &str, change: &dyn Fn(&mut Icmp)| {
                check(&format!("type {kind}: {what}"), &whole.with(change), direction, None);
            };
            refuse("code 1", &|icmp| icmp.message[1] = 1);
            refuse("truncated", &|icmp| icmp.message.truncate(icmp.message.len() - 4));
            refuse("a byte behind it", &|icmp| icmp.message.push(0));
            refuse("seven bytes behind it", &|icmp| icmp.message.extend([1, 1, 0, 0, 0, 0, 0]));
            refuse("an option without length", &|icmp| icmp.message.extend([1, 0, 0, 0, 0, 0, 0, 0]));
            refuse("an option that ends beyond", &|icmp| icmp.message.extend([1, 2, 0, 0, 0, 0, 0, 0]));
            refuse("an option beyond an option", &|icmp| {
                icmp.message.extend(ETHERNET_ADDRESS);
                icmp.message.extend([14, 9, 0, 0, 0, 0, 0, 0]);
            });
            for (number, header) in [(60, vec![58, 0, 1, 4, 0, 0, 0, 0]), (44, vec![58, 0, 0, 0, 0, 0, 0, 1])]
            {
                refuse(&format!("behind header {number}"), &|icmp| {
                    icmp.extension = Some((number, header.clone()));
                });
            }
            let data = |length: usize| {
                let mut icmp = whole.clone();
                icmp.message.extend([253, (length / 8) as u8]);
                icmp.message.resize(icmp.message.len() + length - 2, b'x');
                icmp
            };
            let most = if kind == 134 { 1_200 } else { 32 };
            check(&format!("type {kind}, {most} bytes"), &data(most), direction, Some(Link));
            if kind != 134 {
                check(&format!("type {kind}, {} bytes", most + 8), &data(most + 8), direction, None);
                check(&format!("type {kind}, 1200 bytes"), &data(1_200), direction, None);
            }
            if direction == Egress {
                refuse("a trailer", &|icmp| icmp.trailer.push(0));
                refuse("what nobody reads", &|icmp| icmp.message[7] = 1);
                refuse("what nobody reads, higher", &|icmp| icmp.message[4] = 0x10);
            }
        }
    }
    let flags = discovery(136).with(|icmp| icmp.message[4] = 0xe0);
    check("an advertisement with its flags", &flags, Egress, Some(Link));
    let many = discovery(134).with(|icmp| icmp.message.extend([1, 1, 0, 0, 0, 0, 0, 0].repeat(33)));
    check("more options than any router has", &many, Ingress, None);
}

#[test]
fn fragments_are_never_discovery() {
    let frame = discovery(135).frame();
    let Parsed::Packet(whole) = parse(&&frame[..]) else { panic!() };
    // One that is the whole datagram included (RFC 6980 5).
    for part in [Part::Whole, Part::First, Part::Middle, Part::Last] {
        let packet = Packet { part, payload: whole.transport, ..whole };
        assert_eq!(exceptions::find(&&frame[..], ETHERNET, &packet, Ingress), None, "{part:?}");
    }
}

#[test]
fn listeners_report_to_their_link() {
    for (kind, way, unspecified) in
        [(130, Ingress, false), (131, Egress, true), (132, Egress, true), (143, Egress, true)]
    {
        let what = format!("type {kind}");
        check(&what, &listener(kind), way, Some(Link));
        check(&what, &Icmp { from: "::", ..listener(kind) }, way, unspecified.then_some(Link));
        check(&what, &listener(kind), way.reversed(), None);
        for from in [GLOBAL, "fec0::1"] {
            check(&what, &Icmp { from, ..listener(kind) }, way, None);
        }
        for hop_limit in [0, 2, 254, 255] {
            check(&what, &Icmp { hop_limit, ..listener(kind) }, way, None);
        }
        check(&what, &listener(kind).with(|icmp| icmp.message[1] = 1), way, None);
        check(&what, &listener(kind).with(|icmp| icmp.message.extend([0; 1_200])), way, None);
        let alert = |icmp: &mut Icmp| icmp.extension = Some((0, vec![58, 0, 5, 2, 0, 0, 1, 0]));
        check("with a router alert", &listener(kind).with(alert), way, Some(Link));
        let padded =
            |icmp: &mut Icmp| icmp.extension = Some((0, [vec![58, 1, 1, 12], vec![b'x'; 12]].concat()));
        check("with more in its header", &listener(kind).with(padded), way, None);
        let before = |icmp: &mut Icmp| icmp.extension = Some((0, vec![58, 0, 1, 0, 5, 2, 0, 0]));
        check("with padding before it", &listener(kind).with(before), way, Some(Link));
        for (number, bytes) in [
            (60, [58, 0, 5, 2, 0, 0, 1, 0]),
            (0, [58, 0, 5, 2, 0, 7, 1, 0]),
            (0, [58, 0, 1, 4, b'w', b'o', b'r', b'd']),
        ] {
            let header = |icmp: &mut Icmp| icmp.extension = Some((number, bytes.to_vec()));
            let passes = (way == Ingress).then_some(Link);
            check("with another header", &listener(kind).with(header), way, passes);
        }
        if way == Egress {
            check("to one", &Icmp { to: "fe80::9", ..listener(kind) }, way, None);
            check("to the site", &Icmp { to: "ff05::1:3", ..listener(kind) }, way, Some(Link));
            check("a trailer", &listener(kind).with(|icmp| icmp.trailer.push(0)), way, None);
        }
    }
}

#[test]
fn reports_and_queries_end_where_they_say() {
    let record = |sources: u16, auxiliary: u8| {
        let mut record = vec![4, auxiliary];
        record.extend(sources.to_be_bytes());
        record.resize(20 + usize::from(sources) * 16 + usize::from(auxiliary) * 4, 0x20);
        record
    };
    let report = |records: u16, bytes: &[u8]| {
        listener(143).with(|icmp| {
            icmp.message[6..8].copy_from_slice(&records.to_be_bytes());
            icmp.message.extend(bytes);
        })
    };
    let both = [record(0, 0), record(3, 0)].concat();
    check("two records", &report(2, &both), Egress, Some(Link));
    for records in [0, 1, 3] {
        check(&format!("{records} that are two"), &report(records, &both), Egress, None);
    }
    check("auxiliary data", &report(1, &record(0, 9)), Egress, None);
    check("sources that are not there", &report(1, &record(3, 0)[..52]), Egress, None);
    check("32 records", &report(32, &record(0, 0).repeat(32)), Egress, Some(Link));
    check("33 records", &report(33, &record(0, 0).repeat(33)), Egress, None);
    check("many sources", &report(1, &record(60, 0)), Egress, None);
    check("reserved", &report(0, &[]).with(|icmp| icmp.message[4] = 1), Egress, None);

    let query = |sources: u16, bytes: usize| {
        listener(130).with(|icmp| {
            icmp.message.resize(28 + bytes, 0);
            icmp.message[26..28].copy_from_slice(&sources.to_be_bytes());
        })
    };
    check("a query of version 2", &query(0, 0), Ingress, Some(Link));
    check("about two sources", &query(2, 32), Ingress, Some(Link));
    check("about one of two", &query(1, 32), Ingress, None);
    check("about two of one", &query(2, 16), Ingress, None);
    check("truncated", &query(0, 0).with(|icmp| icmp.message.truncate(26)), Ingress, None);
}

#[test]
fn no_other_message_passes() {
    for kind in (0..=255).filter(|kind| !matches!(kind, 130..=136 | 143)) {
        for hop_limit in [1, 255] {
            for direction in [Ingress, Egress] {
                check(&format!("type {kind}"), &Icmp { hop_limit, ..discovery(kind) }, direction, None);
            }
        }
    }
    // ICMPv6 numbers mean nothing over IPv4, nor in a protocol that is not ICMPv6. A redirect (137) never passes.
    let frame = discovery(135).frame();
    let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!() };
    for packet in [Packet { family: Family::V4, ..packet }, Packet { protocol: 1, ..packet }] {
        assert_eq!(exceptions::find(&&frame[..], ETHERNET, &packet, Ingress), None);
    }
}
