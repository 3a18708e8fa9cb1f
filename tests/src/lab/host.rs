//! A host: a network namespace with a name.

use std::{
    fmt,
    fs::{self, File},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use super::{enter::Lab, ip};

/// Keeps a host from sending packets of its own, or makes it send them at once, during setup: counters count what tests send.
/// Addresses need no duplicate address detection, no router is solicited, groups are joined within 10 ms.
const CALM: [(&str, &str); 4] = [
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/mldv2_unsolicited_report_interval", "10"),
];

/// A host of the lab. It is removed when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct Host(Arc<Namespace>);

#[derive(Debug)]
struct Namespace {
    name: String,
    /// Its name in `ip netns`: that of the host and a number, since tests run side by side.
    netns: String,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody receives an error here, and the lab removes everything in the end.
        let _ = ip::batch(None, &format!("netns del {}", self.netns));
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Lab {
    /// A new host with a loopback device, and without the background traffic of IPv6 (see `CALM`).
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn host(self, name: &str) -> Result<Host> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let netns = format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        ip::batch(None, &format!("netns add {netns}"))?;
        let host = Host(Arc::new(Namespace { name: name.into(), netns }));
        host.ip("link set lo up")?;
        for (parameter, value) in CALM {
            host.sysctl(parameter, value)?;
        }
        Ok(host)
    }

    /// Creates a wire between two new devices: `(host, device)` at each end, both up, with this MTU.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn wire(self, one: (&Host, &str), other: (&Host, &str), mtu: u16) -> Result<()> {
        let (near, far) = (one.1, other.1);
        one.0.ip(&format!(
            "link add {near} mtu {mtu} type veth peer name {far} mtu {mtu} netns {}\nlink set {near} up",
            other.0.netns()
        ))?;
        other.0.ip(&format!("link set {far} up"))
    }
}

impl Host {
    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name of its network namespace, for `ip netns`.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.0.netns
    }

    /// Runs `ip` commands in it, one a line.
    ///
    /// # Errors
    /// The commands, and the error output of `ip`.
    pub fn ip(&self, commands: &str) -> Result<()> {
        ip::batch(Some(self.netns()), commands)
    }

    /// Adds addresses, with prefix lengths, to a device.
    ///
    /// # Errors
    /// If the device does not take one.
    pub fn address(&self, device: &str, addresses: &[&str]) -> Result<()> {
        let commands: Vec<_> =
            addresses.iter().map(|address| format!("address add {address} dev {device}")).collect();
        self.ip(&commands.join("\n"))
    }

    /// Writes a kernel parameter of its network, named by its path below `/proc/sys`.
    ///
    /// # Errors
    /// If there is no such parameter or it does not take the value.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        self.inside(|| {
            fs::write(format!("/proc/sys/{path}"), value)
                .with_context(|| format!("cannot set {path}={value}"))
        })
    }

    /// Runs `work` in this host's network. Sockets and processes that it creates stay there.
    ///
    /// # Errors
    /// Those of `work`, and if the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.netns());
        thread::scope(|scope| {
            // A separate thread: a namespace belongs to a thread, and this one ends in it.
            let work = scope.spawn(move || {
                let netns = File::open(&path).with_context(|| format!("cannot open {path}"))?;
                setns(netns, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {path}"))?;
                work()
            });
            work.join().map_err(|_| anyhow!("the work panicked"))?
        })
        .with_context(|| format!("on host {self}"))
    }

    /// Starts a process in this host's network.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.inside(|| {
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
        })
    }
}
