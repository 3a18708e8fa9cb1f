//! The verdict of anti-spoofing on what a guest sends, as far as a probe can represent it. A probe comes from the Ethernet
//! address paired with its source ([`sg_model::Nic::pairs`]).

use std::net::IpAddr;

use sg_common::verdict::Reason;
use sg_model::Nic;
use sg_probe::{Content, Ends, Probe};

/// Why no guest may send this packet, whatever its addresses.
pub(super) fn never(probe: &Probe) -> Option<Reason> {
    const UDP: u8 = 17;
    const ICMPV6: u8 = 58;
    let v6 = matches!(probe.ends(), Ends::V6 { .. });
    match (probe.protocol(), probe.content()) {
        (UDP, Content::Ports { source: 67, destination: 68 }) if !v6 => Some(Reason::RogueServer),
        (UDP, Content::Ports { source: 547, destination: 546 })
        | (ICMPV6, Content::Icmp { kind: 134, .. })
            if v6 =>
        {
            Some(Reason::RogueServer)
        }
        // An advertisement that contains no address.
        (ICMPV6, Content::Icmp { kind: 136, .. }) if v6 => Some(Reason::Malformed),
        _ => None,
    }
}

/// Whether the NIC may not send from `source`. The unspecified address is always foreign, whatever is allowed.
pub(super) fn is_foreign(source: IpAddr, nic: &Nic) -> bool {
    source.is_unspecified() || !nic.pairs().any(|(net, _)| net.contains(&source))
}

/// Whether the sender has no address yet, or has a link-local one that is not configured.
pub(super) fn asks_for_itself(source: IpAddr, nic: &Nic) -> bool {
    let link_local = matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local());
    source.is_unspecified() || link_local && nic.senders.mac.is_none()
}
