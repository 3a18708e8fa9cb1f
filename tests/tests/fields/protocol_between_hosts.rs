//! Accepted where a rule accepts, silent where none does, and the rule's counter moved by what was sent:
//! every kind of packet, both families, directions and roles.

use anyhow::{Context as _, Result};
use sg_tests::lab::{Attach, Family, Lab, Outcome, Service};

use crate::{
    lab::baseline::SERVICES,
    support::{
        scene::{Client, Counted, Role, Server, Stranger, counts, filtered, over_roles, web},
        suite::Suite,
    },
};

/// The client may ask for each service and be asked for each; the stranger for nothing. Neither direction lets
/// replies pass by its rules.
const RULES: &str = "
ingress:
  - { id: in-tcp, protocol: tcp, ports: 80, remote: { prefix_list: client } }
  - { id: in-udp, protocol: udp, ports: 53, remote: { prefix_list: client } }
  - { id: in-echo-v4, protocol: icmp, icmp_type: 8, remote: { prefix_list: client } }
  - { id: in-echo-v6, protocol: icmpv6, icmp_type: 128, remote: { prefix_list: client } }
  - { id: in-sctp, protocol: sctp, ports: 3868, remote: { prefix_list: client } }
  - { id: in-gre, protocol: gre, remote: { prefix_list: client } }
  - { id: in-other, protocol: 200, remote: { prefix_list: client } }
egress:
  - { id: out-tcp, protocol: tcp, ports: 80, remote: { prefix_list: client } }
  - { id: out-udp, protocol: udp, ports: 53, remote: { prefix_list: client } }
  - { id: out-echo-v4, protocol: icmp, icmp_type: 8, remote: { prefix_list: client } }
  - { id: out-echo-v6, protocol: icmpv6, icmp_type: 128, remote: { prefix_list: client } }
  - { id: out-sctp, protocol: sctp, ports: 3868, remote: { prefix_list: client } }
  - { id: out-gre, protocol: gre, remote: { prefix_list: client } }
  - { id: out-other, protocol: 200, remote: { prefix_list: client } }
  - { id: nothing-else-out, action: drop, priority: 100, protocol: all }
";
const CLIENT: &str = "\nprefix_lists: { client: [10.77.0.2, \"fd77::2\"] }\n";

const DROP_EVERYTHING: &str = "
ingress:
  - { id: nothing-in, action: drop, protocol: all }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";

pub(crate) fn tests(suite: &mut Suite) {
    for role in Role::ALL {
        for family in Family::ALL {
            suite.over(role.ways(), &format!("inbound_{role}_{family}"), move |lab, attach| {
                inbound(lab, attach, role, family)
            });
            suite.over(role.ways(), &format!("outbound_{role}_{family}"), move |lab, attach| {
                outbound(lab, attach, role, family)
            });
        }
    }
    over_roles(suite, "each_program_drops", each_program_drops);
}

fn inbound(lab: Lab, attach: Attach, role: Role, family: Family) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &(web(role, RULES) + CLIENT))?;
    for service in SERVICES {
        let rule = rule("in", service, family);
        counts(&agent, Counted::Rule(&rule), packets(service), || {
            scene.asks(Client, Server, family, service, Outcome::Reply)
        })
        .with_context(|| format!("{service}, which a rule accepts"))?;
        counts(&agent, Counted::Default("ingress"), 1..=1, || {
            scene.asks(Stranger, Server, family, service, Outcome::Silent)
        })
        .with_context(|| format!("{service}, which no rule accepts"))?;
    }
    Ok(())
}

fn outbound(lab: Lab, attach: Attach, role: Role, family: Family) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &(web(role, RULES) + CLIENT))?;
    for service in SERVICES {
        let rule = rule("out", service, family);
        counts(&agent, Counted::Rule(&rule), packets(service), || {
            scene.asks(Server, Client, family, service, Outcome::Reply)
        })
        .with_context(|| format!("{service}, which a rule accepts"))?;
        counts(&agent, Counted::Rule("nothing-else-out"), 1..=1, || {
            scene.asks(Server, Stranger, family, service, Outcome::Silent)
        })
        .with_context(|| format!("{service}, which a rule drops"))?;
    }
    Ok(())
}

/// The id of the rule in [`RULES`].
fn rule(direction: &str, service: Service, family: Family) -> String {
    match service {
        Service::Tcp(_) => format!("{direction}-tcp"),
        Service::Udp(_) => format!("{direction}-udp"),
        Service::Echo => format!("{direction}-echo-{family}"),
        Service::Sctp(_) => format!("{direction}-sctp"),
        Service::Gre => format!("{direction}-gre"),
        Service::Other(_) => format!("{direction}-other"),
    }
}

/// What a request with its reply counts: the packets of its flow, both ways. A connection has three to open, two
/// with data, and some more.
fn packets(service: Service) -> std::ops::RangeInclusive<u64> {
    match service {
        Service::Tcp(_) => 5..=20,
        _ => 2..=2,
    }
}

fn each_program_drops(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, DROP_EVERYTHING))?;
    for family in Family::ALL {
        for service in SERVICES {
            counts(&agent, Counted::Rule("nothing-in"), 1..=1, || {
                scene.asks(Client, Server, family, service, Outcome::Silent)
            })?;
            counts(&agent, Counted::Rule("nothing-out"), 1..=1, || {
                scene.asks(Server, Client, family, service, Outcome::Silent)
            })?;
        }
    }
    Ok(())
}
