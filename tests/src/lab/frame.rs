//! Raw Ethernet frames, for what no other socket would send.

use std::{
    io::Read as _,
    os::fd::{AsFd as _, AsRawFd as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{host::Host, wait::uninterrupted};

/// The maximum length of a frame: offloads merge up to this many bytes.
const LONGEST: usize = 64 * 1024;

/// Sends frames on a device, and receives those of one `EtherType`.
///
/// It does not receive what a filter drops on ingress: a socket for one `EtherType` comes after the hooks of traffic control
/// (`__netif_receive_skb_core` in net/core/dev.c), unlike one for all of them.
#[derive(Debug)]
pub struct FrameSocket {
    socket: Socket,
    address: [u8; 6],
}

impl FrameSocket {
    /// A socket on `device` of `host`.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn open(host: &Host, device: &str, ethertype: u16) -> Result<Self> {
        host.inside(|| {
            let link = link(device)?;
            let protocol = Protocol::from(i32::from(ethertype.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
            bind(socket.as_raw_fd(), &link)?;
            Ok(Self { socket, address: link.addr().context("no link address")? })
        })
        .with_context(|| format!("a packet socket on {device}"))
    }

    /// The link address of the device.
    #[must_use]
    pub fn address(&self) -> [u8; 6] {
        self.address
    }

    /// Sends `frame`, which begins with its Ethernet header.
    ///
    /// # Errors
    /// If the device does not take it. That an egress filter dropped it is no error.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        match self.socket.send(frame) {
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
            sent => sent.map(drop).context("cannot send the frame"),
        }
    }

    /// Whether a frame for which `is_it` is true arrives within `patience`.
    ///
    /// # Errors
    /// If the socket cannot be read.
    pub fn receives(&self, patience: Duration, is_it: impl Fn(&[u8]) -> bool) -> Result<bool> {
        let start = Instant::now();
        let mut buffer = vec![0; LONGEST];
        loop {
            match self.next(patience.saturating_sub(start.elapsed()), &mut buffer)? {
                Some(frame) if is_it(frame) => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// The next frame that arrives within `patience`, in `buffer`; a longer one is truncated.
    ///
    /// # Errors
    /// If the socket cannot be read.
    pub fn next<'a>(&self, patience: Duration, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
        let left = PollTimeout::try_from(patience)?;
        let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        if uninterrupted(|| Ok(poll(&mut ready, left)?))? == 0 {
            return Ok(None);
        }
        let length = uninterrupted(|| (&self.socket).read(buffer))?;
        Ok(Some(&buffer[..length]))
    }
}

/// The link address of a device in this thread's network. Bound to it, a socket keeps the `EtherType` with which it was created
/// (`packet_bind` in `net/packet/af_packet.c`).
fn link(device: &str) -> Result<LinkAddr> {
    let addresses = getifaddrs()?.filter(|found| found.interface_name == device);
    let mut links = addresses.filter_map(|found| found.address?.as_link_addr().copied());
    links.next().with_context(|| format!("no device {device}"))
}
