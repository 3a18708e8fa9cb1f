//! A server and a client with two routers between them, and a wire between the routers that takes less than
//! theirs: neither end can know the path's MTU unless a router tells it.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Shutdown},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{End, Family, Host, Lab, PATIENCE, Question, Service, Streams};

const WIDE: u16 = 1500;
/// Above the 1280 that IPv6 asks of every wire.
const NARROW: u16 = 1300;
const BULK: usize = 512 * 1024;

pub(crate) struct Routed {
    pub(crate) server: Host,
    pub(crate) client: Host,
    _routers: [Host; 2],
}

impl Routed {
    pub(crate) fn new(lab: Lab) -> Result<Self> {
        let [server, near, far, client] = ["server", "near", "far", "client"].map(|name| lab.host(name));
        let (server, near, far, client) = (server?, near?, far?, client?);
        for router in [&near, &far] {
            router.sysctl("net/ipv4/ip_forward", "1")?;
            router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        let wires = [
            ((&server, "eth0"), (&near, "eth0"), WIDE),
            ((&near, "eth1"), (&far, "eth1"), NARROW),
            ((&far, "eth0"), (&client, "eth0"), WIDE),
        ];
        for (number, (one, other, mtu)) in wires.into_iter().enumerate() {
            lab.wire(one, other, mtu)?;
            let ends = |end| [format!("10.78.{number}.{end}/24"), format!("fd78:{number}::{end}/64")];
            for ((host, device), end) in [(one, 1), (other, 2)] {
                host.address(device, &ends(end).each_ref().map(String::as_str))?;
            }
        }
        let route = |host: &Host, v4: &str, v6: &str| {
            host.ip(&format!("route add default via {v4}\nroute add default via {v6}"))
        };
        route(&server, "10.78.0.2", "fd78:0::2")?;
        route(&near, "10.78.1.2", "fd78:1::2")?;
        route(&far, "10.78.1.1", "fd78:1::1")?;
        route(&client, "10.78.2.1", "fd78:2::1")?;
        Ok(Self { server, client, _routers: [near, far] })
    }

    /// The client connects, and the server sends it more than a few packets' worth.
    pub(crate) fn bulk_arrives(&self, family: Family) -> Result<()> {
        let [server, client]: [IpAddr; 2] = match family {
            Family::V4 => ["10.78.0.1".parse()?, "10.78.2.2".parse()?],
            Family::V6 => ["fd78:0::1".parse()?, "fd78:2::2".parse()?],
        };
        let streams =
            Streams::open(&self.client, &self.server, &Question::new(client, server, Service::Tcp(80)))?;
        let (mut sender, mut receiver) = (streams.socket(End::Responder), streams.socket(End::Initiator));
        receiver.set_read_timeout(Some(PATIENCE))?;
        sender.set_write_timeout(Some(PATIENCE))?;
        let received = thread::scope(|scope| {
            let sending = scope.spawn(move || {
                sender.write_all(&vec![0x5a; BULK])?;
                sender.shutdown(Shutdown::Write)
            });
            let mut bulk = Vec::new();
            receiver.read_to_end(&mut bulk).context("the client waits for data in vain")?;
            sending.join().map_err(|_| anyhow!("the sender panicked"))??;
            anyhow::Ok(bulk.len())
        })
        .with_context(|| format!("{family}, over a path narrower than either end knows"))?;
        ensure!(received == BULK, "{received} of {BULK} bytes arrived");
        Ok(())
    }
}
