//! A stack with the wire that frames come by: who sends them, who receives them, and the marks that tell when all of a
//! batch went through.

use std::{
    io::Read as _,
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    address::{GATEWAYS, RECEIVERS, SOURCES, case_of, mark},
    frames::{Family, Link, Packet, frame, number, transport::flags},
    lab::{Host, Lab},
    receiver::{Arrivals, Receiver, roomy},
    rules::{icmp, written},
    seen::{By, Seen},
    story::{Case, Step},
};

/// The device at either end of the wire.
pub const DEVICE: &str = "eth0";
const MTU: u16 = 1500;
/// How long a mark may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a stack is not as Linux has it by default: no lie may cost it memory for longer than a second or so, no limit on
/// replies may hide what arrived, and no half-open connections may hold up others.
const RECEIVING: [(&str, &str); 14] = [
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/tcp_syncookies", "2"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/ipfrag_high_thresh", "268435456"),
    ("net/ipv4/ipfrag_low_thresh", "268435456"),
    ("net/ipv4/ipfrag_time", "2"),
    ("net/ipv4/ipfrag_max_dist", "0"),
    ("net/ipv6/ip6frag_high_thresh", "268435456"),
    ("net/ipv6/ip6frag_low_thresh", "268435456"),
    ("net/ipv6/ip6frag_time", "2"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// Two hosts and the wire between them.
pub struct Stack {
    /// Who sends the frames. It has no addresses, and says nothing by itself.
    pub sender: Host,
    /// Who receives them.
    pub receiver: Host,
    sockets: Receiver,
    frames: Socket,
    replies: [Socket; 2],
    /// The Ethernet addresses of the frames.
    pub link: Link,
    marked: u64,
}

impl Stack {
    /// Makes the two.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn new(lab: Lab) -> Result<Self> {
        let (sender, receiver) = (lab.host("sender")?, lab.host("receiver")?);
        sender.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        for (parameter, value) in RECEIVING {
            // A high threshold must not be below a low one: whichever comes first.
            receiver.sysctl(parameter, value)?;
        }
        lab.wire((&receiver, DEVICE), (&sender, DEVICE), MTU)?;
        receiver.address(DEVICE, &[&format!("{}/24", RECEIVERS[0]), &format!("{}/64", RECEIVERS[1])])?;
        let frames = packet_socket(&sender, 0)?;
        let link = Link { from: address_of(&sender)?, to: address_of(&receiver)? };
        for (gateway, sources) in GATEWAYS.iter().zip(SOURCES) {
            receiver.ip(&format!(
                "neigh add {gateway} lladdr {} dev {DEVICE} nud permanent\nroute add {sources} via {gateway}",
                written(link.from)
            ))?;
        }
        let replies = [packet_socket(&sender, 0x0800)?, packet_socket(&sender, 0x86dd)?];
        let sockets = Receiver::open(&receiver)?;
        Ok(Self { sender, receiver, sockets, frames, replies, link, marked: 0 })
    }

    /// Sends all frames of these cases and tells what arrived.
    ///
    /// # Errors
    /// Where a frame cannot be sent, or a mark does not arrive.
    pub fn run<'a>(&mut self, cases: impl IntoIterator<Item = &'a Case>) -> Result<Arrivals> {
        for case in cases {
            for step in &case.steps {
                match step {
                    Step::Frame(frame) => self.send(&self.addressed(frame))?,
                    Step::Reply(packet) => self.sockets.send(case.ends.reversed(), packet)?,
                }
            }
        }
        self.wait()?;
        let mut arrivals = Arrivals::new();
        self.sockets.drain(&mut arrivals)?;
        self.drain_replies(&mut arrivals)?;
        Ok(arrivals)
    }

    /// The frame with the Ethernet addresses of this wire in the place of those of no wire.
    fn addressed(&self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        if frame.len() >= 12 {
            if frame[..6] == [0; 6] {
                frame[..6].copy_from_slice(&self.link.to);
            }
            if frame[6..12] == [0; 6] {
                frame[6..12].copy_from_slice(&self.link.from);
            }
        }
        frame
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        match self.frames.send(frame) {
            // A filter on the way out dropped it.
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
            sent => sent.map(drop).with_context(|| format!("cannot send {} bytes", frame.len())),
        }
    }

    /// Waits until all that was sent has gone through: a mark that is sent behind it has arrived.
    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut buffer = [0; 128];
        loop {
            self.marked += 1;
            let packet = Packet::new(mark(), number::MARK, self.marked.to_be_bytes().to_vec());
            self.send(&frame(self.link, &[], packet.kind(), &packet.bytes(), &[]))?;
            let sent = Instant::now();
            while sent.elapsed() < Duration::from_secs(1) {
                let mut ready = [PollFd::new(self.sockets.marks().as_fd(), PollFlags::POLLIN)];
                if poll(&mut ready, PollTimeout::from(1000_u16))? == 0 {
                    continue;
                }
                let length = self.sockets.marks().read(&mut buffer)?;
                if length >= 28 && buffer[20..28] == self.marked.to_be_bytes() {
                    return Ok(());
                }
            }
            ensure!(start.elapsed() < PATIENCE, "a mark did not arrive");
        }
    }

    /// The replies of the stack, which show what it received.
    fn drain_replies(&self, arrivals: &mut Arrivals) -> Result<()> {
        let mut buffer = vec![0; 2048];
        for (socket, family) in self.replies.iter().zip(Family::ALL) {
            loop {
                let length = match nix::sys::socket::recv(
                    socket.as_raw_fd(),
                    &mut buffer,
                    nix::sys::socket::MsgFlags::empty(),
                ) {
                    Ok(length) => length,
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error).context("the sender's socket"),
                };
                if let Some((case, seen)) = seen_by_reply(family, &buffer[..length]) {
                    arrivals.entry(case).or_default().push(seen);
                }
            }
        }
        Ok(())
    }
}

/// What the receiver must have received to reply so.
fn seen_by_reply(family: Family, frame: &[u8]) -> Option<(u32, Seen)> {
    let (to, protocol, bytes) = match family {
        Family::V4 => {
            let to: [u8; 4] = frame.get(30..34)?.try_into().ok()?;
            (to.into(), frame[23], frame.get(14 + usize::from(frame[14] & 0x0f) * 4..)?)
        }
        Family::V6 => {
            let to: [u8; 16] = frame.get(38..54)?.try_into().ok()?;
            (to.into(), frame[20], frame.get(54..)?)
        }
    };
    let case = case_of(to)?;
    let seen = |bytes: Vec<u8>| Seen { by: By::Reply, family, protocol, hop_limit: None, bytes };
    let refused = |bytes: &[u8]| Seen { by: By::Refusal, ..seen(bytes.to_vec()) };
    if protocol == number::TCP && bytes.get(13)? & 0x17 == flags::SYN | flags::ACK {
        let mut asked = vec![0; 14];
        asked[..2].copy_from_slice(&bytes[2..4]);
        asked[2..4].copy_from_slice(&bytes[..2]);
        asked[13] = flags::SYN;
        return Some((case, seen(asked)));
    }
    if protocol == number::TCP && bytes.get(13)? & flags::RST != 0 {
        return Some((case, refused(&bytes[..20.min(bytes.len())])));
    }
    if protocol != icmp(family) || bytes.len() < 8 {
        return None;
    }
    let asked = match (family, bytes[0]) {
        (Family::V4, 0) => 8,
        (Family::V6, 129) => 128,
        (Family::V6, 136) => 135,
        // Administratively prohibited, as a filter says it.
        (Family::V4, 3) if bytes[1] == 13 => return Some((case, refused(bytes))),
        (Family::V6, 1) if bytes[1] == 1 => return Some((case, refused(bytes))),
        _ => return None,
    };
    let mut asked = vec![asked, 0, 0, 0];
    asked.extend(&bytes[4..8]);
    Some((case, seen(asked)))
}

fn packet_socket(host: &Host, kind: u16) -> Result<Socket> {
    host.inside(|| {
        let protocol = Protocol::from(i32::from(kind.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
        roomy(&socket)?;
        bind(socket.as_raw_fd(), &link_of()?)?;
        socket.set_nonblocking(kind != 0)?;
        Ok(socket)
    })
}

fn address_of(host: &Host) -> Result<[u8; 6]> {
    host.inside(|| link_of()?.addr().context("no Ethernet address"))
}

fn link_of() -> Result<LinkAddr> {
    let mut found = getifaddrs()?.filter(|found| found.interface_name == DEVICE);
    found.find_map(|found| found.address?.as_link_addr().copied()).context("no device")
}
