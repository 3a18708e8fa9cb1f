//! The maximum packet sizes of a device, set by netlink: before 6.3, iproute2 can set them for IPv6 only.

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;

use super::host::Host;

impl Host {
    /// Lets `device` send and merge packets of up to `bytes`: with more than 64 KiB, BIG TCP.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn large_packets(&self, device: &str, bytes: u32) -> Result<()> {
        self.inside(|| {
            let mut link = LinkMessage::default();
            link.header.index = if_nametoindex(device)?;
            link.attributes = vec![
                LinkAttribute::GsoMaxSize(bytes),
                LinkAttribute::GroMaxSize(bytes),
                LinkAttribute::GsoIpv4MaxSize(bytes),
                LinkAttribute::GroIpv4MaxSize(bytes),
            ];
            let mut request = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
            request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
            request.finalize();
            let mut message = vec![0; request.buffer_len()];
            request.serialize(&mut message);
            let socket = Socket::new(NETLINK_ROUTE)?;
            socket.send_to(&message, &SocketAddr::new(0, 0), 0)?;
            let (reply, _) = socket.recv_from_full()?;
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply)?.payload {
                NetlinkPayload::Error(said) if said.code.is_none() => Ok(()),
                NetlinkPayload::Error(said) => Err(said.to_io().into()),
                other => bail!("no acknowledgement, but {other:?}"),
            }
        })
        .with_context(|| format!("packets of {bytes} bytes on {device}"))
    }
}
