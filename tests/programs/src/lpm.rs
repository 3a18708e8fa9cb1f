//! A firewall of the kind that most of those in eBPF are: the longest prefix classifies the remote, a second table of
//! prefixes what it may reach, and a table of flows lets replies in.
//!
//! It is here to be measured beside, by `benches/peers/lpm.rs`, which fills the tables. IPv4 without options, TCP and UDP;
//! flows never end but by making room. What it leaves out (states, timeouts, fragments, counters, changes as a whole) makes it
//! cheaper than one to rely on.

#![expect(unsafe_code, reason = "packet memory is two numbers and a promise to the verifier")]

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    btf_maps::{LpmTrie, LruHashMap, lpm_trie::Key},
    macros::{btf_map, classifier},
    programs::TcContext,
};

const MAX_PREFIXES: usize = 1 << 17;
const MAX_SERVICES: usize = 1 << 20;
const MAX_FLOWS: usize = 1 << 18;

/// Who an address is, by the longest prefix.
#[btf_map]
pub static LPM_REMOTES: LpmTrie<[u8; 4], u32, MAX_PREFIXES> = LpmTrie::new();

/// Whether it may: by who it is (4 bytes), protocol (1) and port (2), the longest prefix of them. The last byte is zero.
#[btf_map]
pub static LPM_SERVICES: LpmTrie<[u8; 8], u32, MAX_SERVICES> = LpmTrie::new();

#[btf_map]
pub static LPM_FLOWS: LruHashMap<Flow, u32, MAX_FLOWS> = LruHashMap::new();

/// Both ends, the other one first, as they are in the packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Flow {
    remote: u32,
    local: u32,
    remote_port: u16,
    local_port: u16,
    protocol: u32,
}

#[classifier]
pub fn lpm_ingress(ctx: TcContext) -> i32 {
    let Some(Flow { remote, local, remote_port, local_port, protocol }) = read(ctx.data(), ctx.data_end())
    else {
        return TC_ACT_SHOT;
    };
    let flow = Flow { remote, local, remote_port, local_port, protocol };
    // SAFETY: the value is not read.
    if unsafe { LPM_FLOWS.get(flow) }.is_some() {
        return TC_ACT_UNSPEC;
    }
    let Some(&who) = LPM_REMOTES.get(&Key::new(32, remote.to_ne_bytes())) else { return TC_ACT_SHOT };
    let [one, two, three, four] = who.to_be_bytes();
    let [high, low] = local_port.to_ne_bytes();
    let asked = [one, two, three, four, protocol as u8, high, low, 0];
    match LPM_SERVICES.get(&Key::new(56, asked)) {
        Some(1) => {
            // Where there is no room the reply meets the rules as well.
            let _ = LPM_FLOWS.insert(flow, 1, 0);
            TC_ACT_UNSPEC
        }
        _ => TC_ACT_SHOT,
    }
}

/// What is sent passes, and its replies with it.
#[classifier]
pub fn lpm_egress(ctx: TcContext) -> i32 {
    if let Some(sent) = read(ctx.data(), ctx.data_end()) {
        let flow = Flow {
            remote: sent.local,
            local: sent.remote,
            remote_port: sent.local_port,
            local_port: sent.remote_port,
            protocol: sent.protocol,
        };
        // SAFETY: the value is not read.
        if unsafe { LPM_FLOWS.get(flow) }.is_none() {
            let _ = LPM_FLOWS.insert(flow, 1, 0);
        }
    }
    TC_ACT_UNSPEC
}

/// The ends of a packet, the sending one as `remote`.
#[inline(always)]
fn read(data: usize, end: usize) -> Option<Flow> {
    const PORTS_END: usize = 38;
    if data + PORTS_END > end {
        return None;
    }
    // SAFETY: so many bytes are there. BPF has no alignment that x86_64 and aarch64 ask for.
    let (ethertype, version, protocol, remote, local, remote_port, local_port) = unsafe {
        (
            u16::from_be(*((data + 12) as *const u16)),
            *((data + 14) as *const u8),
            *((data + 23) as *const u8),
            *((data + 26) as *const u32),
            *((data + 30) as *const u32),
            *((data + 34) as *const u16),
            *((data + 36) as *const u16),
        )
    };
    let known = ethertype == 0x0800 && version == 0x45 && (protocol == 6 || protocol == 17);
    known.then_some(Flow { remote, local, remote_port, local_port, protocol: protocol.into() })
}
