//! Lookups in the published image of a NIC. A packet loads the pointer once, so one image judges it, never parts of two
//! (`compile::patch` in user space documents what a patch means); the kernel frees an old image after the last packet that uses
//! it.

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{
    flow::{Direction, packet_fields},
    image::{self, CLASS_WORDS, Header, Keys, Partition, Walk, Words as _, header},
    packet::{Family, Packet},
    verdict::Decision,
};

use crate::{
    maps::{
        CANDIDATES_1M, CANDIDATES_16M, CANDIDATES_64K, CANDIDATES_64M, IMAGES_1M, IMAGES_16M, IMAGES_64K,
        IMAGES_64M, settings,
    },
    pending, subprograms, verifier,
};

/// An image by size class: the reader exists once per class, because masking an offset is cheap only with a constant mask.
#[derive(Clone, Copy)]
pub enum Image {
    K64(&'static [u64; CLASS_WORDS[0]]),
    M1(&'static [u64; CLASS_WORDS[1]]),
    M16(&'static [u64; CLASS_WORDS[2]]),
    M64(&'static [u64; CLASS_WORDS[3]]),
}

impl Image {
    /// The image of a NIC. While it moves between classes and is in two, the smaller class is in force: either way, one write of
    /// the agent makes the change.
    ///
    /// If the change that published it was to be confirmed, and is over, the image before it is in force. Every other packet
    /// costs that a load, of a line that it reads anyway, and a branch.
    #[inline(always)]
    pub fn of(slot: u32) -> Option<Self> {
        // Asked where the class is known, not after the four ways have met.
        if let Some(image) = IMAGES_64K.get_value(slot, &0) {
            if pending::stays(image[header::PENDING]) {
                return Some(Self::K64(image));
            }
        } else if let Some(image) = IMAGES_1M.get_value(slot, &0) {
            if pending::stays(image[header::PENDING]) {
                return Some(Self::M1(image));
            }
        } else if let Some(image) = IMAGES_16M.get_value(slot, &0) {
            if pending::stays(image[header::PENDING]) {
                return Some(Self::M16(image));
            }
        } else {
            let image = IMAGES_64M.get_value(slot, &0)?;
            if pending::stays(image[header::PENDING]) {
                return Some(Self::M64(image));
            }
        }
        Self::at(settings().previous_images + slot)
    }

    #[inline(always)]
    fn at(index: u32) -> Option<Self> {
        if let Some(image) = IMAGES_64K.get_value(index, &0) {
            return Some(Self::K64(image));
        }
        if let Some(image) = IMAGES_1M.get_value(index, &0) {
            return Some(Self::M1(image));
        }
        if let Some(image) = IMAGES_16M.get_value(index, &0) {
            return Some(Self::M16(image));
        }
        IMAGES_64M.get_value(index, &0).map(Self::M64)
    }

    /// The image of a NIC under the candidate policy, if it has one.
    #[inline(always)]
    pub fn candidate(slot: u32) -> Option<Self> {
        if let Some(image) = CANDIDATES_64K.get_value(slot, &0) {
            return Some(Self::K64(image));
        }
        if let Some(image) = CANDIDATES_1M.get_value(slot, &0) {
            return Some(Self::M1(image));
        }
        if let Some(image) = CANDIDATES_16M.get_value(slot, &0) {
            return Some(Self::M16(image));
        }
        CANDIDATES_64M.get_value(slot, &0).map(Self::M64)
    }

    /// The header, or `None` if the image is of another version.
    #[inline(always)]
    pub fn header(self) -> Option<Header> {
        match self {
            Self::K64(image) => Header::read(image),
            Self::M1(image) => Header::read(image),
            Self::M16(image) => Header::read(image),
            Self::M64(image) => Header::read(image),
        }
    }

    /// The header, if everything passes.
    #[inline(always)]
    pub fn unfiltered(self) -> Option<Header> {
        match self {
            Self::K64(image) => Header::read_unfiltered(image),
            // It has no more than a header.
            Self::M1(_) | Self::M16(_) | Self::M64(_) => None,
        }
    }

    /// The word at `index` of the header.
    #[inline(always)]
    fn word(self, index: usize) -> u64 {
        match self {
            Self::K64(image) => image.word(index),
            Self::M1(image) => image.word(index),
            Self::M16(image) => image.word(index),
            Self::M64(image) => image.word(index),
        }
    }

    /// Decision of the rules on a packet that starts a flow. `None` if the image is corrupt.
    #[inline(always)]
    pub fn classify(self, direction: Direction, family: Family, keys: &Keys) -> Option<Decision> {
        let end = self.walk(header::ROOTS + direction as usize * 2 + family as usize, keys);
        if Partition::from_word(end).is_none() {
            return Decision::from_word(end);
        }
        Decision::from_word(match self {
            Self::K64(image) => sg_partition_64k(image, end, keys),
            Self::M1(image) => sg_partition_1m(image, end, keys),
            Self::M16(image) => sg_partition_16m(image, end, keys),
            Self::M64(image) => sg_partition_64m(image, end, keys),
        })
    }

    /// Whether a guest may send from the local address and the Ethernet address of `keys`.
    #[inline(always)]
    pub fn is_allowed_source(self, family: Family, keys: &Keys) -> bool {
        self.accepts(header::ALLOWED_SOURCES + family as usize, keys)
    }

    /// Whether rejected packets from the local address of `keys` are dropped silently.
    #[inline(always)]
    pub fn suppresses_reject(self, family: Family, keys: &Keys) -> bool {
        self.accepts(header::NO_REJECT + family as usize, keys)
    }

    /// Whether the NIC accepts non-IP frames with this name.
    #[inline(always)]
    pub fn names(self, name: u16) -> bool {
        image::names([self.word(header::ETHERTYPES), self.word(header::ETHERTYPES + 1)], name)
    }

    /// The takeover period, see [`header::TAKEOVER`].
    #[inline(always)]
    pub fn takeover(self) -> u32 {
        self.word(header::TAKEOVER) as u32
    }

    /// The NIC's Ethernet address; zero if unknown.
    #[inline(always)]
    pub fn mac(self) -> u64 {
        self.word(header::MAC)
    }

    /// Whether the local address of `keys` is one of the NIC's own, and the remote one a DHCP server that it may ask directly.
    #[inline(always)]
    pub fn is_dhcp_server(self, family: Family, keys: &Keys) -> bool {
        let family = family as u64;
        let is_dhcp_server = match self {
            Self::K64(image) => sg_dhcp_server_64k(image, family, keys),
            Self::M1(image) => sg_dhcp_server_1m(image, family, keys),
            Self::M16(image) => sg_dhcp_server_16m(image, family, keys),
            Self::M64(image) => sg_dhcp_server_64m(image, family, keys),
        };
        is_dhcp_server != 0
    }

    #[inline(always)]
    fn accepts(self, root: usize, keys: &Keys) -> bool {
        matches!(Decision::from_word(self.walk(root, keys)), Some(decision) if decision.accepts())
    }

    /// End of a walk: a decision, a partition, or something else if the image is corrupt.
    #[inline(always)]
    fn walk(self, root: usize, keys: &Keys) -> u64 {
        let root = root as u64;
        match self {
            Self::K64(image) => sg_walk_64k(image, root, keys),
            Self::M1(image) => sg_walk_1m(image, root, keys),
            Self::M16(image) => sg_walk_16m(image, root, keys),
            Self::M64(image) => sg_walk_64m(image, root, keys),
        }
    }
}

/// Fills the keys of a lookup for `packet`.
#[inline(always)]
pub fn fill_keys(keys: &mut Keys, packet: &Packet, direction: Direction) {
    sg_keys(keys, packet, u64::from(direction as u8));
}

const _: subprograms::Keys = sg_keys;

/// A global function, because two places call it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_keys(keys: *mut Keys, packet: *const Packet, direction: u64) -> u64 {
    // SAFETY: the caller passes references; the verifier checks the size of what they point to.
    if let (Some(keys), Some(packet)) = unsafe { (keys.as_mut(), packet.as_ref()) } {
        keys.fill(&packet_fields(Direction::of(direction), packet));
    }
    0
}

/// Defines the walks of one size class as *global* functions: the verifier checks each once by its signature, whatever is known
/// at the call (`check_func_call`, kernel/bpf/verifier.c). Inlined, the steps would be checked again from every datapath state,
/// which takes over a million instructions.
///
/// A global function must handle null pointer arguments.
macro_rules! walk {
    ($walk:ident, $partition:ident, $is_dhcp_server:ident, $words:expr) => {
        const _: subprograms::DhcpServer<{ $words }> = $is_dhcp_server;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $is_dhcp_server(image: *const [u64; $words], family: u64, keys: *const Keys) -> u64 {
            let accepts = |root: usize| {
                let end = $walk(image, root as u64 + (family & 1), keys);
                Decision::from_word(end).is_some_and(Decision::accepts)
            };
            u64::from(accepts(header::OWN) && accepts(header::DHCP_SERVERS))
        }

        const _: subprograms::Walk<{ $words }> = $walk;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $walk(image: *const [u64; $words], root: u64, keys: *const Keys) -> u64 {
            // SAFETY: the callers pass references; the verifier checks the size of what they point to.
            match unsafe { (image.as_ref(), keys.as_ref()) } {
                (Some(image), Some(keys)) => {
                    Walk::from(image, root as usize).end(image, keys, verifier::checkpoint)
                }
                _ => 0,
            }
        }

        const _: subprograms::Walk<{ $words }> = $partition;
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $partition(image: *const [u64; $words], end: u64, keys: *const Keys) -> u64 {
            // SAFETY: as above.
            match unsafe { (image.as_ref(), keys.as_ref(), Partition::from_word(end)) } {
                (Some(image), Some(keys), Some(partition)) => partition
                    .classify(image, |root| $walk(image, root as u64, keys))
                    .map_or(0, Decision::word),
                _ => 0,
            }
        }
    };
}
walk!(sg_walk_64k, sg_partition_64k, sg_dhcp_server_64k, CLASS_WORDS[0]);
walk!(sg_walk_1m, sg_partition_1m, sg_dhcp_server_1m, CLASS_WORDS[1]);
walk!(sg_walk_16m, sg_partition_16m, sg_dhcp_server_16m, CLASS_WORDS[2]);
walk!(sg_walk_64m, sg_partition_64m, sg_dhcp_server_64m, CLASS_WORDS[3]);
