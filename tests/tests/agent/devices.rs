//! Devices that come and go.

use anyhow::{Context as _, Result};
use sg_tests::lab::{Attach, Family, Lab, Outcome, Question, SILENCE, Service, ask, respond, until};

use crate::support::{
    scene::{Client, Role, Scene, Server, web},
    suite::Suite,
};

const WEB: Service = Service::Tcp(80);
const SSH: Service = Service::Tcp(22);
const RULES: &str = "ingress: [{ protocol: tcp, ports: 80 }]";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "one_that_appears_is_attached", one_that_appears_is_attached);
    suite.over(&Attach::RECEIVED, "one_that_comes_back_is_attached", one_that_comes_back_is_attached);
}

/// Waits until the client gets to the server's 80 at `address`, and not to its 22.
fn filtered_at(scene: &Scene, address: &str) -> Result<()> {
    let (to, from) = (address.parse()?, Client.address(Family::V4));
    let _web = respond(scene.host(Server), to, WEB)?;
    let _ssh = respond(scene.host(Server), to, SSH)?;
    let client = scene.host(Client);
    // The address has moved to another device.
    client.ip("neighbour flush dev eth0")?;
    until("80 is open and 22 is not", || {
        let asked = |service| ask(client, &Question::new(from, to, service), SILENCE);
        Ok(asked(WEB)? == Outcome::Reply && asked(SSH)? == Outcome::Silent)
    })
}

fn one_that_appears_is_attached(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let policy = web(Role::Host, RULES).replace("device: eth0", "device: eth1");
    let _agent = scene.agent(Role::Host, attach, &policy)?;
    scene
        .asks(Client, Server, Family::V4, SSH, Outcome::Reply)
        .context("the other device is not filtered")?;
    // One at a time has the address: the reply takes the way of the request.
    scene.host(Server).ip("link set eth0 down")?;
    scene.lan.plug(scene.host(Server), "eth1", "second")?;
    scene.host(Server).address("eth1", &["10.77.0.11/24"])?;
    filtered_at(&scene, "10.77.0.11")
}

fn one_that_comes_back_is_attached(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let _agent = scene.agent(Role::Host, attach, &web(Role::Host, RULES))?;
    for _ in 0..2 {
        filtered_at(&scene, "10.77.0.1")?;
        scene.host(Server).ip("link delete eth0")?;
        scene.lan.plug(scene.host(Server), "eth0", "server")?;
        scene.host(Server).address("eth0", &["10.77.0.1/24"])?;
    }
    filtered_at(&scene, "10.77.0.1")
}
