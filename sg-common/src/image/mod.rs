//! Reads a policy image: the walk that turns a packet's keys into a decision.
//!
//! An image is one flat array of 64-bit words. Once published it changes only by patches of the compiler: words are appended,
//! where nobody reads yet, and then a reference to them replaces another. It holds a header and a decision tree, a DAG of
//! *nodes*. A node splits one dimension of the packet (remote address, service, …) into at most eight intervals; behind each
//! interval is a deeper node of the same dimension, a node of another dimension, or a decision. A *small node* splits into at most
//! four, and holds the references to what is behind them itself: most rules ask for one port, which is three intervals. A
//! *directory* precedes the nodes of a dimension with many intervals: a table indexed by some bits of the key, which is one step
//! where a tree takes three. The order of dimensions is data, chosen by the compiler per policy; a dimension that no rule uses has
//! no node and costs nothing.
//!
//! If rules overlap in several dimensions, a single tree would multiply them. A *partition* of up to [`TREES`] trees replaces it,
//! each of which holds some of the lowered rules. Each walk ends in a decision with the *rank* of its rule, and the lowest rank
//! wins. The trees are in the order of the lowest rank that each can yield: a walk that can only end in a higher rank than the
//! one found is skipped.
//!
//! ```text
//! words 0..24   header                            see `header`
//! then          nodes of 8 words, aligned to 8:   7 bounds, 1 control word
//!               tables of 8 references
//!               small nodes of 8 words:           3 bounds, an unused word, 4 references
//!               partitions of 8 × 2 words
//!               directories of references
//!
//! reference     bit 63 set: a decision            bit 63 clear: a node or directory
//!                                                 bits 0..32  its offset in words
//!                                                 bits 32..36 its dimension
//!                                                 bit  36     a pair of nodes, the second for keys ≥ 2⁶³
//!                                                 bit  37     a directory:
//!                                                 bits 40..46 the key is shifted right by this,
//!                                                 bits 48..53 and this many bits of the rest are the index
//!                                                 bit  38     a partition: see below
//!                                                 bit  39     the node, or each of a pair, is a small one
//! control word  bits 0..32  offset of the first child
//!               bit  32     the children are references (else they are nodes of 8 words)
//! partition     8 × 2 words: the ranked decision of lowest rank that the tree can yield, without its parts; the
//!               reference to its root. After the last tree, all bits of the first word are set
//! ranked        a decision with its rank in bits 43..63, so that the lower word has the lower rank
//! ```
//!
//! A bound is the first key of the interval it opens. Bounds and keys are compared by subtraction, whose sign bit is right for
//! keys below 2⁶³ only; hence the pair of nodes for dimensions with 64-bit keys. The subtraction is deliberate: a comparison
//! would become a branch for each of the seven bounds, and the verifier would follow every path through every level.
//!
//! Offsets are masked by the size of the image, so a corrupt image yields a wrong decision or none ([`Walk`] ends after
//! [`MAX_STEPS`]), never a read outside it. This module must never know what a rule is; the compiler in user space writes images,
//! and the datapath, the tests and `sgctl check` read them here.
//!
//! | module | owns |
//! |---|---|
//! | `dimension` | the dimensions, and the keys of a lookup |
//! | `reference` | references and control words |
//! | `walk` | the walk |

mod dimension;
mod reference;
mod walk;

pub use dimension::{DIMENSIONS, Dimension, Fields, Keys, service_key};
pub use reference::{Reference, inner_control, leaf_control};
pub use walk::{Partition, Walk};

/// The version of the layout above, and of the header below.
pub const VERSION: u32 = 5;

/// "sgim" in ASCII, the upper half of an image's first word.
const MAGIC: u32 = 0x7367_696d;

/// "sgun" in ASCII: the same of an image that stands for no filter at all.
const UNFILTERED: u32 = 0x7367_756e;

/// Maximum length of a walk, in nodes. The compiler refuses images that need more.
pub const MAX_STEPS: u32 = 36;

/// Words in a node or a table of references.
pub const NODE_WORDS: usize = 8;

/// Maximum number of intervals of a node.
pub const FANOUT: usize = 8;

/// Maximum number of intervals of a small node. Its references are the last so many words of it.
pub const SMALL_FANOUT: usize = 4;

/// Maximum number of trees in a partition.
pub const TREES: usize = 8;

/// Words in a partition.
pub const PARTITION_WORDS: usize = TREES * 2;

/// Number of ranks.
pub const RANKS: u32 = 1 << 20;

/// The bound of an interval that does not exist: no key reaches it.
pub const NO_BOUND: u64 = 1 << 63;

/// The sizes of images, in words: 64 KiB, 1 MiB, 16 MiB, 64 MiB. The kernel requires all inner maps of an outer map to have the
/// same size, so there is one outer map per class.
pub const CLASS_WORDS: [usize; 4] = [1 << 13, 1 << 17, 1 << 21, 1 << 23];

/// Offsets in the header, in words.
pub mod header {
    /// Magic (upper half) and [`super::VERSION`] (lower half).
    pub const MAGIC_VERSION: usize = 0;
    /// Generation (lower half) and flags (upper half).
    pub const GENERATION_FLAGS: usize = 1;
    /// The number of the NIC's first counter.
    pub const COUNTERS: usize = 2;
    /// The id of the change that published the image, if it is to be confirmed, see [`crate::pending`]; else zero.
    pub const PENDING: usize = 3;
    /// Four references: `direction * 2 + family`.
    pub const ROOTS: usize = 4;
    /// Two references, by family: the local addresses that are the NIC's own. A decision that accepts means yes.
    pub const OWN: usize = 8;
    /// Two references, by family: the addresses that a guest may send from, by [`super::Dimension::Ethernet`] and local address.
    pub const ALLOWED_SOURCES: usize = 10;
    /// The takeover period of unknown connections, in seconds after the NIC was first filtered, see [`crate::flow::takes_over`].
    pub const TAKEOVER: usize = 12;
    /// The NIC's Ethernet address as a number; zero if unknown.
    pub const MAC: usize = 13;
    /// Two references, by family: the DHCP servers that the NIC may ask directly, by remote address.
    pub const DHCP_SERVERS: usize = 14;
    /// Two references, by family: the remote addresses to which no reject is sent. A decision that accepts means yes.
    pub const NO_REJECT: usize = 17;
    /// Two words of four numbers: the non-IP frames that pass, see [`super::names`].
    pub const ETHERTYPES: usize = 19;
    /// Words of the header.
    pub const WORDS: usize = 24;
}

/// Flags in the header.
pub mod flags {
    /// The device is the host end of a guest's NIC: what it receives is the guest's outbound.
    pub const GUEST: u32 = 1;
    /// Live flows are judged again after a policy change.
    pub const REVALIDATE: u32 = 2;
    /// Outbound packets must come from an address of the NIC.
    pub const ANTI_SPOOFING: u32 = 4;
    /// The NIC's Ethernet address is known, and with it its link-local address.
    pub const MAC: u32 = 8;
    /// A TCP packet of no known flow opens none unless it is a SYN.
    pub const STRICT: u32 = 16;
    /// Packets that the NIC receives are judged at XDP.
    pub const XDP: u32 = 32;
    /// The NIC is one of the host's, and packets that IPsec delivers to it pass: they were judged on the wire.
    pub const PASS_DECRYPTED: u32 = 128;
    /// Some non-IP frames pass.
    pub const ETHERTYPES: u32 = 256;
    /// Packets of the device have no Ethernet header: it is a tunnel.
    pub const LAYER_3: u32 = 2048;
    /// What the rules decide is also asked of a candidate policy, see [`crate::candidate`].
    pub const CANDIDATE: u32 = 4096;
}

/// Maximum number of `EtherType`s that an image can name.
pub const MAX_ETHERTYPES: usize = 8;

/// Whether `words`, those of [`header::ETHERTYPES`], contain `number`, which is not zero: unused numbers are.
#[inline(always)]
#[must_use]
pub const fn names(words: [u64; 2], number: u16) -> bool {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const fn has(word: u64, number: u16) -> bool {
        // Equal numbers leave zero bits, and subtracting one borrows. No branch: the verifier would follow each.
        let differs = word ^ (ONES * number as u64);
        differs.wrapping_sub(ONES) & !differs & ONES << 15 != 0
    }
    has(words[0], number) | has(words[1], number)
}

/// An image as its reader sees it: any array of words whose length is a power of two, and at least a node.
pub trait Words {
    /// The word at `index`, wrapped around the end.
    fn word(&self, index: usize) -> u64;

    /// Word `index` (below [`NODE_WORDS`]) of the node at `node`, which is rounded down to a multiple of a node and wrapped
    /// around the end.
    fn node_word(&self, node: usize, index: usize) -> u64;
}

impl<const N: usize> Words for [u64; N] {
    #[inline(always)]
    fn word(&self, index: usize) -> u64 {
        const { assert!(N.is_power_of_two()) };
        // The mask proves to the verifier, and to the compiler, that the read is inside.
        self[index & (N - 1)]
    }

    #[inline(always)]
    fn node_word(&self, node: usize, index: usize) -> u64 {
        const { assert!(N >= NODE_WORDS) };
        // One mask for the eight words of a node: its lower bits are zero, so adding below eight stays inside.
        self[(node & (N - NODE_WORDS)) + (index & (NODE_WORDS - 1))]
    }
}

impl Words for [u64] {
    /// For hosts, where the length is known at run time only. An empty slice reads as zeros.
    fn word(&self, index: usize) -> u64 {
        let mask = self.len().checked_next_power_of_two().unwrap_or(1) - 1;
        self.get(index & mask).copied().unwrap_or(0)
    }

    fn node_word(&self, node: usize, index: usize) -> u64 {
        self.word((node & !(NODE_WORDS - 1)) + (index & (NODE_WORDS - 1)))
    }
}

/// The fixed part of the header, read once per packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Generation of the policy of this NIC; a flow stores the one that judged it last.
    pub generation: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// The number of the NIC's first counter.
    pub counters: u32,
}

impl Header {
    /// The first word of an image of this version.
    #[must_use]
    pub const fn magic_version() -> u64 {
        (MAGIC as u64) << 32 | VERSION as u64
    }

    /// The first word of an image of this version that has only a header, and under which everything passes: what a NIC goes
    /// back to that was not filtered before.
    #[must_use]
    pub const fn unfiltered() -> u64 {
        (UNFILTERED as u64) << 32 | VERSION as u64
    }

    /// Reads the header.
    ///
    /// Returns `None` if the image is of another version.
    #[inline(always)]
    pub fn read<I: Words + ?Sized>(image: &I) -> Option<Self> {
        Self::read_after(image, Self::magic_version())
    }

    /// Reads the header of an image under which everything passes; `None` if it is no such image.
    #[inline(always)]
    pub fn read_unfiltered<I: Words + ?Sized>(image: &I) -> Option<Self> {
        Self::read_after(image, Self::unfiltered())
    }

    #[inline(always)]
    fn read_after<I: Words + ?Sized>(image: &I, first: u64) -> Option<Self> {
        if image.word(header::MAGIC_VERSION) != first {
            return None;
        }
        let generation_flags = image.word(header::GENERATION_FLAGS);
        Some(Self {
            generation: generation_flags as u32,
            flags: (generation_flags >> 32) as u32,
            counters: image.word(header::COUNTERS) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_frames_is_named_in_any_place_and_no_other() {
        let numbers: [u64; MAX_ETHERTYPES] = [0x88cc, 0x888e, 0x8809, 0x0042, 0x88f7, 0x8915, 0xffff, 0x0001];
        let word = |numbers: &[u64]| numbers.iter().rev().fold(0, |word, number| word << 16 | number);
        let full = [word(&numbers[..4]), word(&numbers[4..])];
        for number in 1..=u16::MAX {
            assert_eq!(names(full, number), numbers.contains(&number.into()), "{number:#x}");
            assert!(!names([0, 0], number), "{number:#x}");
        }
        for (count, &number) in numbers.iter().enumerate() {
            let few = [word(&numbers[..count.min(4)]), word(&numbers[count.min(4)..count])];
            assert!(!names(few, number as u16), "{number:#x} is not among the first {count}");
        }
    }
}
