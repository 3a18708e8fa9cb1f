//! One NIC.

use ipnet::IpNet;
use sg_model::{
    AddressPair, AllowedSources, DeviceFacts, Ethertype, Hook, Ipsec, Mac, Nic, NoEthertype, Role,
};

use super::{
    address::address,
    error::Notice,
    lowering::Lowering,
    node::{Node, Value},
    problem::Problem,
    read::{Keys, Read},
};

const KEYS: Keys = Keys {
    allowed: &[
        "device",
        "role",
        "addresses",
        "mac",
        "allowed_address_pairs",
        "anti_spoofing",
        "accept_own_source",
        "dhcp_servers",
        "hook",
        "ipsec",
        "ethertypes",
        "groups",
    ],
    meant: &[
        ("interface", "device"),
        ("iface", "device"),
        ("ifname", "device"),
        ("dev", "device"),
        ("name", "device"),
        ("nic", "device"),
        ("ip", "addresses"),
        ("ips", "addresses"),
        ("ip_addresses", "addresses"),
        ("mac_address", "mac"),
        ("address_pairs", "allowed_address_pairs"),
        ("security_groups", "groups"),
        ("port_security", "anti_spoofing"),
        ("type", "role"),
    ],
};

const PAIR_KEYS: Keys =
    Keys { allowed: &["address", "mac"], meant: &[("ip_address", "address"), ("mac_address", "mac")] };

const ROLES: &[(&str, Role)] = &[("host", Role::Host), ("guest", Role::Guest)];

const HOOKS: &[(&str, Hook)] = &[("tc", Hook::Tc), ("xdp", Hook::Xdp)];

const IPSEC: &[(&str, Ipsec)] = &[("pass", Ipsec::Pass), ("judge", Ipsec::Judge)];

const ADDRESSES: &str =
    "write a list of addresses; leave the key out for those of the device, write [] for none";

const MAC: &str = "write the Ethernet address of the NIC, such as 02:00:00:00:00:05";

const PAIRS: &str = "write a list of addresses or CIDRs, or of { address: …, mac: … }";

const SERVERS: &str = "write a list of the addresses of DHCP servers, [192.0.2.53]";

const ETHERTYPES: &str = "write a list of kinds of frames that are not IP, [lldp, stp, 0x8915]";

const GROUPS: &str =
    "write a list of 1 to 10 groups (of type closed, 1 to 100), the first has the highest priority";

/// The longest device name: IFNAMSIZ minus the final NUL.
const LONGEST_DEVICE: usize = 15;

impl<'d> Lowering<'d> {
    pub(super) fn nic(&mut self, node: &'d Node) -> Nic {
        let fields = self.fields(node, &KEYS);
        let device = self.required(fields, "device", "write the name of a network device, such as eth0");
        let device = device.and_then(|device| self.keep(device_name(device))).unwrap_or_default();
        let role = self.field(fields, "role", |_, role| role.one_of(ROLES)).unwrap_or(Role::Host);
        let addresses = self.field(fields, "addresses", |me, node| match &node.value {
            Value::List(_) => me.each(node, ADDRESSES, |_, item| address(item)),
            _ => Err(node.unfit(ADDRESSES)),
        });
        if role == Role::Guest && fields.get("addresses").is_none() {
            self.warn(node, Notice::GuestWithoutAddresses { device: device.to_owned() });
        }
        let groups = self.required(fields, "groups", GROUPS);
        let groups = groups.map(|groups| self.each(groups, GROUPS, |me, group| me.groups.find(group)));
        let groups = groups.and_then(|groups| self.keep(groups)).unwrap_or_default();
        Nic {
            precedence: self.precedence,
            established: self.established,
            mid_stream: self.mid_stream,
            takeover: self.takeover,
            default: self.default,
            device: device.to_owned(),
            role,
            addresses_from_device: addresses.is_none(),
            device_facts: DeviceFacts::default(),
            addresses: addresses.unwrap_or_default(),
            anti_spoofing_written: self.field(fields, "anti_spoofing", |_, node| node.boolean()),
            dhcp_servers: self
                .field(fields, "dhcp_servers", |me, node| me.each(node, SERVERS, |_, item| address(item)))
                .unwrap_or_default(),
            accept_own_source: self
                .field(fields, "accept_own_source", |_, node| node.boolean())
                .unwrap_or_default(),
            senders: AllowedSources {
                mac: self.field(fields, "mac", |_, node| mac(node)),
                allowed_address_pairs: self
                    .field(fields, "allowed_address_pairs", |me, node| me.each(node, PAIRS, Self::pair))
                    .unwrap_or_default(),
            },
            hook: self.field(fields, "hook", |_, hook| hook.one_of(HOOKS)).unwrap_or_default(),
            ipsec_written: self.field(fields, "ipsec", |_, ipsec| ipsec.one_of(IPSEC)),
            ethertypes: self
                .field(fields, "ethertypes", |me, node| me.each(node, ETHERTYPES, Self::ethertype))
                .unwrap_or_default(),
            groups,
        }
    }

    /// `lldp`, or a number, which need not be quoted.
    fn ethertype(&mut self, node: &'d Node) -> Read<'d, Ethertype> {
        let read = match &node.value {
            Value::Text(text) => text.parse(),
            Value::Integer(number) => match u16::try_from(*number) {
                Ok(number) => Ethertype::new(number),
                Err(_) => Err(NoEthertype::Length),
            },
            _ => Err(NoEthertype::Unknown),
        };
        let ethertype = read.map_err(|why| node.fails(Problem::Ethertype { found: node.excerpt(), why }))?;
        if let Some(carrier) = ethertype.carrier() {
            self.warn(node, Notice::Carrier(carrier));
        }
        Ok(ethertype)
    }

    /// `10.0.0.9`, or `{ address: 10.0.0.9, mac: … }`.
    fn pair(&mut self, node: &'d Node) -> Read<'d, AddressPair> {
        if let Value::Text(_) = node.value {
            return Ok(AddressPair { address: self.prefix(node, PAIRS)?, mac: None });
        }
        let fields = self.fields(node, &PAIR_KEYS);
        let address = self.required(fields, "address", PAIRS);
        let mac = self.field(fields, "mac", |_, node| mac(node));
        // Without an address the failure is known, and this one is never used.
        let address = address.map_or(Ok(IpNet::default()), |address| self.prefix(address, PAIRS))?;
        Ok(AddressPair { address, mac })
    }
}

fn mac(node: &Node) -> Read<'_, Mac> {
    node.text()?.parse().map_err(|_| node.unfit(MAC))
}

/// A name that Linux accepts for a device: `dev_valid_name` in net/core/dev.c.
pub(super) fn device_name(node: &Node) -> Read<'_, &str> {
    let name = node.text()?;
    let fits = (1..=LONGEST_DEVICE).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace());
    if fits { Ok(name) } else { Err(node.fails(Problem::DeviceName { found: node.excerpt() })) }
}
