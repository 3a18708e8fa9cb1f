//! Every map. The agent looks them up by these names; sizes are defaults that it may override at load.

#![expect(unsafe_code, reason = "maps hand out pointers")]

use core::cell::UnsafeCell;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use sg_common::{
    abi::{Counter, NEAR_DEVICES, Settings},
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
const MAX_COUNTERS: usize = 1 << 17;

/// One element whose value is a whole image: one lookup gives a pointer, and every read after that is a load.
type ImageMap<const WORDS: usize> = Array<[u64; WORDS], 1, { BPF_F_MMAPABLE as usize }>;

/// Images by NIC slot. One map of maps a size class; a slot has its image in one of them, and while it moves
/// between classes the smaller wins (see [`crate::policy`]).
type Images<const WORDS: usize> = ArrayOfMaps<ImageMap<WORDS>, MAX_NICS>;

/// NIC slot plus one, by device number; zero where the device is no NIC. An array costs a tenth of a hash.
#[btf_map]
pub static NICS: Array<u32, { NEAR_DEVICES as usize }> = Array::new();

/// The same for devices with larger numbers: the kernel counts up and never reuses one.
#[btf_map]
pub static FAR_NICS: HashMap<u32, u32, MAX_NICS> = HashMap::new();

#[btf_map]
pub static IMAGES_64K: Images<{ CLASS_WORDS[0] }> = Images::new();
#[btf_map]
pub static IMAGES_1M: Images<{ CLASS_WORDS[1] }> = Images::new();
#[btf_map]
pub static IMAGES_16M: Images<{ CLASS_WORDS[2] }> = Images::new();
#[btf_map]
pub static IMAGES_64M: Images<{ CLASS_WORDS[3] }> = Images::new();

/// Flows of IPv6, and of IPv4 behind a VLAN tag, that were answered. What needs no memory before there are any costs a little more
/// to enter.
#[btf_map]
pub static FLOWS: HashMap<FlowKey, FlowEntry, MAX_FLOWS, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// The same of IPv4 without a VLAN tag.
#[btf_map]
pub static FLOWS_16: HashMap<FlowKeyV4, FlowEntry, MAX_FLOWS> = HashMap::new();

/// How many of them each NIC has, by slot. The program counts up; the agent's sweep writes what it found, which also mends
/// what was lost between two sweeps.
#[btf_map]
pub static NIC_FLOWS: Array<u64, MAX_NICS> = Array::new();

/// Half-open flows with wide keys. The program evicts the oldest, see [`crate::half_open`]: a flood of them evicts only half-open flows,
/// and only those of its own NIC beyond what the others leave.
#[btf_map]
pub static HALF_OPEN: HashMap<FlowKey, FlowEntry, MAX_HALF_OPEN> = HashMap::new();

/// The same of narrow keys.
#[btf_map]
pub static HALF_OPEN_16: HashMap<FlowKeyV4, FlowEntry, MAX_HALF_OPEN> = HashMap::new();

/// The places of half-open flows with wide keys: who stands where, or stood there last. As many as [`HALF_OPEN`] has.
#[btf_map]
pub static PLACES: Array<FlowKey, MAX_HALF_OPEN> = Array::new();

/// The same of narrow keys.
#[btf_map]
pub static PLACES_16: Array<FlowKeyV4, MAX_HALF_OPEN> = Array::new();

/// How many places were taken so far, by [`sg_common::flow::common_tickets`] and [`sg_common::flow::own_tickets`].
#[btf_map]
pub static TICKETS: Array<u64, { ticket_counts(MAX_NICS as u32) as usize }> = Array::new();

/// How the places are divided. The agent writes it.
#[btf_map]
pub static SHARES: Array<Shares, 1> = Array::new();

/// TCP connections with wide keys that have ended, put here by the agent's sweep. The least recently used make room: a day of
/// short connections fills no table.
#[btf_map]
pub static CLOSED: LruHashMap<FlowKey, ClosedEntry, MAX_CLOSED> = LruHashMap::new();

/// The same of narrow keys.
#[btf_map]
pub static CLOSED_16: LruHashMap<FlowKeyV4, ClosedEntry, MAX_CLOSED> = LruHashMap::new();

/// When each NIC was first filtered, in jiffies, by slot; zero where none is there. The agent writes it once, beside the flow
/// tables: who loses those begins anew.
#[btf_map]
pub static FILTERED_SINCE: Array<u64, MAX_NICS> = Array::new();

/// Datagrams of which a first fragment was accepted.
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentEntry, MAX_FRAGMENTS> = LruHashMap::new();

/// What is open between a NIC and others without a rule, by slot.
#[btf_map]
pub static EXCHANGES: Array<Exchanges, MAX_NICS> = Array::new();

/// When the answers to rejected packets are due, by slot, see [`sg_common::reject::Pace`].
#[btf_map]
pub static REJECT_BUDGET: Array<u64, MAX_NICS> = Array::new();

/// The same by peer.
#[btf_map]
pub static REJECT_PEERS: Array<u64, PEERS> = Array::new();

/// A [`sg_common::reject::Mark`]. A map, since while an agent takes over, the programs of both must know it.
#[btf_map]
pub static REJECT_MARK: Array<u64, 1> = Array::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<Counter, MAX_COUNTERS> = PerCpuArray::new();

#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// What the agent sets: it writes this before the kernel checks the programs, and nobody after it. No lookup, as a map of
/// its own would need for every packet. The name is not mangled, so it is known outside, and the compiler does not take the
/// first value for the only one.
#[unsafe(no_mangle)]
static SETTINGS: Shared<Settings> = Shared(UnsafeCell::new(Settings::NONE));

/// What stands in memory that is written.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: nobody writes it while a program runs.
unsafe impl Sync for Shared<Settings> {}

/// What the agent set.
#[inline(always)]
pub fn settings() -> &'static Settings {
    // SAFETY: as above.
    unsafe { &*SETTINGS.0.get() }
}

/// The NIC slot of a device.
#[inline(always)]
pub fn slot_of(device: u32) -> Option<u32> {
    let entry = if device < NEAR_DEVICES { NICS.get_ptr(device) } else { FAR_NICS.get_ptr(device) };
    // SAFETY: valid until the program ends; one word, read at once.
    entry.and_then(|entry| unsafe { *entry }.checked_sub(1))
}

/// Where Linux 6.1 looks for the keys of maps: its verifier takes what a global function was given for no such place
/// (`map_key_value_types`, kernel/bpf/verifier.c).
#[inline(always)]
pub const fn on_stack(key: &FlowKey) -> FlowKey {
    *key
}
