//! What the kernel reports about devices beyond their names and addresses (rtnetlink(7)): their kind, and the devices below them.
//! One request, one reply, no state. It must never change a device. Called by `xdp` if a driver refuses a program, and by the
//! agent's scan.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A network device.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    pub(super) mtu: Option<u32>,
    /// The kind of a virtual device, such as `veth`.
    pub(super) kind: Option<InfoKind>,
    /// The id of the attached XDP program.
    pub(super) program: Option<u32>,
    /// The bridge, bond, team or VRF that it is a port of.
    controller: Option<u32>,
    /// The device below it, in the same network namespace.
    below: Option<u32>,
}

impl Link {
    /// Pairs of a device and one that receives packets under the same Ethernet address through it: the bridge, bond or VRF of a
    /// port, VLAN devices, and ipvlans. A macvlan is not among them: it has an Ethernet address of its own.
    pub fn steps_up(&self) -> impl Iterator<Item = (u32, u32)> {
        let shares = matches!(self.kind, Some(InfoKind::Vlan | InfoKind::IpVlan));
        let on = self.below.filter(|_| shares).map(|below| (below, self.index));
        on.into_iter().chain(self.controller.map(|controller| (self.index, controller)))
    }

    fn of(message: LinkMessage) -> Self {
        let mut link = Self { index: message.header.index, ..Self::default() };
        let mut is_elsewhere = false;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = Some(mtu),
                LinkAttribute::Controller(index) => link.controller = Some(index),
                LinkAttribute::Link(index) => link.below = Some(index),
                // The index of the device below belongs to that namespace.
                LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = infos.into_iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind),
                        _ => None,
                    });
                }
                LinkAttribute::Xdp(about) => {
                    link.program = about.into_iter().find_map(|about| match about {
                        LinkXdp::ProgId(id)
                        | LinkXdp::DrvProgId(id)
                        | LinkXdp::SkbProgId(id)
                        | LinkXdp::HwProgId(id) => Some(id),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link.below = link.below.filter(|_| !is_elsewhere);
        link
    }
}

/// All devices of the network namespace.
///
/// # Errors
/// If the kernel does not report them.
pub fn all() -> io::Result<Vec<Link>> {
    ask(LinkMessage::default(), NLM_F_DUMP)
}

/// One device.
pub(super) fn one(index: u32) -> io::Result<Link> {
    let mut asked = LinkMessage::default();
    asked.header.index = index;
    ask(asked, 0)?.pop().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn ask(about: LinkMessage, flags: u16) -> io::Result<Vec<Link>> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(about));
    request.header.flags = NLM_F_REQUEST | flags;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let mut links = Vec::new();
    loop {
        let (reply, _) = socket.recv_from_full()?;
        let mut rest = &reply[..];
        while !rest.is_empty() {
            let length = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?.length() as usize;
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                    links.push(Link::of(link));
                }
                Ok(NetlinkPayload::Error(error)) => return Err(error.to_io()),
                Ok(NetlinkPayload::Done(_)) => return Ok(links),
                Ok(_) => {}
                // A newer kernel may report more than the library understands. One device less is better than none.
                Err(error) => tracing::debug!("what the kernel says of a device is not understood: {error}"),
            }
            // `NLMSG_ALIGN`, include/uapi/linux/netlink.h.
            rest = rest.get(length.max(1).next_multiple_of(4)..).unwrap_or_default();
        }
        if flags & NLM_F_DUMP == 0 {
            return Ok(links);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_loopback_is() {
        let lo = one(1).unwrap();
        assert!(lo.mtu.is_some_and(|mtu| mtu >= 1500), "{lo:?}");
        assert_eq!((lo.index, lo.program, &lo.kind, lo.steps_up().count()), (1, None, &None, 0));
        assert!(all().unwrap().contains(&lo));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert_eq!(one(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn a_device_leads_to_those_that_have_its_ethernet_address() {
        let link = |index, kind, attributes: &[LinkAttribute]| {
            let mut message = LinkMessage::default();
            message.header.index = index;
            message.attributes = attributes.to_vec();
            message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
            Link::of(message).steps_up().collect::<Vec<_>>()
        };
        let on = [LinkAttribute::Link(2)];
        let elsewhere = [LinkAttribute::Link(2), LinkAttribute::LinkNetNsId(0)];
        let in_bridge = [LinkAttribute::Link(2), LinkAttribute::Controller(3)];
        assert_eq!(link(7, InfoKind::Vlan, &on), [(2, 7)]);
        assert_eq!(link(7, InfoKind::IpVlan, &on), [(2, 7)]);
        assert_eq!(link(7, InfoKind::IpVlan, &elsewhere), []);
        assert_eq!(link(7, InfoKind::MacVlan, &on), []);
        assert_eq!(link(7, InfoKind::Veth, &in_bridge), [(7, 3)]);
        assert_eq!(link(7, InfoKind::Vlan, &in_bridge), [(2, 7), (7, 3)]);
    }
}
