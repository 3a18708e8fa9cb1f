//! One NIC.

use super::{
    address::address,
    error::Notice,
    lower::Lowering,
    node::{Node, Value},
    problem::Problem,
    read::Read,
};
use crate::model::{
    AddressPair, AllowedSources, DeviceFacts, Ethertype, Hook, Ipsec, Mac, Nic, NoEthertype, Role,
};

const KEYS: &[&str] = &[
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
];

const ROLES: &[(&str, Role)] = &[("host", Role::Host), ("guest", Role::Guest)];

const HOOKS: &[(&str, Hook)] = &[(Hook::Tc.name(), Hook::Tc), (Hook::Xdp.name(), Hook::Xdp)];

const IPSEC: &[(&str, Ipsec)] = &[(Ipsec::Pass.name(), Ipsec::Pass), (Ipsec::Judge.name(), Ipsec::Judge)];

const ADDRESSES: &str =
    "write a list of addresses; leave the key out for those of the device, write [] for none";

const MAC: &str = "write the Ethernet address of the NIC, such as 02:00:00:00:00:05";

const PAIRS: &str = "write a list of addresses or CIDRs, or of { address: …, mac: … }";

const SERVERS: &str = "write a list of the addresses of DHCP servers, [192.0.2.53]";

const ETHERTYPES: &str = "write a list of kinds of frames that are not IP, [lldp, stp, 0x8915]";

const GROUPS: &str = "write a list of 1 to 10 groups, the first has the highest priority";

/// The longest device name: IFNAMSIZ minus the final NUL.
const LONGEST_DEVICE: usize = 15;

impl<'d> Lowering<'d> {
    pub(super) fn nic(&mut self, node: &'d Node) -> Read<'d, Nic> {
        let fields = node.fields(KEYS)?;
        let device = fields.required("device", "write the name of a network device, such as eth0")?;
        let device = device_name(device)?;
        let role = fields.read("role", |role| role.one_of(ROLES))?.unwrap_or(Role::Host);
        let addresses = fields.read("addresses", |node| match &node.value {
            Value::List(items) => items.iter().map(address).collect(),
            _ => Err(node.unfit(ADDRESSES)),
        })?;
        if role == Role::Guest && addresses.is_none() {
            self.warn(node, Notice::GuestWithoutAddresses { device: device.to_owned() });
        }
        let groups = fields.required("groups", GROUPS)?.items(GROUPS)?;
        Ok(Nic {
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
            anti_spoofing_written: fields.read("anti_spoofing", Node::boolean)?,
            dhcp_servers: fields
                .read("dhcp_servers", |node| node.items(SERVERS)?.map(address).collect::<Result<_, _>>())?
                .unwrap_or_default(),
            accept_own_source: fields.read("accept_own_source", Node::boolean)?.unwrap_or_default(),
            senders: AllowedSources {
                mac: fields.read("mac", mac)?,
                allowed_address_pairs: fields
                    .read("allowed_address_pairs", |node| {
                        node.items(PAIRS)?.map(|pair| self.pair(pair)).collect::<Result<_, _>>()
                    })?
                    .unwrap_or_default(),
            },
            hook: fields.read("hook", |hook| hook.one_of(HOOKS))?.unwrap_or_default(),
            ipsec_written: fields.read("ipsec", |ipsec| ipsec.one_of(IPSEC))?,
            ethertypes: fields
                .read("ethertypes", |node| {
                    node.items(ETHERTYPES)?.map(|kind| self.ethertype(kind)).collect::<Result<_, _>>()
                })?
                .unwrap_or_default(),
            groups: groups.map(|group| self.groups.find(group)).collect::<Result<_, _>>()?,
        })
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
        let fields = node.fields(&["address", "mac"])?;
        let address = fields.required("address", PAIRS)?;
        Ok(AddressPair { address: self.prefix(address, PAIRS)?, mac: fields.read("mac", mac)? })
    }
}

fn mac(node: &Node) -> Read<'_, Mac> {
    node.text()?.parse().map_err(|_| node.unfit(MAC))
}

/// A name that Linux accepts for a device: `dev_valid_name` in net/core/dev.c.
fn device_name(node: &Node) -> Read<'_, &str> {
    let name = node.text()?;
    let fits = (1..=LONGEST_DEVICE).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace());
    if fits { Ok(name) } else { Err(node.fails(Problem::DeviceName { found: node.excerpt() })) }
}
