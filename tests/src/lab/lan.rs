//! A LAN: hosts on one switch.

use std::fs;

use anyhow::Result;

use super::{enter::Lab, host::Host};

const MTU: u16 = 1500;
/// Present where `br_netfilter` is loaded, which drops what it cannot parse before our filter sees it.
const NETFILTER: &str = "net/bridge";

/// Hosts on one switch, which is a bridge in its own namespace.
#[derive(Clone, Debug)]
pub struct Lan {
    lab: Lab,
    switch: Host,
}

impl Lab {
    /// A new LAN without hosts.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn lan(self) -> Result<Lan> {
        let switch = self.host("switch")?;
        // The switch must not send packets itself.
        switch.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        if switch.inside(|| Ok(fs::exists(format!("/proc/sys/{NETFILTER}/bridge-nf-call-iptables"))?))? {
            for hook in ["iptables", "ip6tables", "arptables"] {
                switch.sysctl(&format!("{NETFILTER}/bridge-nf-call-{hook}"), "0")?;
            }
        }
        switch.ip("link add bridge type bridge stp_state 0 mcast_snooping 0\nlink set bridge up")?;
        Ok(Lan { lab: self, switch })
    }
}

impl Lan {
    /// The host whose network has the switch and its ports.
    #[must_use]
    pub fn switch(&self) -> &Host {
        &self.switch
    }

    /// A new host, on the LAN with its device `eth0`. The port of the switch has the host's name.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn host(&self, name: &str, addresses: &[&str]) -> Result<Host> {
        let host = self.lab.host(name)?;
        self.plug(&host, "eth0", name)?;
        host.address("eth0", addresses)?;
        Ok(host)
    }

    /// Creates a device and a port, and connects them.
    ///
    /// # Errors
    /// If either cannot be created.
    pub fn plug(&self, host: &Host, device: &str, port: &str) -> Result<()> {
        self.lab.wire((host, device), (&self.switch, port), MTU)?;
        self.switch.ip(&format!("link set {port} master bridge"))
    }
}
