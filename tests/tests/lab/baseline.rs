//! The lab without a filter: what the other tests see dropped would have arrived.

use anyhow::{Result, ensure};
use sg_tests::lab::{Datagrams, End, Family, FrameSocket, Lab, Outcome, PATIENCE, Pair, Service, Streams};

use crate::support::{
    routed::Routed,
    scene::{Client, Scene, Server, Stranger, Who, question},
    suite::Suite,
};

/// One of each kind.
pub(crate) const SERVICES: [Service; 6] = [
    Service::Tcp(80),
    Service::Udp(53),
    Service::Echo,
    Service::Sctp(3868),
    Service::Gre,
    Service::Other(200),
];

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("every_service_replies", every_service_replies);
    suite.add("closed_ports_refuse", closed_ports_refuse);
    suite.add("silence_is_seen", silence_is_seen);
    suite.add("pairs_exchange_both_ways", pairs_exchange_both_ways);
    suite.add("odd_frames_arrive", odd_frames_arrive);
    suite.add("path_mtu_is_discovered", |lab| {
        Family::ALL.into_iter().try_for_each(|family| Routed::new(lab)?.bulk_arrives(family))
    });
}

fn every_service_replies(lab: Lab) -> Result<()> {
    let scene = Scene::new(lab)?;
    for family in Family::ALL {
        for service in SERVICES {
            scene.asks(Client, Server, family, service, Outcome::Reply)?;
            scene.asks(Server, Stranger, family, service, Outcome::Reply)?;
        }
    }
    Ok(())
}

fn closed_ports_refuse(lab: Lab) -> Result<()> {
    let scene = Scene::new(lab)?;
    for family in Family::ALL {
        for service in [Service::Tcp(81), Service::Udp(54)] {
            scene.puts(Client, &question(Client, Server, family, service), Outcome::Refused)?;
        }
    }
    Ok(())
}

fn silence_is_seen(lab: Lab) -> Result<()> {
    let scene = Scene::new(lab)?;
    scene.host(Server).ip("link set eth0 down")?;
    for service in SERVICES {
        scene.puts(Client, &question(Client, Server, Family::V4, service), Outcome::Silent)?;
    }
    Ok(())
}

fn pairs_exchange_both_ways(lab: Lab) -> Result<()> {
    let scene = Scene::new(lab)?;
    let hosts: [_; 2] = [Client, Server].map(|who: Who| scene.host(who));
    for family in Family::ALL {
        let question_for = |service| question(Client, Server, family, service);
        let pairs: [Box<dyn Pair>; 2] = [
            Box::new(Streams::open(hosts[0], hosts[1], &question_for(Service::Tcp(80)))?),
            Box::new(Datagrams::open(hosts[0], hosts[1], &question_for(Service::Udp(53)))?),
        ];
        for mut pair in pairs {
            for end in End::ALL {
                pair.send(end)?;
                ensure!(pair.arrives(end.other(), PATIENCE)?, "{family}: nothing arrives from {end:?}");
            }
        }
    }
    Ok(())
}

fn odd_frames_arrive(lab: Lab) -> Result<()> {
    const EXPERIMENTAL: u16 = 0x88b5;
    let scene = Scene::new(lab)?;
    let server = FrameSocket::open(scene.host(Server), "eth0", EXPERIMENTAL)?;
    let client = FrameSocket::open(scene.host(Client), "eth0", EXPERIMENTAL)?;
    let mut frame = [server.address(), client.address()].concat();
    frame.extend(EXPERIMENTAL.to_be_bytes());
    client.send(&frame)?;
    ensure!(server.receives(PATIENCE, |received| received == frame)?, "the frame did not arrive");
    Ok(())
}
