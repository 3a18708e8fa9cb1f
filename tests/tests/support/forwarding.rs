//! Frames of our own making, from one host to another: for what sockets would never send.

use std::{net::IpAddr, time::Duration};

use anyhow::Result;
use sg_tests::{
    lab::{Family, FrameSocket, PATIENCE, SILENCE},
    packet::ip,
};

use crate::support::scene::{Scene, Who};

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;
const HOP_LIMIT: u8 = 64;

/// Where frames of one `EtherType` go from one host's `eth0` to another's.
pub(crate) struct ForwardingPath {
    ethertype: u16,
    near: FrameSocket,
    far: FrameSocket,
    source: IpAddr,
    destination: IpAddr,
}

impl ForwardingPath {
    pub(crate) fn open(scene: &Scene, from: Who, to: Who, family: Family, ethertype: u16) -> Result<Self> {
        Ok(Self {
            ethertype,
            near: FrameSocket::open(scene.host(from), "eth0", ethertype)?,
            far: FrameSocket::open(scene.host(to), "eth0", ethertype)?,
            source: from.address(family),
            destination: to.address(family),
        })
    }

    /// A path for IP packets.
    pub(crate) fn ip(scene: &Scene, from: Who, to: Who, family: Family) -> Result<Self> {
        let ethertype = if family == Family::V4 { IPV4 } else { IPV6 };
        Self::open(scene, from, to, family, ethertype)
    }

    /// `payload` behind an Ethernet header.
    pub(crate) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        [&self.far.address()[..], &self.near.address(), &self.ethertype.to_be_bytes(), payload].concat()
    }

    /// The Ethernet address that frames come from.
    pub(crate) fn sender(&self) -> [u8; 6] {
        self.near.address()
    }

    /// `payload` in an IP packet from the one host to the other.
    pub(crate) fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        ip([self.source, self.destination], protocol, HOP_LIMIT, payload)
    }

    /// Whether its packets are of IPv6.
    pub(crate) fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// Sends `frame`.
    pub(crate) fn send(&self, frame: &[u8]) -> Result<()> {
        self.near.send(frame)
    }

    /// Whether a frame that `is_it` comes out at the other end.
    pub(crate) fn receives(&self, patience: Duration, is_it: impl Fn(&[u8]) -> bool) -> Result<bool> {
        self.far.receives(patience, is_it)
    }

    /// Sends `frame`; whether it came out at the other end, where it should (or should not).
    pub(crate) fn carries(&self, frame: &[u8], expected: bool) -> Result<bool> {
        self.near.send(frame)?;
        self.far.receives(if expected { PATIENCE } else { SILENCE }, |received| received == frame)
    }
}

/// "Destination unreachable" about `offending`, which begins with its IP header.
pub(crate) fn unreachable(family: Family, offending: &[u8]) -> Vec<u8> {
    let kind = match family {
        Family::V4 => [3, 3],
        Family::V6 => [1, 4],
    };
    [&kind[..], &[0; 6], offending].concat()
}
