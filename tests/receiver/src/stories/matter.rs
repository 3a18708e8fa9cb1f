//! What a case is about: a datagram that rules may accept or not, and the decoy that is to hide it.

use crate::{
    address::RECEIVER_V6,
    frames::{
        Datagram, Extension, Family, number, octets,
        transport::{self, Transport, flags},
    },
    rules::{CLOSED, OPEN, icmp},
    story::{Lie, Teller},
};

impl Teller {
    /// A port of which some policies accept all, or none accepts any.
    pub(super) fn port(&mut self) -> u16 {
        let [first, last] = if self.once_in(2) { OPEN } else { CLOSED };
        self.rng.u16(first..=last)
    }

    /// A port that nobody knows.
    pub(super) fn own_port(&mut self) -> u16 {
        self.rng.u16(20_000..60_000)
    }

    /// Data of any length, mostly short.
    pub(super) fn data(&mut self) -> Vec<u8> {
        let length = if self.once_in(24) { self.rng.usize(..1200) } else { self.rng.usize(..48) };
        self.bytes(length)
    }

    /// A datagram's transport header and data.
    pub(super) fn transport(&mut self) -> Transport {
        let data = self.data();
        self.transport_of(&data)
    }

    /// The same with this data.
    pub(super) fn transport_of(&mut self, data: &[u8]) -> Transport {
        let (ends, family) = (self.ends, self.family());
        let ports = [self.own_port(), self.port()];
        let made = match self.rng.u8(..100) {
            0..=34 => transport::udp(ends, ports, data),
            35..=59 => {
                let kind = if self.once_in(4) {
                    self.pick(&[flags::ACK, flags::RST, flags::FIN | flags::ACK, flags::SYN | flags::ACK, 0])
                } else {
                    flags::SYN
                };
                transport::tcp(ends, ports, kind, if kind == flags::SYN { &[] } else { data })
            }
            60..=71 => {
                let identifier = self.own_port().to_be_bytes();
                transport::icmp(ends, transport::echo(family), 0, [identifier[0], identifier[1], 0, 1], data)
            }
            72..=75 => {
                // A timestamp request; a question for a node's information.
                let kind = if family == Family::V4 { 13 } else { 139 };
                transport::icmp(ends, kind, 0, [0, 9, 0, 1], &[0; 16])
            }
            76..=81 => transport::sctp(ports, &[]),
            82..=84 => transport::udp_lite(ends, ports, data),
            85..=86 => transport::dccp(ends, ports, data),
            87..=89 => transport::gre(data),
            90..=93 => transport::plain(number::EXPERIMENT, data),
            94..=95 if self.from_guest => {
                let ports = if family == Family::V4 { [67, 68] } else { [547, 546] };
                transport::udp(ends, ports, data)
            }
            _ => self.discovery(),
        };
        if self.once_in(20) { made.spoiled() } else { made }
    }

    /// A message of neighbour discovery, mostly as it should be; in IPv4, an echo.
    pub(super) fn discovery(&mut self) -> Transport {
        let ends = self.ends;
        if self.family() == Family::V4 {
            return transport::icmp(ends, 8, 0, [7, 7, 0, 1], &[]);
        }
        let (kind, mut rest) = match self.rng.u8(..8) {
            0 => (136, octets(ends.from)),
            1 => (136, octets(RECEIVER_V6)),
            2 => (134, vec![0; 8]),
            3 => (133, Vec::new()),
            _ => (135, octets(RECEIVER_V6)),
        };
        rest.extend(self.options_of_discovery());
        if self.once_in(32) {
            rest.truncate(self.rng.usize(..=rest.len()));
        }
        let code = if self.once_in(16) { self.rng.u8(..) } else { 0 };
        let unread = match (self.rng.u8(..16), kind) {
            (0, _) => [self.rng.u8(..), 0, self.rng.u8(..), 9],
            (1..=8, 136) => [self.pick(&[0x20, 0x40, 0xe0]), 0, 0, 0],
            _ => [0; 4],
        };
        transport::icmp(ends, kind, code, unread, &rest)
    }

    /// Options (RFC 4861 4.6): none, an Ethernet address, that and a nonce, one that nobody knows and that may be too long; and
    /// such as end somewhere else than the message.
    fn options_of_discovery(&mut self) -> Vec<u8> {
        const ADDRESS: [u8; 8] = [1, 1, 2, 0, 0, 0, 0, 9];
        const NONCE: [u8; 8] = [14, 1, 1, 2, 3, 4, 5, 6];
        let unknown = |units: u8| [&[253, units][..], &vec![b'x'; usize::from(units) * 8 - 2]].concat();
        match self.rng.u8(..16) {
            0..=6 => Vec::new(),
            7..=9 => ADDRESS.to_vec(),
            10 => [ADDRESS, NONCE].concat(),
            11 => unknown(self.rng.u8(1..=4)),
            12 => unknown(self.rng.u8(5..=40)),
            13 => [&ADDRESS[..], &unknown(self.rng.u8(1..=4))].concat(),
            14 => [1, self.pick(&[0, 2, 255]), 2, 0, 0, 0, 0, 9].to_vec(),
            _ => {
                let length = self.rng.usize(1..24);
                self.bytes(length)
            }
        }
    }

    /// The first bytes of something that most policies accept.
    pub(super) fn decoy(&mut self) -> Transport {
        let ends = self.ends;
        let ports = [self.own_port(), OPEN[0]];
        let protocol = self.rng.u8(..6);
        match protocol {
            0 | 1 => transport::udp(ends, ports, &[0; 8]),
            2 => transport::tcp(ends, ports, flags::SYN, &[]),
            3 => transport::icmp(ends, transport::echo(self.family()), 0, [0, 9, 0, 1], &[0; 8]),
            _ => self.discovery(),
        }
    }

    /// A decoy of this protocol.
    pub(super) fn decoy_of(&mut self, protocol: u8) -> Vec<u8> {
        let ends = self.ends;
        let ports = [self.own_port(), OPEN[0]];
        let family = self.family();
        match protocol {
            number::TCP => transport::tcp(ends, ports, flags::SYN, &[]).bytes,
            number::SCTP => transport::sctp(ports, &[]).bytes,
            number if number == icmp(family) && self.once_in(2) => self.discovery().bytes,
            number if number == icmp(family) => {
                transport::icmp(ends, transport::echo(family), 0, [0, 9, 0, 1], &[0; 8]).bytes
            }
            _ => transport::udp(ends, ports, &[0; 8]).bytes,
        }
    }

    /// An extension header that Linux goes through.
    pub(super) fn extension(&mut self, first: bool) -> Extension {
        match self.rng.u8(..4) {
            0 if first => self.options_of(number::HOP_BY_HOP),
            1 => {
                // No segment is left: the packet is where it belongs.
                let mut bytes = vec![0, self.units(), self.pick(&[0, 2, 253]), 0];
                bytes.resize(usize::from(bytes[1]) * 8 + 8, 0);
                Extension { number: number::ROUTING, bytes }
            }
            _ => self.options_of(number::DESTINATION_OPTIONS),
        }
    }

    /// One with an option that is skipped by who does not know it (RFC 8200 4.2).
    pub(super) fn options_of(&mut self, number: u8) -> Extension {
        let units = self.units();
        let mut bytes = vec![0, units, 0x1e, units * 8 + 4];
        bytes.resize(usize::from(units) * 8 + 8, 0);
        Extension { number, bytes }
    }

    /// How many times eight bytes an extension header is longer than eight.
    fn units(&mut self) -> u8 {
        if self.once_in(4) { self.rng.u8(1..4) } else { 0 }
    }

    /// Extension headers; none in IPv4.
    pub(super) fn extensions(&mut self, most: usize) -> Vec<Extension> {
        let wanted = if self.family() == Family::V4 { 0 } else { self.rng.usize(..=most) };
        if wanted > 5 {
            self.lie(Lie::ManyHeaders);
        }
        (0..wanted).map(|place| self.extension(place == 0)).collect()
    }

    /// A datagram, in IPv6 now and then with extension headers.
    pub(super) fn datagram(&mut self) -> Datagram {
        let made = self.transport();
        self.datagram_of(&made)
    }

    /// The same with this transport header and data.
    pub(super) fn datagram_of(&mut self, made: &Transport) -> Datagram {
        let most = if self.once_in(3) { 3 } else { 0 };
        let extensions = self.extensions(most);
        Datagram::new(self.ends, &extensions, made.protocol, &made.bytes)
    }

    /// What names a datagram.
    pub(super) fn identification(&mut self) -> u32 {
        u32::from(self.rng.u16(1..))
    }
}
