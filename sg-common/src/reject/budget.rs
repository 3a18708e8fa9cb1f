//! How often senders of rejected packets are told.
//!
//! Two budgets hold at once: that of the NIC, and a share of it that one *peer* has, the address that is told. Without the
//! second an observer can see what others did: who sends so many packets in the name of a resolver that they take all answers
//! there are but one, and then one in his own name, learns whether all were rejected, and so which port the resolver may talk
//! to (CVE-2020-25705). With it, that takes a peer's share and no more. What is left to see is blurred: what an answer costs,
//! and where a budget ends, is drawn for each packet.
//!
//! It must never read a clock or a map. Called by the datapath.

use crate::packet::Address;

/// Answers of a NIC that may be sent at once after a pause: more than these keep to the rate.
pub const BURST: u64 = 50;

/// What a peer has is the NIC's rate and burst divided by this.
pub const SHARE: u64 = 4;

const PEER_BURST: u64 = BURST / SHARE;

/// How many budgets of peers there are.
pub const PEERS: usize = 1 << 12;

/// A budget ends up to so many answers early, where the dice say so: powers of two.
const BLUR: u64 = 16;
const PEER_BLUR: u64 = 4;

/// How fast answers may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time, in nanoseconds.
    pub now: u64,
    /// How far answers of one NIC are apart in the long run, in nanoseconds; zero: there are none.
    pub interval: u64,
}

impl Pace {
    /// Which budget the peer with this address has, of [`PEERS`].
    ///
    /// Peers share budgets, and an observer that shares one sees again what the other did. So nobody knows who shares: that
    /// follows from a `secret`, and for one second at the default rate only. Addresses are taken whole: two hosts of one
    /// network must not share for sure.
    #[inline(always)]
    #[must_use]
    pub const fn peer(self, secret: u64, nic: u16, address: Address) -> u32 {
        const EPOCH: u64 = 1 << 10;
        // Odd numbers with bits all over (the fractions of the golden ratio, and of the root of three).
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

    /// Whether one more answer may be sent. `nic` and `peer` remember when the answers sent so far would have ended at this
    /// pace; `dice` is a random number.
    ///
    /// Two processors that ask at once may both be told yes: an answer more is no harm.
    #[inline(always)]
    #[must_use]
    pub const fn allows(self, nic: u64, peer: u64, dice: u32) -> bool {
        let [nic_blur, peer_blur] = [dice as u64 % BLUR, dice as u64 / BLUR % PEER_BLUR];
        self.interval != 0
            && self.lead(peer) <= self.interval * SHARE * (PEER_BURST - 1 - peer_blur)
            && self.lead(nic) <= self.interval * (BURST - 1 - nic_blur)
    }

    /// Takes an answer out of both budgets: none, one or two, one on the average.
    #[inline(always)]
    pub const fn spend(self, nic: &mut u64, peer: &mut u64, dice: u32) {
        let cost = self.interval * (((dice as u64 >> 16) * 3) >> 16);
        *nic = self.now.wrapping_add(self.lead(*nic) + cost);
        *peer = self.now.wrapping_add(self.lead(*peer) + cost * SHARE);
    }

    /// How far `due` is ahead. Another processor may have written it, a moment later by its clock.
    #[inline(always)]
    const fn lead(self, due: u64) -> u64 {
        let lead = due.wrapping_sub(self.now).cast_signed();
        if lead > 0 { lead.cast_unsigned() } else { 0 }
    }
}
