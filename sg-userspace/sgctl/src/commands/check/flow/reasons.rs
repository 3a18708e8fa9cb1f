//! What decides where no rule does: a sentence for each reason, and what to do next. The sentences are those of
//! docs/use/exceptions.md, and must never say more than it. `mod.rs` calls it.

use sg_common::verdict::Reason;

/// What a reason means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Why the packet got its verdict.
    pub(super) why: &'static str,
    /// What to do about it.
    pub(super) next: &'static str,
}

/// What a reason means, by its word; `None`: rules and defaults, which the rules explain, and words that nobody knows.
#[expect(clippy::too_many_lines, reason = "an arm for each reason, so that none is forgotten")]
pub(super) fn meaning(word: &str) -> Option<Meaning> {
    let reason = Reason::ALL.into_iter().find(|reason| reason.name() == word)?;
    let (why, next) = match reason {
        Reason::Rule | Reason::IntraGroup | Reason::Default => return None,
        Reason::IcmpError => (
            "It is an ICMP error about an accepted flow, and passes without a rule.",
            "To stop it, stop the flow that it is about: revoke its rule, or delete it with `sgctl flows --delete`.",
        ),
        Reason::Arp => (
            "It is ARP, without which the NIC cannot reach its own network, and passes without a rule.",
            "Nothing: it cannot be switched off; anti-spoofing restricts from which addresses a NIC sends it.",
        ),
        Reason::NeighbourDiscovery => (
            "It is neighbour, router or multicast listener discovery of the link, and passes without a rule.",
            "Nothing: it cannot be switched off. What does not fit its narrow form meets the rules.",
        ),
        Reason::Dhcp => (
            "It belongs to an exchange of the NIC as a DHCP client, and passes without a rule.",
            "Nothing: it cannot be switched off. Replies of other servers meet the rules.",
        ),
        Reason::Decrypted => (
            "IPsec of this host decrypted it: the packet that carried it on the wire has been judged.",
            "To have such packets judged by the rules, set `ipsec: judge` on the NIC.",
        ),
        Reason::NamedFrame => (
            "It is a frame that is not IP, of a kind that the NIC names under `ethertypes`.",
            "To drop it, remove its kind from the NIC's `ethertypes`.",
        ),
        Reason::AntiSpoofing => (
            "The NIC sent from an address that is not one of its own, and anti-spoofing is on.",
            "If the address is the NIC's, add it to its `addresses` or `allowed_address_pairs`; if it routes for others, set \
             `anti_spoofing: false`. Otherwise find out what sends it.",
        ),
        Reason::Malformed => (
            "Its headers do not end within the packet or contradict themselves: a receiver would discard it, too.",
            "Look at the packet: `sgctl observe --reason malformed -w FILE.pcapng`. Rules are not evaluated for it.",
        ),
        Reason::NotIp => (
            "It is neither IPv4, IPv6 nor ARP, and the NIC does not name its kind.",
            "If the host needs such frames (LLDP, LACP, 802.1X), name them under `ethertypes` of the NIC.",
        ),
        Reason::Fragment => (
            "It is a fragment that does not follow an accepted first one in order: it has no ports to judge.",
            "Look whether the first fragment was dropped, and why. Fragments that come out of order are lost here.",
        ),
        Reason::FragmentOverlap => (
            "It is a fragment with bytes that came already, or a second first fragment of its datagram.",
            "Duplicates of a network are harmless. Overlaps on purpose are an attack: look at the sender.",
        ),
        Reason::TooManyHeaders => (
            "It has six or more IPv6 extension headers, more than are walked.",
            "Look at the packet: `sgctl observe --reason too-many-headers -w FILE.pcapng`. No usual sender makes it.",
        ),
        Reason::NoNic => (
            "The device runs the program but is no NIC in the tables: it may have gone to another network namespace.",
            "`sgctl status` lists the NICs that are in force. Detach what an earlier agent left: `sgctl detach`.",
        ),
        Reason::NoImage => (
            "The NIC had no policy image, so that everything was dropped.",
            "This should never count. Look at `sgctl status` and the log of sgd, and please report it.",
        ),
        Reason::ImageVersion => (
            "The NIC's image was written by another version of the program.",
            "This should never count. Restart sgd, and please report it.",
        ),
        Reason::ImageFault => (
            "The NIC's image is damaged: it leads nowhere.",
            "This should never count. Restart sgd, which writes the image again, and please report it.",
        ),
        Reason::VlanTag => (
            "A NIC with anti-spoofing sent a frame with a VLAN tag: it may send in its own network only.",
            "If the guest may use VLANs, set `anti_spoofing: false` on the NIC; otherwise look at the guest.",
        ),
        Reason::NeighbourSpoofing => (
            "A NIC with anti-spoofing sent ARP or a neighbour advertisement for an address that is not its own.",
            "If the address is the NIC's, as with VRRP, add it to its `allowed_address_pairs` with its `mac`.",
        ),
        Reason::RogueServer => (
            "A NIC with anti-spoofing replied as a DHCP server, or advertised itself as a router.",
            "If it is one, set `anti_spoofing: false` on the NIC; otherwise look at the guest.",
        ),
        Reason::MidStream => (
            "It is a TCP packet of no known flow that is not a SYN, and the policy says `mid_stream: strict`.",
            "A connection that is older than the filter, or idle for longer than its timeout, has to be opened again.",
        ),
        Reason::NotTakenOver => (
            "It is a TCP packet of no known flow that is not a SYN, and the rules of only one direction accept it; or \
             `sgctl flows --delete` ended its connection.",
            "The connection has to be opened again. Below is what a new one would get.",
        ),
        Reason::OwnSource => (
            "It came in from an address of the NIC itself: nobody else sends from there.",
            "If the address is another host's, too, there is a conflict. Where it is on purpose (IPVS, VRRP), set \
             `accept_own_source: true` on the NIC.",
        ),
        Reason::FlowTableFull => (
            "It passed, but the flow tables had no room for its flow: replies need a rule of their own.",
            "See `sgctl stats` for how full they are, and raise `--max-flows` of sgd.",
        ),
        Reason::FlowQuota => (
            "It passed, but the NIC has reached its quota of flows: replies need a rule of their own.",
            "`sgctl flows --nic NIC` shows what fills it; raise the quota, or end what is not needed.",
        ),
        Reason::HalfOpenEvicted => (
            "It counts half-open flows of the NIC that were evicted for newer ones; it is no verdict.",
            "Many of them are a flood: `sgctl observe --aggregate-by remote,port` shows from where.",
        ),
        Reason::RejectSent => (
            "It counts rejects that were sent for rejected packets; it is no verdict.",
            "The row of the rejected packet itself says which rule rejects it.",
        ),
        Reason::RejectRateLimited => (
            "It counts rejected packets whose sender was not told, because of the rate limit; it is no verdict.",
            "Nothing: the packet is dropped all the same. The row of the packet itself says which rule rejects it.",
        ),
    };
    Some(Meaning { why, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_without_a_rule_is_explained_and_on_the_page() {
        let page = include_str!("../../../../../../docs/use/exceptions.md");
        let mut explained = 0;
        for reason in Reason::ALL {
            let word = reason.name();
            match meaning(word) {
                None => assert!(["rule", "intra-group", "default"].contains(&word), "{word}"),
                Some(Meaning { why, next }) => {
                    explained += 1;
                    assert!(why.ends_with('.') && next.ends_with('.'), "{word}");
                    assert!(page.contains(&format!("`{word}`")), "{word} is not in docs/use/exceptions.md");
                }
            }
        }
        assert_eq!((explained, meaning("others")), (Reason::ALL.len() - 3, None));
    }
}
