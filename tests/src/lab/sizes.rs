//! The maximum packet sizes of a device, set by netlink: before 6.3, iproute2 can set them for IPv6 only.

use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

use super::host::Host;

const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
/// rtnetlink(7).
const RTM_SETLINK: u16 = 19;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const HEADER: usize = 16;
/// `IFLA_{GSO,GRO}_MAX_SIZE` and those of IPv4 (`include/uapi/linux/if_link.h`).
const ATTRIBUTES: [u16; 4] = [41, 58, 63, 64];

impl Host {
    /// Lets `device` send and merge packets of up to `bytes`: with more than 64 KiB, BIG TCP.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn large_packets(&self, device: &str, bytes: u32) -> Result<()> {
        self.inside(|| {
            let index = if_nametoindex(device)?.cast_signed();
            let mut message = Vec::new();
            let length = HEADER + 16 + ATTRIBUTES.len() * 8;
            message.extend((length as u32).to_ne_bytes());
            message.extend(RTM_SETLINK.to_ne_bytes());
            message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
            message.extend([0; 8]);
            // The device's `struct ifinfomsg`, of which nothing else is set.
            message.extend([0; 4]);
            message.extend(index.to_ne_bytes());
            message.extend([0; 8]);
            for attribute in ATTRIBUTES {
                message.extend(8_u16.to_ne_bytes());
                message.extend(attribute.to_ne_bytes());
                message.extend(bytes.to_ne_bytes());
            }
            let kind = (Domain::from(AF_NETLINK), Type::RAW, Protocol::from(NETLINK_ROUTE));
            let mut socket = Socket::new(kind.0, kind.1, Some(kind.2))?;
            socket.send(&message)?;
            let mut answer = [0; 512];
            let length = socket.read(&mut answer)?;
            let error = answer[..length].get(HEADER..HEADER + 4).context("a short answer")?;
            ensure!(error == [0; 4], "error {}", i32::from_ne_bytes(error.try_into()?));
            Ok(())
        })
        .with_context(|| format!("packets of {bytes} bytes on {device}"))
    }
}
