//! Rate limits of rejects.
//!
//! Two budgets hold at once: that of the NIC, and a share of it for each *peer*, the address that gets the reject. Without the
//! second, an observer can see the effects of others' traffic: by sending as many packets in the name of a resolver as use all
//! rejects but one, and then one in its own name, it learns whether all were rejected, and so which port the resolver may reach
//! (CVE-2020-25705). With it, that uses a peer's share and no more. What remains visible is blurred: the cost of a reject and the
//! end of a budget are random for each packet.
//!
//! It must never read a clock or a map. Called by the datapath.

use crate::packet::Address;

/// Rejects of a NIC that may be sent at once after a pause: any more keep to the rate.
pub const BURST: u64 = 50;

/// Divisor of the NIC's rate and burst for each peer.
pub const SHARE: u64 = 4;

const PEER_BURST: u64 = BURST / SHARE;

/// Number of peer budgets.
pub const PEERS: usize = 1 << 12;

/// Maximum number of rejects by which a budget randomly ends early: powers of two.
const BLUR: u64 = 16;
const PEER_BLUR: u64 = 4;

/// The rate of rejects.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// The current time in nanoseconds.
    pub now: u64,
    /// Average interval between rejects of one NIC, in nanoseconds; zero disables rejects.
    pub interval: u64,
}

impl RateLimit {
    /// The index, below [`PEERS`], of the budget of the peer with this address.
    ///
    /// Peers share budgets, and an observer that shares one sees the other's effects again. So nobody knows who shares: that
    /// follows from a `secret`, and changes every second at the default rate. Addresses are hashed whole: two hosts of one
    /// network must not be sure to share.
    #[inline(always)]
    #[must_use]
    pub const fn peer(self, secret: u64, nic: u16, address: Address) -> u32 {
        const EPOCH: u64 = 1 << 10;
        // Odd numbers with well-mixed bits (the fractions of the golden ratio, and of the root of three).
        const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
        const SECOND: u64 = 0xbb67_ae85_84ca_a73b;
        let epoch = match self.now.checked_div(self.interval * EPOCH) {
            Some(epoch) => epoch,
            None => 0,
        };
        let mut hash = (secret ^ address.high).wrapping_mul(FIRST);
        hash = (hash ^ hash >> 32 ^ address.low).wrapping_mul(SECOND);
        hash = (hash ^ hash >> 32 ^ epoch ^ (nic as u64) << 48).wrapping_mul(FIRST);
        hash = (hash ^ hash >> 32 ^ secret.rotate_left(32)).wrapping_mul(SECOND);
        (hash >> (64 - PEERS.trailing_zeros())) as u32
    }

    /// Whether one more reject may be sent. `nic` and `peer` hold the time at which the rejects sent so far would have ended at
    /// this rate; `dice` is a random number.
    ///
    /// Two CPUs that call this at once may both get yes: one more reject is no harm.
    #[inline(always)]
    #[must_use]
    pub const fn allows(self, nic: u64, peer: u64, dice: u32) -> bool {
        let [nic_blur, peer_blur] = [dice as u64 % BLUR, dice as u64 / BLUR % PEER_BLUR];
        self.interval != 0
            && self.lead(peer) <= self.interval * SHARE * (PEER_BURST - 1 - peer_blur)
            && self.lead(nic) <= self.interval * (BURST - 1 - nic_blur)
    }

    /// Charges both budgets for a reject: none, one or two, one on average.
    #[inline(always)]
    pub const fn spend(self, nic: &mut u64, peer: &mut u64, dice: u32) {
        let cost = self.interval * (((dice as u64 >> 16) * 3) >> 16);
        *nic = self.now.wrapping_add(self.lead(*nic) + cost);
        *peer = self.now.wrapping_add(self.lead(*peer) + cost * SHARE);
    }

    /// How far `due` is ahead. Another CPU may have written it, a moment later by its clock.
    #[inline(always)]
    const fn lead(self, due: u64) -> u64 {
        let lead = due.wrapping_sub(self.now).cast_signed();
        if lead > 0 { lead.cast_unsigned() } else { 0 }
    }
}
