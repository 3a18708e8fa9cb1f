//! `family` with the stacks of real hosts: the flows of one family go on while those of the other end, when a change says so.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use sg_tests::lab::{Attach, Family, Lab, PATIENCE, SILENCE};

use super::dscp_between_hosts::{arrives, datagrams};
use crate::support::{
    scene::{Client, Role, Server, filtered, over_roles, web},
    suite::Suite,
};

const BOTH: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004 }
";
const ONLY_V4: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004, family: ipv4 }
";
const ONLY_V6: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004, family: ipv6 }
";

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "a_flow_is_judged_again_by_its_family", by_its_family);
}

fn by_its_family(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, BOTH))?;
    let mut flows = Vec::new();
    for family in Family::ALL {
        let server = datagrams(scene.host(Server), SocketAddr::new(Server.address(family), 5004))?;
        let client = datagrams(scene.host(Client), SocketAddr::new(Client.address(family), 4_000))?;
        ensure!(arrives(&client, &server, PATIENCE)?, "{family}: the rule is about both");
        ensure!(arrives(&server, &client, PATIENCE)?, "{family}: so is the reply");
        flows.push((family, client, server));
    }
    agent.apply(&web(role, ONLY_V4))?;
    for (family, client, server) in &flows {
        let (lives, patience) = match family {
            Family::V4 => (true, PATIENCE),
            Family::V6 => (false, SILENCE),
        };
        ensure!(arrives(server, client, patience)? == lives, "{family}: only IPv4 goes on, outbound");
        ensure!(arrives(client, server, patience)? == lives, "{family}: only IPv4 goes on, inbound");
    }
    agent.apply(&web(role, ONLY_V6))?;
    for (family, client, server) in &flows {
        if *family == Family::V4 {
            ensure!(!arrives(client, server, SILENCE)?, "now the flow of IPv4 is revoked");
            continue;
        }
        let another = datagrams(scene.host(Client), SocketAddr::new(Client.address(*family), 4_002))?;
        ensure!(arrives(&another, server, PATIENCE)?, "and IPv6 begins anew");
    }
    Ok(())
}
