//! Replies of an accepted flow pass, whatever the other direction's rules say; what only looks like a reply
//! does not.

use anyhow::{Result, ensure};
use sg_tests::{
    lab::{Agent, Attach, End, Family, Lab, Outcome, PATIENCE, Pair as _, Question, Service, Streams},
    packet::{SYN, TCP, UDP, ip, tcp, udp},
};

use crate::support::{
    forwarding::{ForwardingPath, unreachable},
    routed::Routed,
    scene::{Client, Counted, Role, Server, counts, filtered, over_roles, question, web},
    suite::Suite,
};

/// Inbound is open, outbound is shut.
const REPLIES_ONLY: &str = "
ingress:
  - { id: tcp-in, protocol: tcp, ports: 80 }
  - { id: udp-in, protocol: udp, ports: 54 }
  - { id: ping-in, protocol: icmp, icmp_type: 8 }
  - { id: ping6-in, protocol: icmpv6, icmp_type: 128 }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";

/// Outbound is open, by default; inbound is shut, by default.
const ASKS_ONLY: &str = "description: no rules";

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "a_pinged_peer_may_not_ping", a_pinged_peer_may_not_ping);
    over_roles(suite, "a_syn_on_the_tuple_of_a_connection_is_judged", a_syn_on_the_tuple_is_judged);
    over_roles(suite, "an_error_about_a_flow_passes", an_error_about_a_flow_passes);
    over_roles(suite, "an_error_about_no_flow_is_dropped", an_error_about_no_flow_is_dropped);
    for family in Family::ALL {
        suite.each(&format!("path_mtu_is_discovered_{family}"), move |lab, attach| {
            path_mtu_is_discovered(lab, attach, family)
        });
    }
}

fn a_pinged_peer_may_not_ping(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, REPLIES_ONLY))?;
    for family in Family::ALL {
        let ping = Question { source_port: 77, ..question(Client, Server, family, Service::Echo) };
        scene.puts(Client, &ping, Outcome::Reply)?;
        let back = Question { source_port: 77, ..question(Server, Client, family, Service::Echo) };
        counts(&agent, Counted::Rule("nothing-out"), 1..=1, || scene.puts(Server, &back, Outcome::Silent))?;
    }
    Ok(())
}

fn a_syn_on_the_tuple_is_judged(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, REPLIES_ONLY))?;
    for family in Family::ALL {
        let ask = Question { source_port: 40_000, ..question(Client, Server, family, Service::Tcp(80)) };
        let mut streams = Streams::open(scene.host(Client), scene.host(Server), &ask)?;
        let path = ForwardingPath::ip(&scene, Server, Client, family)?;
        counts(&agent, Counted::Rule("nothing-out"), 1..=1, || {
            let back = path.frame(&path.packet(TCP, &tcp([80, 40_000], [0, 0], SYN)));
            ensure!(!path.carries(&back, false)?, "{family}: a SYN the other way passed");
            Ok(())
        })?;
        // The connection does not suffer from it.
        streams.send(End::Responder)?;
        ensure!(streams.arrives(End::Initiator, PATIENCE)?, "{family}: the connection was lost");
    }
    Ok(())
}

fn an_error_about_a_flow_passes(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, REPLIES_ONLY))?;
    for family in Family::ALL {
        // The server has nobody at this port, and its error goes out, where nothing else may.
        counts(&agent, Counted::Reason("icmp-error"), 1..=1, || {
            scene.puts(Client, &question(Client, Server, family, Service::Udp(54)), Outcome::Refused)
        })?;
    }
    agent.apply(&web(role, ASKS_ONLY))?;
    for family in Family::ALL {
        counts(&agent, Counted::Reason("icmp-error"), 1..=1, || {
            scene.puts(Server, &question(Server, Client, family, Service::Udp(55)), Outcome::Refused)
        })?;
    }
    Ok(())
}

fn an_error_about_no_flow_is_dropped(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, ASKS_ONLY))?;
    for family in Family::ALL {
        let [server, client] = [Server, Client].map(|who| who.address(family));
        let never_sent = ip([server, client], UDP, 64, &udp([4000, 53], b"never sent"));
        let path = ForwardingPath::ip(&scene, Client, Server, family)?;
        let protocol = Service::Echo.protocol(family);
        let error = path.frame(&path.packet(protocol, &unreachable(family, &never_sent)));
        counts(&agent, Counted::Default("ingress"), 1..=1, || {
            ensure!(!path.carries(&error, false)?, "{family}: an error about no flow arrived");
            Ok(())
        })?;
    }
    Ok(())
}

fn path_mtu_is_discovered(lab: Lab, attach: Attach, family: Family) -> Result<()> {
    let routed = Routed::new(lab)?;
    let agent = Agent::start(&routed.server, &web(Role::Host, REPLIES_ONLY), attach.into())?;
    counts(&agent, Counted::Reason("icmp-error"), 1.., || routed.bulk_arrives(family))
}
