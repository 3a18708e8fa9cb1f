//! Every map. The agent finds and pins them by these names, of which the kernel, and `bpftool`, keep 15 characters. `_V4` is IPv4
//! without a VLAN tag, which has a key a third as long; `_V6` is all else. Sizes are defaults that the agent may override at load.

#![expect(unsafe_code, reason = "maps hand out pointers")]

use core::cell::UnsafeCell;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf},
    macros::btf_map,
};
use sg_common::{
    abi::{Counter, NIC_BY_IFINDEX_LEN, Settings, denied_spares},
    candidate::{DifferingEntry, DifferingKey},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, DeniedNic, DeniedRing},
    event::{Event, ReplacedFlow, Watch},
    exchange::Exchanges,
    flow::{ClosedEntry, FlowEntry, FlowKey, FlowKeyV4, Shares, ticket_counts},
    fragment::{FragmentEntry, FragmentKey},
    image::CLASS_WORDS,
    reject::PEERS,
};

use crate::scratch::Scratch;

const MAX_NICS: usize = 1024;
const MAX_FLOWS: usize = 1 << 18;
const MAX_HALF_OPEN: usize = 3 << 15;
const MAX_CLOSED: usize = 1 << 16;
const MAX_FRAGMENTS: usize = 1 << 13;
const MAX_DENIED: usize = 1 << 16;
const MAX_COUNTERS: usize = 1 << 17;
/// Names of decisions that a candidate was asked about, of all NICs.
const MAX_ASKED: usize = 1 << 15;
/// Names of packets that a candidate judges differently.
const MAX_DIFFERING: usize = 1 << 14;

/// Images by NIC slot, as [`Images`], but one for each.
type Candidates<const WORDS: usize> = ArrayOfMaps<ImageMap<WORDS>, MAX_NICS>;

/// A one-element array whose value is a whole image: one lookup gives a pointer, and every read after that is a load.
type ImageMap<const WORDS: usize> = Array<[u64; WORDS], 1, { BPF_F_MMAPABLE as usize }>;

/// Images by NIC slot, in one map of maps per size class. A slot has its image in one of them; while it moves between classes,
/// the smaller class wins (see [`crate::image`]). Behind them, from [`Settings::previous_images`] on, are the images before the change
/// that is pending: in the same maps, because the verifier would follow a packet through an image of another map once more.
type Images<const WORDS: usize> = ArrayOfMaps<ImageMap<WORDS>, { MAX_NICS * 2 }>;

/// NIC slot plus one, by device index; zero if the device is no NIC. An array lookup costs a tenth of a hash lookup.
#[btf_map]
pub static NIC_BY_IFINDEX: Array<u32, { NIC_BY_IFINDEX_LEN as usize }> = Array::new();

/// As [`NIC_BY_IFINDEX`], for devices with larger indexes: the kernel counts up and never reuses one.
#[btf_map]
pub static NIC_BY_IFINDEX_OVERFLOW: HashMap<u32, u32, MAX_NICS> = HashMap::new();

#[btf_map]
pub static IMAGES_64K: Images<{ CLASS_WORDS[0] }> = Images::new();
#[btf_map]
pub static IMAGES_1M: Images<{ CLASS_WORDS[1] }> = Images::new();
#[btf_map]
pub static IMAGES_16M: Images<{ CLASS_WORDS[2] }> = Images::new();
#[btf_map]
pub static IMAGES_64M: Images<{ CLASS_WORDS[3] }> = Images::new();

/// A [`sg_common::pending::Pending`].
#[btf_map]
pub static PENDING: Array<u64, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Images of a candidate policy, in maps of their own: the verifier follows them in one function only, see [`crate::candidate`]. Like all
/// that belongs to a candidate they are not pinned, so that it ends with the agent that set it, once another one's programs are attached.
#[btf_map]
pub static CANDIDATES_64K: Candidates<{ CLASS_WORDS[0] }> = Candidates::new();
#[btf_map]
pub static CANDIDATES_1M: Candidates<{ CLASS_WORDS[1] }> = Candidates::new();
#[btf_map]
pub static CANDIDATES_16M: Candidates<{ CLASS_WORDS[2] }> = Candidates::new();
#[btf_map]
pub static CANDIDATES_64M: Candidates<{ CLASS_WORDS[3] }> = Candidates::new();

/// What was decided, and what the candidate would have: packets by [`sg_common::candidate::Asked`]. By CPU, so that no count is lost
/// and none waits.
#[btf_map]
pub static CANDIDATE_ASKED: PerCpuHashMap<u64, u64, MAX_ASKED, { BPF_F_NO_PREALLOC as usize }> =
    PerCpuHashMap::new();

/// Packets that it would judge differently.
#[btf_map]
pub static CANDIDATE_DIFFERS: HashMap<
    DifferingKey,
    DifferingEntry,
    MAX_DIFFERING,
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// Established flows of IPv6, and of IPv4 with a VLAN tag. Without preallocation, inserts cost a little more, but an empty table
/// takes no memory.
#[btf_map]
pub static FLOWS_V6: HashMap<FlowKey, FlowEntry, MAX_FLOWS, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Established flows of IPv4 without a VLAN tag.
#[btf_map]
pub static FLOWS_V4: HashMap<FlowKeyV4, FlowEntry, MAX_FLOWS> = HashMap::new();

/// Number of established flows of each NIC, by slot. The program counts up; the agent's ageing pass writes the true number, which
/// also corrects increments lost between two passes.
#[btf_map]
pub static NIC_FLOWS: Array<u64, MAX_NICS> = Array::new();

/// Half-open flows of IPv6, and of IPv4 with a VLAN tag. The program evicts the oldest, see [`crate::half_open`]: a flood evicts
/// only half-open flows, and only those of its own NIC beyond what the others leave.
#[btf_map]
pub static HALF_OPEN_V6: HashMap<FlowKey, FlowEntry, MAX_HALF_OPEN> = HashMap::new();

/// Half-open flows of IPv4 without a VLAN tag.
#[btf_map]
pub static HALF_OPEN_V4: HashMap<FlowKeyV4, FlowEntry, MAX_HALF_OPEN> = HashMap::new();

/// The places of the flows in [`HALF_OPEN_V6`]: the key of the flow that has or last had each place. As many.
#[btf_map]
pub static PLACES_V6: Array<FlowKey, MAX_HALF_OPEN> = Array::new();

/// The places of the flows in [`HALF_OPEN_V4`].
#[btf_map]
pub static PLACES_V4: Array<FlowKeyV4, MAX_HALF_OPEN> = Array::new();

/// Tickets drawn so far, indexed by [`sg_common::flow::common_tickets`] and [`sg_common::flow::own_tickets`].
#[btf_map]
pub static TICKETS: Array<u64, { ticket_counts(MAX_NICS as u32) as usize }> = Array::new();

/// How the places are divided among the NICs. Written by the agent.
#[btf_map]
pub static SHARES: Array<Shares, 1> = Array::new();

/// Closed TCP connections of IPv6, and of IPv4 with a VLAN tag, moved here by the agent's ageing pass. The least recently used are
/// evicted, so that a day of short connections fills no table.
#[btf_map]
pub static CLOSED_V6: LruHashMap<FlowKey, ClosedEntry, MAX_CLOSED> = LruHashMap::new();

/// Closed TCP connections of IPv4 without a VLAN tag.
#[btf_map]
pub static CLOSED_V4: LruHashMap<FlowKeyV4, ClosedEntry, MAX_CLOSED> = LruHashMap::new();

/// Time in jiffies when each NIC was first filtered, by slot; zero for no NIC. The agent writes it once. It lives beside the flow
/// tables, so that losing those restarts it.
#[btf_map]
pub static FILTERED_SINCE: Array<u64, MAX_NICS> = Array::new();

/// Datagrams whose first fragment was accepted.
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentEntry, MAX_FRAGMENTS> = LruHashMap::new();

/// Open exchanges of each NIC that need no rule, by slot.
#[btf_map]
pub static EXCHANGES: Array<Exchanges, MAX_NICS> = Array::new();

/// Rate limit of rejects by NIC slot: when the next is due, see [`sg_common::reject::RateLimit`].
#[btf_map]
pub static REJECT_BUDGET: Array<u64, MAX_NICS> = Array::new();

/// Rate limit of rejects by peer.
#[btf_map]
pub static REJECT_PEERS: Array<u64, PEERS> = Array::new();

/// A [`sg_common::reject::Mark`]. In a map, because the programs of both agents must know it during a takeover.
#[btf_map]
pub static REJECT_MARK: Array<u64, 1> = Array::new();

/// Packets that do not pass, by name: the index of the entry in [`DENIED`]. Of IPv6.
#[btf_map]
pub static DENIED_V6: HashMap<DeniedKey, u32, MAX_DENIED, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// The same of IPv4, and of packets without addresses.
#[btf_map]
pub static DENIED_V4: HashMap<DeniedKeyV4, u32, MAX_DENIED, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Their counts, which the agent reads without asking the kernel. An entry outlives its name, so that what is added while the
/// name is removed is not lost. Behind them are those without a name, see [`sg_common::abi::denied_spare`].
#[btf_map]
pub static DENIED: Array<
    DeniedEntry,
    { MAX_DENIED + denied_spares(MAX_NICS as u32) as usize },
    { BPF_F_MMAPABLE as usize },
> = Array::new();

/// Indexes of entries by the hash of a name, see [`DeniedKey::place`]: of the last that was looked up.
#[btf_map]
pub static DENIED_HINTS: Array<u32, MAX_DENIED> = Array::new();

/// Indexes of free entries: a ring between the two numbers of [`DENIED_RING`], filled by the agent.
#[btf_map]
pub static DENIED_FREE: Array<u64, MAX_DENIED, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
pub static DENIED_RING: Array<DeniedRing, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Rate limits and numbers of entries, by NIC slot.
#[btf_map]
pub static DENIED_NICS: Array<DeniedNic, MAX_NICS, { BPF_F_MMAPABLE as usize }> = Array::new();

/// What somebody wants to see now. Written by the agent.
#[btf_map]
pub static WATCH: Array<Watch, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Events for whoever watches.
#[btf_map]
pub static EVENTS: RingBuf<Event, { 4 << 20 }> = RingBuf::new();

/// Last values of flows that the program replaced, for the agent.
#[btf_map]
pub static REPLACED_FLOWS: RingBuf<ReplacedFlow, { 1 << 20 }> = RingBuf::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<Counter, MAX_COUNTERS> = PerCpuArray::new();

#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Settings, which the agent writes before the kernel verifies the programs, and nobody afterwards. A global, not a map, which
/// would cost every packet a lookup. The unmangled name makes it visible outside, so that the compiler does not take the initial
/// value for the only one.
#[unsafe(no_mangle)]
static SETTINGS: Shared<Settings> = Shared(UnsafeCell::new(Settings::NONE));

/// A value in writable memory.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: nobody writes it while a program runs.
unsafe impl Sync for Shared<Settings> {}

/// The settings of the agent.
#[inline(always)]
pub fn settings() -> &'static Settings {
    // SAFETY: as above.
    unsafe { &*SETTINGS.0.get() }
}

/// The NIC slot of a device.
#[inline(always)]
pub fn slot_of(device: u32) -> Option<u32> {
    let entry = if device < NIC_BY_IFINDEX_LEN {
        NIC_BY_IFINDEX.get_ptr(device)
    } else {
        NIC_BY_IFINDEX_OVERFLOW.get_ptr(device)
    };
    // SAFETY: valid until the program ends; one word, read at once.
    entry.and_then(|entry| unsafe { *entry }.checked_sub(1))
}

/// The working memory of this CPU. No other packet interrupts a program on its CPU.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: as above; the pointer is valid until the program ends.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}

/// Copies a key to the stack, where Linux 6.1 expects map keys: its verifier does not accept a global function's pointer argument
/// as one (`map_key_value_types`, kernel/bpf/verifier.c).
#[inline(always)]
pub const fn on_stack(key: &FlowKey) -> FlowKey {
    *key
}
