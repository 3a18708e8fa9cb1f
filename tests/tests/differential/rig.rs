//! Three hosts in a row: the remote end, a router that filters, the local end. The ends have no addresses and so say
//! nothing by themselves; what one sends raw, the other receives raw or does not.
//!
//! Two of them stand side by side, `sgd` on the router of the one, nftables on that of the other.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use sg_common::{flow::Direction, packet::ethertype};
use sg_tests::lab::{FrameSocket, Host, Lab, PATIENCE};

use crate::differential::packet::{self, Packet};

/// The router's devices: towards the remote end, and towards the local one.
pub(crate) const OUTER: &str = "outer";
pub(crate) const INNER: &str = "inner";

/// The addresses of the local end, which the policy is about.
pub(crate) const LOCAL: [IpAddr; 2] =
    [IpAddr::V4(LOCAL_V4), IpAddr::V6(Ipv6Addr::new(0xfd03, 0, 0, 0, 0, 0, 0, 5))];
const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 5);
/// Who sends what ends a sequence.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 1);

/// The number that the packet at this place of a sequence carries.
pub(crate) fn number_of(place: usize) -> u16 {
    place as u16 + 1
}

/// A packet and which way it goes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) direction: Direction,
    pub(crate) packet: Packet,
}

pub(crate) struct Rig {
    pub(crate) router: Host,
    /// By the direction of what they send: the remote end sends what is inbound.
    ends: [End; 2],
}

struct End {
    _host: Host,
    v4: FrameSocket,
    v6: FrameSocket,
    router: [u8; 6],
}

impl Rig {
    pub(crate) fn new(lab: Lab) -> Result<Self> {
        let router = lab.host("router")?;
        let ends = [
            End::new(lab, &router, OUTER, ["192.0.2", "fd01:"])?,
            End::new(lab, &router, INNER, ["198.51.100", "fd02:"])?,
        ];
        router.sysctl("net/ipv4/ip_forward", "1")?;
        router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        router.ip("route add 172.16.0.0/16 via 198.51.100.2\nroute add default via 192.0.2.2\n\
             route add fd03::/16 via fd02::2\nroute add default via fd01::2")?;
        Ok(Self { router, ends })
    }

    /// Sends one after the other and tells of each whether it arrived at the other end.
    pub(crate) fn run(&self, steps: &[Step]) -> Result<Vec<bool>> {
        let _one = OneCpu::pin()?;
        for (number, step) in steps.iter().enumerate() {
            self.ends[step.direction as usize].send(&step.packet, number_of(number))?;
        }
        let marks = [packet::last(FAR, LOCAL_V4), packet::last(LOCAL_V4, FAR)];
        for (end, mark) in self.ends.iter().zip(&marks) {
            end.send(mark, u16::MAX)?;
        }
        let arrived = RefCell::new(vec![false; steps.len()]);
        for (direction, end) in [(Direction::Egress, &self.ends[0]), (Direction::Ingress, &self.ends[1])] {
            let note = |frame: &[u8]| {
                let Some(number) = packet::number(frame).map(|number| usize::from(number) - 1) else {
                    return;
                };
                let mut arrived = arrived.borrow_mut();
                if steps.get(number).is_some_and(|step| step.direction == direction) {
                    arrived[number] = true;
                }
            };
            let ended = end.v4.hears(PATIENCE, |frame| {
                note(frame);
                packet::number(frame) == Some(u16::MAX)
            })?;
            ensure!(ended, "what ends a sequence did not arrive ({direction:?})");
            // Behind the mark nothing comes: what was sent before it came before it.
            end.v6.hears(Duration::ZERO, |frame| {
                note(frame);
                false
            })?;
        }
        Ok(arrived.into_inner())
    }

    /// Sends `packet`; what comes of it is for others to see.
    pub(crate) fn send(&self, step: &Step, number: u16) -> Result<()> {
        self.ends[step.direction as usize].send(&step.packet, number)
    }

    /// What an end receives of IPv4: the one that packets of this direction go to.
    pub(crate) fn receiver(&self, direction: Direction) -> &FrameSocket {
        &self.ends[direction.reversed() as usize].v4
    }

    /// The link addresses of what is sent in this direction: from, to.
    pub(crate) fn links(&self, direction: Direction) -> [[u8; 6]; 2] {
        self.ends[direction as usize].links()
    }
}

impl End {
    fn new(lab: Lab, router: &Host, device: &str, [v4, v6]: [&str; 2]) -> Result<Self> {
        let host = lab.host("end")?;
        host.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        lab.wire((router, device), (&host, "eth0"), 1500)?;
        router.address(device, &[&format!("{v4}.1/24"), &format!("{v6}:1/64")])?;
        let socket = |kind| FrameSocket::open(&host, "eth0", kind);
        let (ipv4, ipv6) = (socket(ethertype::IPV4)?, socket(ethertype::IPV6)?);
        let link: Vec<_> = ipv4.address().iter().map(|byte| format!("{byte:02x}")).collect();
        for address in [format!("{v4}.2"), format!("{v6}:2")] {
            router
                .ip(&format!("neigh add {address} lladdr {} dev {device} nud permanent", link.join(":")))?;
        }
        let device = FrameSocket::open(router, device, ethertype::IPV4)?.address();
        Ok(Self { _host: host, v4: ipv4, v6: ipv6, router: device })
    }

    fn links(&self) -> [[u8; 6]; 2] {
        [self.v4.address(), self.router]
    }

    fn send(&self, packet: &Packet, number: u16) -> Result<()> {
        let frame = packet.frame(self.links(), number);
        self.v4.send(&frame)
    }
}

/// Packets sent on one CPU are taken through all three hosts on that CPU, in order: each has one queue of what veth
/// devices received (`netif_rx`). It ends with the value.
struct OneCpu(CpuSet);

impl OneCpu {
    fn pin() -> Result<Self> {
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let first = (0..CpuSet::count()).find(|&cpu| before.is_set(cpu) == Ok(true)).context("no CPU")?;
        let mut one = CpuSet::new();
        one.set(first)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Self(before))
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        // The thread ends with the test.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
