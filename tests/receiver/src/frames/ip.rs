//! IP packets, with headers that may lie, and the datagrams that they carry or carry parts of.

use super::{Ends, Family, ethernet, internet, octets};

/// Numbers of protocols and extension headers (IANA).
pub mod number {
    /// Hop-by-hop options (RFC 8200 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 4340.
    pub const DCCP: u8 = 33;
    /// Routing header (RFC 8200 4.4).
    pub const ROUTING: u8 = 43;
    /// Fragment header (RFC 8200 4.5).
    pub const FRAGMENT: u8 = 44;
    /// RFC 2784.
    pub const GRE: u8 = 47;
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows (RFC 8200 4.7).
    pub const NONE: u8 = 59;
    /// Destination options (RFC 8200 4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// RFC 9260.
    pub const SCTP: u8 = 132;
    /// RFC 3828.
    pub const UDP_LITE: u8 = 136;
    /// For experiments (RFC 3692).
    pub const EXPERIMENT: u8 = 253;
    /// The other one: our marks.
    pub const MARK: u8 = 254;
}

/// An IPv6 extension header without the number of what follows it.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its own number.
    pub number: u8,
    /// Its bytes; the first is overwritten.
    pub bytes: Vec<u8>,
}

/// What a receiver is to put together: a protocol and its bytes, in IPv6 with the extension headers that go into
/// fragments too.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sends it to whom.
    pub ends: Ends,
    /// The number of the first header in `bytes`.
    pub first: u8,
    /// Extension headers, transport header, data.
    pub bytes: Vec<u8>,
    /// How many of them are extension headers.
    pub chain: usize,
}

impl Datagram {
    /// A datagram of `protocol`, behind these extension headers.
    #[must_use]
    pub fn new(ends: Ends, extensions: &[Extension], protocol: u8, transport: &[u8]) -> Self {
        let (first, mut bytes) = chain(extensions, protocol);
        let chain = bytes.len();
        bytes.extend(transport);
        Self { ends, first, bytes, chain }
    }

    /// The one packet that it is.
    #[must_use]
    pub fn whole(&self) -> Packet {
        Packet::new(self.ends, self.first, self.bytes.clone())
    }
}

/// Extension headers that announce each other, and `last` at the end: the number that announces the first, and their bytes.
pub(super) fn chain(extensions: &[Extension], last: u8) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    let follows = extensions.iter().skip(1).map(|next| next.number).chain([last]);
    for (extension, next) in extensions.iter().zip(follows) {
        let start = bytes.len();
        bytes.extend(&extension.bytes);
        bytes[start] = next;
    }
    (extensions.first().map_or(last, |first| first.number), bytes)
}

/// An IP packet, as its header describes it or not.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sends it to whom.
    pub ends: Ends,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// IPv4: options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv4: the number of its datagram.
    pub identification: u16,
    /// IPv4: the flags and the offset of a fragment.
    pub fragment: u16,
    /// What the header says stands behind it.
    pub next: u8,
    /// What stands behind it.
    pub body: Vec<u8>,
    /// How many bytes of `body` the header says are its own; none for all.
    pub own: Option<usize>,
    /// What the length field says, whatever that means.
    pub length: Option<u16>,
    /// IPv4: what the header says its length is, in words.
    pub words: Option<u8>,
    /// What is added to a right checksum of the header.
    pub spoil: u16,
    /// Whether it says that it carries a fragment, which may be all of its datagram (RFC 6946).
    pub is_fragment: bool,
}

impl Packet {
    /// A true packet.
    #[must_use]
    pub fn new(ends: Ends, next: u8, body: Vec<u8>) -> Self {
        Self {
            ends,
            hop_limit: 64,
            options: Vec::new(),
            identification: 0,
            fragment: 0,
            next,
            body,
            own: None,
            length: None,
            words: None,
            spoil: 0,
            is_fragment: false,
        }
    }

    /// The `EtherType` that announces it.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self.ends.family() {
            Family::V4 => ethernet::IPV4,
            Family::V6 => ethernet::IPV6,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let own = self.own.unwrap_or(self.body.len());
        let mut bytes = match self.ends.family() {
            Family::V4 => self.header_v4(own),
            Family::V6 => self.header_v6(own),
        };
        bytes.extend(&self.body);
        bytes
    }

    fn header_v4(&self, own: usize) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = self.words.unwrap_or((length / 4) as u8) & 0x0f;
        let mut header = vec![0x40 | words, 0];
        header.extend(self.length.unwrap_or((length + own) as u16).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.hop_limit, self.next, 0, 0]);
        header.extend(octets(self.ends.from));
        header.extend(octets(self.ends.to));
        header.extend(&self.options);
        // Over what the header says it is: a receiver sums up that much.
        let mut summed = header.clone();
        summed.extend(self.body.iter().take(60));
        summed.resize(usize::from(words) * 4, 0);
        let sum = internet(&[&summed]).wrapping_add(self.spoil);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn header_v6(&self, own: usize) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(self.length.unwrap_or(own as u16).to_be_bytes());
        header.extend([self.next, self.hop_limit]);
        header.extend(octets(self.ends.from));
        header.extend(octets(self.ends.to));
        header
    }
}
