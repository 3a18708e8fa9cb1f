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

/// A frame, and which way it goes.
pub(crate) type Sent = (Direction, Vec<u8>);

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
            End::new(lab, &router, INNER, ["100.64.0", "fd02:"])?,
        ];
        router.sysctl("net/ipv4/ip_forward", "1")?;
        // What claims to come from behind the other device is for the filter.
        for device in ["all", OUTER, INNER] {
            router.sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
        }
        router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        router.ip("route add 172.16.0.0/16 via 100.64.0.2\nroute add default via 192.0.2.2\n\
             route add fd03::/16 via fd02::2\nroute add default via fd01::2")?;
        Ok(Self { router, ends })
    }

    /// Sends one after the other and tells of each whether it arrived at the other end.
    pub(crate) fn run(&self, steps: &[Step]) -> Result<Vec<bool>> {
        let frame = |(number, step): (usize, &Step)| {
            (step.direction, step.packet.frame(self.links(step.direction), number_of(number)))
        };
        self.carry(&steps.iter().enumerate().map(frame).collect::<Vec<_>>())
    }

    /// The same of frames, which carry the numbers of their places. Behind them go marks, which the filter must let pass.
    pub(crate) fn carry(&self, frames: &[Sent]) -> Result<Vec<bool>> {
        let _one = OneCpu::pin()?;
        frames.iter().try_for_each(|(direction, frame)| self.ends[*direction as usize].send_frame(frame))?;
        let marks = [packet::last(FAR, LOCAL_V4), packet::last(LOCAL_V4, FAR)];
        for (end, mark) in self.ends.iter().zip(&marks) {
            end.send(mark, u16::MAX)?;
        }
        let arrived = RefCell::new(vec![false; frames.len()]);
        for (direction, end) in [(Direction::Egress, &self.ends[0]), (Direction::Ingress, &self.ends[1])] {
            let note = |frame: &[u8]| note(frames, direction, frame, &mut arrived.borrow_mut());
            let ended = end.v4.receives(PATIENCE, |frame| {
                note(frame);
                packet::number(frame) == Some(u16::MAX)
            })?;
            ensure!(ended, "what ends a sequence did not arrive ({direction:?})");
            // Behind the mark nothing comes: what was sent before it came before it.
            end.v6.receives(Duration::ZERO, |frame| {
                note(frame);
                false
            })?;
        }
        Ok(arrived.into_inner())
    }

    /// Sends frames, does `then`, and tells of each whether it arrived. It waits for those that are expected, and has no marks.
    pub(crate) fn carry_expected(
        &self,
        frames: &[Sent],
        expected: &[bool],
        then: impl FnOnce() -> Result<()>,
    ) -> Result<Vec<bool>> {
        {
            let _one = OneCpu::pin()?;
            frames
                .iter()
                .try_for_each(|(direction, frame)| self.ends[*direction as usize].send_frame(frame))?;
        }
        then()?;
        let arrived = RefCell::new(vec![false; frames.len()]);
        for direction in [Direction::Egress, Direction::Ingress] {
            let end = &self.ends[direction.reversed() as usize];
            for (socket, kind) in [(&end.v4, ethertype::IPV4), (&end.v6, ethertype::IPV6)] {
                let is_missing = |arrived: &[bool]| {
                    let mut due = frames.iter().zip(expected).zip(arrived);
                    due.any(|(((way, frame), expected), arrived)| {
                        *way == direction && frame[12..14] == kind.to_be_bytes() && *expected && !arrived
                    })
                };
                let note = |frame: &[u8]| {
                    let mut arrived = arrived.borrow_mut();
                    note(frames, direction, frame, &mut arrived);
                    !is_missing(&arrived)
                };
                if is_missing(&arrived.borrow()) {
                    socket.receives(PATIENCE, note)?;
                }
                socket.receives(Duration::ZERO, |frame| {
                    note(frame);
                    false
                })?;
            }
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
        self.send_frame(&packet.frame(self.links(), number))
    }

    fn send_frame(&self, frame: &[u8]) -> Result<()> {
        self.v4.send(frame)
    }
}

/// Notes that a frame which went this way arrived, where it is one of `frames`. What the router or a filter says itself may have the
/// number of one of them; it says something else.
fn note(frames: &[Sent], direction: Direction, received: &[u8], arrived: &mut [bool]) {
    let Some(place) = packet::number(received).map(|number| usize::from(number) - 1) else { return };
    if frames.get(place).is_some_and(|(way, sent)| *way == direction && is_forwarded(sent, received)) {
        arrived[place] = true;
    }
}

/// Whether one is the other behind a router, which changes the link addresses, the hop limit and the sum of the header.
fn is_forwarded(sent: &[u8], received: &[u8]) -> bool {
    let is_v4 = received[12..14] == ethertype::IPV4.to_be_bytes();
    let [hop_limit, sum] = if is_v4 { [22..23, 24..26] } else { [21..22, 0..0] };
    let is_changed = |place: usize| place < 12 || hop_limit.contains(&place) || sum.contains(&place);
    sent.len() == received.len()
        && (0..sent.len()).all(|place| is_changed(place) || sent[place] == received[place])
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
