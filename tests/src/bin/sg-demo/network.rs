//! The demonstration's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use sg_tests::lab::{Family, Host, Lab, Lan};

pub(crate) const PICTURE: &str = "
  client-a 10.77.0.2 fd77::2 ───┐
  an administrator, in the      ├─ switch ─── eth0 [filter] server 10.77.0.1 fd77::1
  office                        │
  client-b 10.77.0.3 fd77::3 ───┘
  a stranger";

/// Who is there; the number is the last of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Server = 1,
    ClientA = 2,
    ClientB = 3,
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ClientA => "client-a",
            Self::ClientB => "client-b",
        }
    }

    pub(crate) fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 77, 0, self as u8).into(),
            Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self as u16).into(),
        }
    }
}

pub(crate) struct Network {
    pub(crate) server: Host,
    client_a: Host,
    client_b: Host,
    /// The switch goes when it is dropped.
    _lan: Lan,
}

impl Network {
    pub(crate) fn build(lab: Lab) -> Result<Self> {
        let lan = lab.lan()?;
        let host = |who: Who| {
            let [v4, v6] = Family::ALL.map(|family| who.address(family));
            lan.host(who.name(), &[&format!("{v4}/24"), &format!("{v6}/64")])
        };
        let (server, client_a, client_b) = (host(Who::Server)?, host(Who::ClientA)?, host(Who::ClientB)?);
        Ok(Self { server, client_a, client_b, _lan: lan })
    }

    pub(crate) fn host(&self, who: Who) -> &Host {
        match who {
            Who::Server => &self.server,
            Who::ClientA => &self.client_a,
            Who::ClientB => &self.client_b,
        }
    }
}
