//! Clients of DHCP as hosts run them, with a server as networks run it, through a filter that accepts nothing: each gets its
//! address, keeps it, and finds another network.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    ifaddrs::getifaddrs,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use sg_tests::lab::{Agent, Attach, Host, Lab, Lan, Options};

use crate::support::{scene::Role, suite::Suite};

/// A client waits some seconds between its questions.
const PATIENCE: Duration = Duration::from_secs(25);

const CLOSED: &str = "
groups:
  closed:
    inner_access: drop
    egress:
      - { action: drop, protocol: all }
nics:
  - { device: DEVICE, groups: [closed] }
";

/// The filter sits on the client's NIC, or at the host end of it, where nobody knows the address that it will have.
fn closed(role: Role) -> String {
    CLOSED.replace(
        "device: DEVICE",
        match role {
            Role::Host => "device: eth0",
            Role::Guest => "device: client, role: guest, addresses: []",
        },
    )
}

/// What a client runs when it has an address, or has none any more.
const SCRIPT: &str = "#!/bin/sh
case \"$1$reason\" in
    bound|renew|BOUND|RENEW|REBIND|REBOOT)
        ip address replace ${ip:-$new_ip_address}/24 dev $interface
        ip route replace 10.99.0.0/24 via 10.77.0.2 dev $interface ;;
    BOUND6) ip address replace $new_ip6_address/128 dev $interface ;;
esac
exit 0
";

/// A client, by its command line; all of it in a mount namespace of its own, with what it must not leave behind.
#[derive(Clone, Copy)]
struct Client {
    name: &'static str,
    command: &'static str,
}

const DHCLIENT: &str = "exec dhclient -4 -d -sf $PWD/script -lf $PWD/lease -pf $PWD/pid -cf /dev/null eth0";

const CLIENTS: [Client; 4] = [
    Client { name: "udhcpc", command: "exec udhcpc -i eth0 -f -t 20 -T 1 -s $PWD/script" },
    Client { name: "dhclient", command: DHCLIENT },
    Client {
        name: "dhcpcd",
        command: "mount -t tmpfs none /var/lib && mkdir /var/lib/dhcpcd && mount -t tmpfs none /run &&
            exec dhcpcd -4 -B -d --noipv4ll -f /dev/null -c /bin/true eth0",
    },
    Client {
        name: "networkd",
        // Where /sys is read-only, nobody waits for udev.
        command: "mount -t tmpfs none /run && mkdir -p /run/systemd/network /run/systemd/netif/links \
            /run/systemd/netif/leases /run/systemd/netif/lldp && chmod -R 777 /run/systemd &&
            umount -l /sys && mount -t sysfs -o ro none /sys &&
            printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' \
            > /run/systemd/network/eth0.network && PATH=$PATH:/lib/systemd exec systemd-networkd",
    },
];

pub(crate) fn tests(suite: &mut Suite) {
    for role in Role::ALL {
        // Clients wait for seconds. Which of the ways at tc it is, `dhcp` looks at.
        let ways: &[Attach] = match role {
            Role::Host => &[Attach::Auto, Attach::Xdp],
            Role::Guest => &[Attach::Auto],
        };
        for client in CLIENTS {
            let name = format!("{}_gets_an_address_{role}", client.name);
            suite.over(ways, &name, move |lab, attach| gets_an_address(lab, attach, role, client));
        }
        suite.over(ways, &format!("another_network_is_found_{role}"), move |lab, attach| {
            another_network_is_found(lab, attach, role)
        });
        suite.over(ways, &format!("dhcpv6_gives_an_address_{role}"), move |lab, attach| {
            dhcpv6_gives_an_address(lab, attach, role)
        });
        suite.over(ways, &format!("an_older_lease_is_kept_{role}"), move |lab, attach| {
            an_older_lease_is_kept(lab, attach, role)
        });
    }
}

/// A process of a host and what it says. Dropped, it and its children are killed.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(host: &Host, what: &str, command: &str) -> Result<Self> {
        let directory = PathBuf::from(format!("/run/lab/{}/{what}", host.netns()));
        fs::create_dir_all(&directory)?;
        let script = directory.join("script");
        fs::write(&script, SCRIPT)?;
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let log = directory.join("log");
        let out = File::create(&log)?;
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", command]).current_dir(&directory).stdin(Stdio::null());
        shell.stdout(out.try_clone()?).stderr(out);
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        Ok(Self { child: host.spawn(&mut shell)?, log })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it ended by itself there is nobody to be told.
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A network without the client's address: who filters, the client's host and the server's.
struct Network {
    /// Gone, it would take the wires along.
    _lan: Lan,
    agent_on: Host,
    client: Host,
    server: Host,
}

impl Network {
    fn new(lab: Lab, role: Role) -> Result<Self> {
        let lan = lab.lan()?;
        let client = lan.host("client", &[])?;
        let server = lan.host("server", &["10.77.0.2/24", "fd77::2/64"])?;
        let agent_on = match role {
            Role::Host => client.clone(),
            Role::Guest => lan.switch().clone(),
        };
        Ok(Self { _lan: lan, agent_on, client, server })
    }

    fn filter(&self, attach: Attach, role: Role) -> Result<Agent> {
        Agent::start(&self.agent_on, &closed(role), Options::from(attach)).context("starting the agent")
    }
}

/// A server that gives addresses of `ranges`.
fn serves(host: &Host, ranges: &[&str]) -> Result<Running> {
    let mut command = "exec dnsmasq --keep-in-foreground --log-facility=- --log-dhcp --conf-file=/dev/null \
        --no-resolv --no-hosts --no-ping --port=0 --interface=eth0 --bind-interfaces --dhcp-authoritative \
        --dhcp-leasefile=$PWD/leases --pid-file=$PWD/pid --user=root"
        .to_owned();
    for range in ranges {
        command.push(' ');
        command.push_str(range);
    }
    let server = Running::start(host, "dnsmasq", &command)?;
    until("the server", &[&server], || Ok(server.said().contains("started")))?;
    Ok(server)
}

/// Waits until `done`; what `who` said is part of the error.
fn until(what: &str, who: &[&Running], mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > PATIENCE {
            let said: Vec<_> = who.iter().map(|who| who.said()).collect();
            bail!("waited in vain: {what}\n{}", said.join("\n---\n"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the client has an address that begins so.
fn has(client: &Host, prefix: &str) -> Result<bool> {
    client.inside(|| {
        let addresses = getifaddrs()?.filter(|found| found.interface_name == "eth0");
        Ok(addresses.filter_map(|found| found.address).any(|address| {
            let v4 = || Some(IpAddr::V4(address.as_sockaddr_in()?.ip()));
            let v6 = || Some(IpAddr::V6(address.as_sockaddr_in6()?.ip()));
            v4().or_else(v6).is_some_and(|address| address.to_string().starts_with(prefix))
        }))
    })
}

const RANGE: &str = "--dhcp-range=10.77.0.100,10.77.0.150,1h";

fn gets_an_address(lab: Lab, attach: Attach, role: Role, client: Client) -> Result<()> {
    let network = Network::new(lab, role)?;
    let agent = network.filter(attach, role)?;
    let server = serves(&network.server, &[RANGE])?;
    let running = Running::start(&network.client, client.name, client.command)?;
    until("an address", &[&running, &server], || has(&network.client, "10.77.0.1"))?;
    // Discover, offer, request, acknowledgement.
    let dhcp = agent.stats()?.reason("dhcp");
    ensure!(dhcp >= 4, "{dhcp} packets of DHCP");
    Ok(())
}

/// A lease of a network where the client is no more: its request is refused, and it asks anew.
fn another_network_is_found(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let network = Network::new(lab, role)?;
    let _agent = network.filter(attach, role)?;
    let server = serves(&network.server, &[RANGE])?;
    let lease = r#"lease {
  interface "eth0";
  fixed-address 192.0.2.9;
  option subnet-mask 255.255.255.0;
  option dhcp-lease-time 864000;
  option dhcp-message-type 5;
  option dhcp-server-identifier 192.0.2.1;
  renew never;
  rebind never;
  expire never;
}
"#;
    let command = format!("printf '%s' '{lease}' > lease && {DHCLIENT}");
    let client = Running::start(&network.client, "dhclient", &command)?;
    // When it says so, the lease is in its file.
    until("an address", &[&client, &server], || {
        Ok(has(&network.client, "10.77.0.1")? && client.said().contains("bound to"))
    })?;
    let said = client.said();
    ensure!(said.contains("DHCPNAK"), "it was not refused:\n{said}");
    // The same lease once more: it asks for what it had, and gets it at once.
    drop(client);
    network.client.ip("address flush dev eth0 scope global")?;
    let command = format!("cp ../dhclient/lease lease && {DHCLIENT}");
    let client = Running::start(&network.client, "again", &command)?;
    until("its address", &[&client, &server], || has(&network.client, "10.77.0.1"))?;
    let said = client.said();
    ensure!(!said.contains("DHCPDISCOVER"), "it asked anew:\n{said}");
    Ok(())
}

fn dhcpv6_gives_an_address(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let network = Network::new(lab, role)?;
    let agent = network.filter(attach, role)?;
    let server = serves(&network.server, &["--dhcp-range=fd77::1:100,fd77::1:150,64,1h"])?;
    let client = Running::start(&network.client, "dhclient", &DHCLIENT.replace("-4", "-6"))?;
    until("an address", &[&client, &server], || has(&network.client, "fd77::1:1"))?;
    let dhcp = agent.stats()?.reason("dhcp");
    ensure!(dhcp >= 4, "{dhcp} packets of DHCP");
    Ok(())
}

/// A lease from before the filter, of a server behind a relay. Nobody knows that server, so the client cannot ask it
/// directly; in time it asks everybody, and keeps its address. From then on it can.
fn an_older_lease_is_kept(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let network = Network::new(lab, role)?;
    let far = lab.host("far")?;
    lab.wire((&network.server, "eth1"), (&far, "eth0"), 1500)?;
    network.server.address("eth1", &["10.99.0.1/24"])?;
    network.server.sysctl("net/ipv4/ip_forward", "1")?;
    far.address("eth0", &["10.99.0.2/24"])?;
    far.ip("route add default via 10.99.0.1")?;
    // The shortest lease of this server is two minutes; it says when to renew and when to rebind.
    let range = "--dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,2m \
        --dhcp-option-force=option:T1,3 --dhcp-option-force=option:T2,6";
    let server = serves(&far, &[range])?;
    let relay = "exec dnsmasq --keep-in-foreground --log-facility=- --log-dhcp --conf-file=/dev/null --no-resolv \
        --no-hosts --port=0 --pid-file=$PWD/pid --user=root --dhcp-relay=10.77.0.2,10.99.0.2";
    let relay = Running::start(&network.server, "relay", relay)?;
    let client = Running::start(&network.client, "dhclient", DHCLIENT)?;
    let all = [&client, &relay, &server];
    until("an address", &all, || has(&network.client, "10.77.0.1"))?;
    let bound = |said: &str| said.matches("bound to").count();
    let agent = network.filter(attach, role)?;
    let before = client.said();
    let new = || client.said()[before.len()..].to_owned();
    until("asking everybody", &all, || Ok(new().contains("to 255.255.255.255") && bound(&new()) > 0))?;
    ensure!(has(&network.client, "10.77.0.1")?, "the address is lost:\n{}", client.said());
    ensure!(!new().contains("DHCPDISCOVER"), "it asked anew:\n{}", new());
    // Now it is known who gives addresses here, and asked by itself.
    let before = client.said();
    let new = || client.said()[before.len()..].to_owned();
    until("asking that server", &all, || Ok(bound(&new()) > 0))?;
    ensure!(!new().contains("to 255.255.255.255"), "it asked everybody:\n{}", new());
    let dhcp = agent.stats()?.reason("dhcp");
    ensure!(dhcp >= 4, "{dhcp} packets of DHCP");
    Ok(())
}
