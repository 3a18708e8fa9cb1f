//! What is open between a NIC and others without a rule: who asked for its Ethernet address, what it asked by DHCP, and which
//! servers gave it its addresses. Such state is the NIC's own, by network, of a fixed size, so that no NIC can spend what another has;
//! where there is more to remember than room, the newest is remembered. It must never be asked for anything that a rule
//! could decide.
//!
//! Several processors write it without a lock. What one of them loses is asked again by whoever asked; what two of them mix
//! answers nobody, since nobody asked it.
//!
//! Called by the datapath, with the state of the packet's NIC.

use crate::{
    clock::elapsed,
    dhcp::{Lease, Name},
    packet::{Address, Vlan},
};

/// Neighbours that are remembered.
const SOLICITORS: usize = 8;

/// DHCP exchanges, and leases, that are remembered.
const CLIENTS: usize = 16;

/// How long a neighbour waits for its answer, in seconds: it asks again every second (RFC 4861 10).
pub const SOLICITATION_SECONDS: u32 = 10;

/// How long an answer by DHCP may take, in seconds: as long as a client waits at most before it asks again (RFC 2131 4.1).
pub const DHCP_SECONDS: u32 = 64;

/// A neighbour that asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Solicitor {
    /// Its address.
    pub high: u64,
    /// The lower half.
    pub low: u64,
    /// When, in jiffies.
    pub when: u64,
    /// In which network, see [`Vlan`].
    pub vlan: u64,
}

/// A DHCP exchange that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Open {
    /// Who asks, see [`Name`].
    pub client: u64,
    /// When it asked last, in jiffies.
    pub when: u64,
    /// The transaction.
    pub transaction: u32,
    /// In which network, see [`Vlan`].
    pub vlan: u32,
}

/// Who has which address from whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Leased {
    /// The client's address in the upper half, the server's in the lower, so that both are written at once.
    pub ends: u64,
    /// In which network, see [`Vlan`].
    pub vlan: u64,
}

/// The state of one NIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Exchanges {
    /// Who asked for the NIC's Ethernet address, each in the place of its address.
    pub solicitors: [Solicitor; SOLICITORS],
    /// What was asked by DHCP, each in the place of client and transaction.
    pub open: [Open; CLIENTS],
    /// Who has which address, each in the place of the address.
    pub leases: [Leased; CLIENTS],
}

impl Exchanges {
    /// Remembers that `neighbour` asked.
    #[inline(always)]
    pub fn solicited(&mut self, neighbour: Address, vlan: Vlan, now: u64) {
        let place = &mut self.solicitors[place(neighbour.high ^ neighbour.low) & (SOLICITORS - 1)];
        place.when = now;
        place.high = neighbour.high;
        place.low = neighbour.low;
        place.vlan = u64::from(vlan.word());
    }

    /// Whether `neighbour` asked not longer than `timeout` ago.
    #[inline(always)]
    #[must_use]
    pub fn is_solicitor(&self, neighbour: Address, vlan: Vlan, timeout: u64, now: u64) -> bool {
        let place = &self.solicitors[place(neighbour.high ^ neighbour.low) & (SOLICITORS - 1)];
        (place.high, place.low, place.vlan) == (neighbour.high, neighbour.low, u64::from(vlan.word()))
            && elapsed(now, place.when) <= timeout
    }

    /// Remembers that the NIC asked by DHCP.
    #[inline(always)]
    pub fn open(&mut self, name: Name, now: u64) {
        let place = &mut self.open[place_of(name)];
        place.when = now;
        place.client = name.client;
        place.transaction = name.transaction;
        place.vlan = name.vlan.word();
    }

    /// Whether it asked that, not longer than `timeout` ago.
    #[inline(always)]
    #[must_use]
    pub fn is_open(&self, name: Name, timeout: u64, now: u64) -> bool {
        let place = &self.open[place_of(name)];
        (place.client, place.transaction, place.vlan) == (name.client, name.transaction, name.vlan.word())
            && elapsed(now, place.when) <= timeout
    }

    /// Remembers which server gave a client its address.
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

/// Spreads keys over the places.
#[inline(always)]
const fn place(key: u64) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    (key.wrapping_mul(ODD) >> 56) as usize
}

const _: () = {
    assert!(size_of::<Solicitor>() == 32 && size_of::<Open>() == 24 && size_of::<Leased>() == 16);
    assert!(size_of::<Exchanges>() == SOLICITORS * 32 + CLIENTS * 40);
};
