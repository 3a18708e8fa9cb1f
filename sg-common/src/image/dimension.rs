//! The dimensions of a packet: the one list from which keys, the compiler, the engines and the tests take theirs.
//!
//! A field that rules match is a line in the table below, a field of [`Fields`] if the packet's own headers have it, and a width
//! in [`Dimension::key_bits`]. Nothing else here changes for a new one, and no other file has a list of its own: every `match` over
//! dimensions is exhaustive, and whoever builds [`Fields`] names all of them, so what is forgotten does not compile. This file
//! must never know what a rule is.

use crate::packet::{Address, Family};

/// The number of keys that a walk can ask for: a dimension has four bits in a [`Reference`](super::Reference).
pub const DIMENSIONS: usize = 16;

/// Defines the dimensions, and what goes through all of them without a loop: in eBPF each key is one store.
macro_rules! dimensions {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The dimensions of a packet, as indices into [`Keys`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Dimension {
            $($(#[$doc])* $name = $number,)*
        }

        impl Dimension {
            /// All of them, by number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$name),*];
        }

        impl Keys {
            /// Writes the keys of a lookup for a packet with these fields, and leaves the other keys as they are.
            #[inline(always)]
            pub fn fill(&mut self, fields: &Fields) {
                $(if let Some(key) = fields.key(Dimension::$name) {
                    self.set(Dimension::$name, key);
                })*
            }
        }
    };
}

// The compiler asks in this order unless another is better, and the key of a lower half comes right after its upper half.
dimensions! {
    /// IPv4: the remote address. IPv6: its upper half.
    RemoteHigh = 0,
    /// IPv6: the lower half of the remote address.
    RemoteLow = 1,
    /// Protocol, and destination port or ICMP type and code: see [`service_key`].
    Service = 2,
    /// The source port.
    SourcePort = 3,
    /// Like `RemoteHigh`, of the local address.
    LocalHigh = 4,
    /// Like `RemoteLow`, of the local address.
    LocalLow = 5,
    /// The Ethernet address of the sender. Rules do not use it.
    Ethernet = 6,
    /// The DSCP.
    Dscp = 7,
}

impl Dimension {
    /// The width of its keys in bits. The lower half of an IPv4 address is always zero.
    #[must_use]
    pub const fn key_bits(self, family: Family) -> u32 {
        match (self, family) {
            (Self::RemoteHigh | Self::LocalHigh, Family::V4) => 32,
            (Self::RemoteHigh | Self::LocalHigh, Family::V6) | (Self::RemoteLow | Self::LocalLow, _) => 64,
            (Self::Service, _) => 24,
            (Self::SourcePort, _) => 16,
            (Self::Ethernet, _) => 48,
            (Self::Dscp, _) => 6,
        }
    }

    /// Whether rules have conditions of their own in it. The condition on a lower half comes with that on its upper half.
    #[must_use]
    pub const fn is_of_rules(self) -> bool {
        match self {
            Self::RemoteHigh | Self::LocalHigh | Self::Service | Self::SourcePort | Self::Dscp => true,
            Self::RemoteLow | Self::LocalLow | Self::Ethernet => false,
        }
    }

    /// The dimension of the lower half of an address, if this is that of its upper half.
    #[must_use]
    pub const fn lower_half(self) -> Option<Self> {
        match self {
            Self::RemoteHigh => Some(Self::RemoteLow),
            Self::LocalHigh => Some(Self::LocalLow),
            Self::RemoteLow
            | Self::LocalLow
            | Self::Service
            | Self::SourcePort
            | Self::Ethernet
            | Self::Dscp => None,
        }
    }
}

/// The fields by which rules match a packet that starts a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fields {
    /// The remote address.
    pub remote: Address,
    /// The local address.
    pub local: Address,
    /// Protocol, and destination port or ICMP type and code, as [`service_key`] packs them.
    pub service: u64,
    /// The source port; zero if the protocol has none.
    pub source_port: u16,
    /// The DSCP, 0 to 63.
    pub dscp: u8,
}

impl Fields {
    /// The key of a dimension; `None` if it is not of the packet, but of the frame around it. Whoever reads that sets it.
    #[inline(always)]
    const fn key(&self, dimension: Dimension) -> Option<u64> {
        match dimension {
            Dimension::RemoteHigh => Some(self.remote.high),
            Dimension::RemoteLow => Some(self.remote.low),
            Dimension::Service => Some(self.service),
            Dimension::SourcePort => Some(self.source_port as u64),
            Dimension::LocalHigh => Some(self.local.high),
            Dimension::LocalLow => Some(self.local.low),
            Dimension::Ethernet => None,
            Dimension::Dscp => Some(self.dscp as u64),
        }
    }
}

/// The keys of a lookup, one for each dimension. A power of two long, so that a mask keeps every index inside; those that no
/// dimension has are never written by the datapath, which would cost it a store each, and never asked for by a sound image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Keys([u64; DIMENSIONS]);

impl Keys {
    /// The keys for a packet with these fields; the others are zero.
    #[must_use]
    pub fn of(fields: &Fields) -> Self {
        let mut keys = Self::default();
        keys.fill(fields);
        keys
    }

    /// The key of a dimension.
    #[inline(always)]
    #[must_use]
    pub const fn get(&self, dimension: Dimension) -> u64 {
        self.0[dimension as usize]
    }

    /// Sets the key of a dimension.
    #[inline(always)]
    pub const fn set(&mut self, dimension: Dimension, key: u64) {
        self.0[dimension as usize] = key;
    }

    /// The key of a number, of which only the four lowest bits count.
    #[inline(always)]
    pub(super) const fn numbered(&self, number: u64) -> u64 {
        self.0[number as usize & (DIMENSIONS - 1)]
    }
}

impl From<[u64; DIMENSIONS]> for Keys {
    fn from(keys: [u64; DIMENSIONS]) -> Self {
        Self(keys)
    }
}

/// The key of [`Dimension::Service`]: protocol, then 16 bits of destination port, or of ICMP type and code, or zero.
#[inline(always)]
#[must_use]
pub const fn service_key(protocol: u8, l4_selector: u16) -> u64 {
    (protocol as u64) << 16 | l4_selector as u64
}

const _: () = {
    assert!(DIMENSIONS.is_power_of_two() && Dimension::ALL.len() <= DIMENSIONS);
    let mut number = 0;
    while number < Dimension::ALL.len() {
        let dimension = Dimension::ALL[number];
        assert!(dimension as usize == number);
        if let Some(low) = dimension.lower_half() {
            assert!(low as usize == number + 1);
        }
        number += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_key_of_its_own() {
        let fields = Fields {
            remote: Address { high: 1, low: 2 },
            local: Address { high: 5, low: 6 },
            service: 3,
            source_port: 4,
            dscp: 8,
        };
        let keys = Keys::of(&fields);
        assert_eq!(Dimension::ALL.map(|dimension| keys.get(dimension)), [1, 2, 3, 4, 5, 6, 0, 8]);
        let mut known = Keys::from([7; DIMENSIONS]);
        known.fill(&fields);
        assert_eq!(known.get(Dimension::Ethernet), 7, "that of the frame stays");
    }

    #[test]
    fn a_number_beyond_the_dimensions_stays_inside() {
        let keys = Keys::from(core::array::from_fn(|number| number as u64 * 10));
        assert_eq!([0, 6, 15, 16, u64::MAX].map(|number| keys.numbered(number)), [0, 60, 150, 0, 150]);
    }
}
