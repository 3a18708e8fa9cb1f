//! A NIC that accepts nothing may ask for an address of its own.

use crate::support::scenario::{Ends, Judge, Nftables, Packet, Role, Scenario, WEB, from, to};

/// Who has no address yet, and everybody on the link who may have one to give.
const NOBODY: Ends = ["0.0.0.0", "fe80::77"];
const SERVERS: Ends = ["255.255.255.255", "ff02::1:2"];

const QUESTIONS: &[Packet] = &[
    to(SERVERS).at(NOBODY).udp(67).source_port(68).v4().is("accept by dhcp"),
    to(SERVERS).at(NOBODY).udp(547).source_port(546).v6().is("accept by dhcp"),
    to(SERVERS).at(NOBODY).udp(67).source_port(69).v4().is("drop by rule nothing of group web"),
    to(SERVERS).at(NOBODY).udp(548).source_port(546).v6().is("drop by rule nothing of group web"),
    // No question preceded it.
    from(["10.77.0.1", "fe80::1"]).udp(68).source_port(67).v4().is("drop by rule nobody of group web"),
];

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_closed_nic_asks_for_one",
    policy: "
groups:
  web:
    inner_access: drop
    ingress: [{ id: nobody, action: drop, protocol: all }]
    egress: [{ id: nothing, action: drop, protocol: all }]",
    nic: "groups: [web]",
    roles: &[Role::Host],
    packets: QUESTIONS,
    nftables: Nftables::Without("it has no exceptions: each would be a rule of its own"),
    except: &[(Judge::Wire, "no router forwards what is for the link; `dhcp.rs` sends it between two hosts")],
    ..WEB
}];
