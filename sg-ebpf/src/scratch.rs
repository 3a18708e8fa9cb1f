//! Where a packet is worked on: the stack of a program has 512 bytes only. It must never be relied on from one packet to the
//! next.

#![expect(unsafe_code, reason = "a map gives a pointer")]

use sg_common::{
    flow::FlowKey,
    guest::Claim,
    image::{Header, Keys},
    packet::Packet,
    reject::{Answer, Link},
};

use crate::{maps::SCRATCH, reject::PART};

/// What is found out about a packet.
pub struct Scratch {
    /// The packet.
    pub packet: Packet,
    /// Whom a guest claims to be.
    pub claimed: Claim,
    /// The packet that an ICMP error speaks of.
    pub embedded: Packet,
    /// The flow that the packet, or what it speaks of, belongs to.
    pub key: FlowKey,
    /// A half-open flow that a place is looked for.
    pub comer: FlowKey,
    /// What the image says of the NIC.
    pub header: Header,
    /// What the policy is asked about the packet.
    pub keys: Keys,
    /// What the policy is asked about the flow it belongs to.
    pub original: Keys,
    /// Between whom a rejected packet goes.
    pub link: Link,
    /// What the sender of a rejected packet is told.
    pub answer: Answer,
    /// The part of the packet that is summed up, and a word for what stands out.
    pub part: [u32; PART / 4 + 1],
}

/// This CPU's own. A program is not interrupted by another packet on its CPU.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: as above; the pointer is valid until the program ends.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}
