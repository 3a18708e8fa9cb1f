//! Open exchanges of a NIC that need no rule: who solicited its Ethernet address, its DHCP requests, and which servers gave it
//! its addresses. Each NIC has its own state, by network, of a fixed size, so that no NIC can use up that of another; if there is
//! not room for all, the newest entries stay. It must never be used for anything that a rule could decide.
//!
//! Several CPUs write it without a lock. An entry that is lost to a race is requested again by its sender; one that mixes two
//! matches no reply, because nobody requested it.
//!
//! Called by the datapath, with the state of the packet's NIC.

use crate::{
    clock::elapsed,
    dhcp::{Lease, Name},
    packet::{Address, Vlan},
};

/// Number of neighbours stored.
const SOLICITORS: usize = 8;

/// Number of DHCP exchanges, and of leases, stored.
const CLIENTS: usize = 16;

/// How long a neighbour waits for an advertisement, in seconds: it repeats its solicitation every second (RFC 4861 10).
pub const SOLICITATION_SECONDS: u32 = 10;

/// How long a DHCP reply may take, in seconds: the longest time until a client repeats its request (RFC 2131 4.1).
pub const DHCP_SECONDS: u32 = 64;

/// A neighbour that sent a solicitation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Solicitor {
    /// The upper half of its address.
    pub high: u64,
    /// The lower half.
    pub low: u64,
    /// Time of the solicitation, in jiffies.
    pub when: u64,
    /// The network, see [`Vlan`].
    pub vlan: u64,
}

/// An open DHCP exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Open {
    /// The client, see [`Name`].
    pub client: u64,
    /// Time of its last request, in jiffies.
    pub when: u64,
    /// The transaction ID.
    pub transaction: u32,
    /// The network, see [`Vlan`].
    pub vlan: u32,
}

/// An address with its client and server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Leased {
    /// The client's address in the upper half, the server's in the lower, so that both are written at once.
    pub ends: u64,
    /// The network, see [`Vlan`].
    pub vlan: u64,
}

/// The state of one NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Exchanges {
    /// Neighbours that solicited the NIC's Ethernet address, each at an index derived from its address.
    pub solicitors: [Solicitor; SOLICITORS],
    /// Open DHCP exchanges, each at an index derived from client and transaction.
    pub open: [Open; CLIENTS],
    /// Leases, each at an index derived from the client's address.
    pub leases: [Leased; CLIENTS],
}

impl Exchanges {
    /// Records a solicitation of `neighbour`.
    #[inline(always)]
    pub fn solicited(&mut self, neighbour: Address, vlan: Vlan, now: u64) {
        let place = &mut self.solicitors[place(neighbour.high ^ neighbour.low) & (SOLICITORS - 1)];
        place.when = now;
        place.high = neighbour.high;
        place.low = neighbour.low;
        place.vlan = u64::from(vlan.word());
    }

    /// Whether `neighbour` sent a solicitation within the last `timeout`.
    #[inline(always)]
    #[must_use]
    pub fn is_solicitor(&self, neighbour: Address, vlan: Vlan, timeout: u64, now: u64) -> bool {
        let place = &self.solicitors[place(neighbour.high ^ neighbour.low) & (SOLICITORS - 1)];
        (place.high, place.low, place.vlan) == (neighbour.high, neighbour.low, u64::from(vlan.word()))
            && elapsed(now, place.when) <= timeout
    }

    /// Records a DHCP request of the NIC.
    #[inline(always)]
    pub fn open(&mut self, name: Name, now: u64) {
        let place = &mut self.open[place_of(name)];
        place.when = now;
        place.client = name.client;
        place.transaction = name.transaction;
        place.vlan = name.vlan.word();
    }

    /// Whether the NIC sent a request of that name within the last `timeout`.
    #[inline(always)]
    #[must_use]
    pub fn is_open(&self, name: Name, timeout: u64, now: u64) -> bool {
        let place = &self.open[place_of(name)];
        (place.client, place.transaction, place.vlan) == (name.client, name.transaction, name.vlan.word())
            && elapsed(now, place.when) <= timeout
    }

    /// Records which server gave a client its address.
    #[inline(always)]
    pub fn lease(&mut self, lease: Lease, vlan: Vlan) {
        self.leases[place_of_lease(lease)] = leased(lease, vlan);
    }

    /// Whether that server gave that client its address.
    #[inline(always)]
    #[must_use]
    pub fn is_leased(&self, lease: Lease, vlan: Vlan) -> bool {
        lease.server != 0 && self.leases[place_of_lease(lease)] == leased(lease, vlan)
    }
}

#[inline(always)]
const fn leased(lease: Lease, vlan: Vlan) -> Leased {
    Leased { ends: (lease.client as u64) << 32 | lease.server as u64, vlan: vlan.word() as u64 }
}

#[inline(always)]
const fn place_of(name: Name) -> usize {
    place(name.client ^ (name.transaction as u64).rotate_left(32)) & (CLIENTS - 1)
}

#[inline(always)]
const fn place_of_lease(lease: Lease) -> usize {
    place(lease.client as u64) & (CLIENTS - 1)
}

/// Hashes a key to an index.
#[inline(always)]
const fn place(key: u64) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    (key.wrapping_mul(ODD) >> 56) as usize
}

const _: () = {
    assert!(size_of::<Solicitor>() == 32 && size_of::<Open>() == 24 && size_of::<Leased>() == 16);
    assert!(size_of::<Exchanges>() == SOLICITORS * 32 + CLIENTS * 40);
};
