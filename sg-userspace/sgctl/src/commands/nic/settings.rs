//! The settings of a NIC as arguments: those of a new one, and those that change.

use std::net::IpAddr;

use sg_api_types::{ModifyNic, RegisterNic};
use sg_model::{AddressPair, AllowedSources, Ethertype, Ipsec, Mac};
use sg_records::{GroupType, Hook, NicType, Role};

use crate::args::{
    label::{LabelChangeArgs, NewLabelArgs},
    values::{named, parse_bool},
};

/// What a new NIC is, beside its label and place.
#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Id, `eni-…`. Default: generated.
    #[arg(long)]
    id: Option<String>,
    /// Region; with --vpc the VPC's region. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC. Default: the instance's, or the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Id or name of the instance that the NIC belongs to.
    #[arg(long, value_name = "INSTANCE")]
    attached_to: Option<String>,
    /// Device on this host; a NIC without one is on another host.
    #[arg(long)]
    device: Option<String>,
    /// Owner of the device: this host, or the guest behind it.
    #[arg(long, value_enum, default_value = "host")]
    role: Role,
    /// Private address. May be repeated. Default: those configured on the device.
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Whether outbound packets need one of its addresses as their source. Default: no for host, yes for guest.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    anti_spoofing: Option<bool>,
    /// Whether the rules judge inbound packets from its own addresses; otherwise they are dropped. Default: no.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    accept_own_source: Option<bool>,
    /// DHCP server that it may contact directly, besides those of its networks and those that gave it an address. May be
    /// repeated.
    #[arg(long = "dhcp-server", value_name = "ADDRESS", value_delimiter = ',')]
    dhcp_servers: Vec<IpAddr>,
    /// Ethernet address, which anti-spoofing then checks too.
    #[arg(long)]
    mac: Option<Mac>,
    /// Allowed address pair: an address besides its own that it may send from. May be repeated.
    #[arg(long = "allow-pair", value_name = "CIDR[=MAC]", value_delimiter = ',')]
    pairs: Vec<AddressPair>,
    /// Where received packets are judged: after the kernel has built a packet buffer (tc), or before, in the driver (xdp).
    #[arg(long, value_enum, default_value = "tc")]
    hook: Hook,
    /// Whether decrypted IPsec packets pass or are judged. Default: pass on NICs of role host.
    #[arg(long, value_enum)]
    ipsec: Option<Ipsec>,
    /// EtherType of non-IP frames that pass both ways: lldp, eapol, lacp, stp, ptp, or a number such as 0x8915. May be
    /// repeated.
    #[arg(long = "ethertype", value_name = "KIND", value_delimiter = ',')]
    ethertypes: Vec<Ethertype>,
    /// In the classic network: internet or intranet.
    #[arg(long, value_enum, value_name = "NETWORK", default_value = "intranet")]
    nic_type: NicType,
    /// Id or name of a group. May be repeated; the first has the highest priority. Default: the default group, created if missing.
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
    /// Type of the default group, without --group: basic, or closed, which is one for the region. Default: basic.
    #[arg(long, value_enum, value_name = "TYPE", conflicts_with = "groups")]
    default_type: Option<GroupType>,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
pub(crate) struct Modify {
    /// Id, name or device.
    #[arg(value_parser = named())]
    pub(crate) nic: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// Device on this host; '' moves it to another host.
    #[arg(long)]
    device: Option<String>,
    /// Owner of the device.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Private address. May be repeated; replaces all addresses.
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Use the addresses configured on its device.
    #[arg(long, conflicts_with = "addresses")]
    device_addresses: bool,
    /// Whether outbound packets need one of its addresses as their source.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    anti_spoofing: Option<bool>,
    /// Whether the rules judge inbound packets from its own addresses; otherwise they are dropped.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    accept_own_source: Option<bool>,
    /// DHCP server that it may contact directly. May be repeated; replaces all.
    #[arg(long = "dhcp-server", value_name = "ADDRESS", value_delimiter = ',')]
    dhcp_servers: Vec<IpAddr>,
    /// Let it contact directly only the DHCP servers of its networks and those that gave it an address.
    #[arg(long, conflicts_with = "dhcp_servers")]
    no_dhcp_servers: bool,
    /// Ethernet address, which anti-spoofing then checks too.
    #[arg(long)]
    mac: Option<Mac>,
    /// Allowed address pair. May be repeated; replaces all.
    #[arg(long = "allow-pair", value_name = "CIDR[=MAC]", value_delimiter = ',')]
    pairs: Vec<AddressPair>,
    /// Remove all allowed address pairs.
    #[arg(long, conflicts_with = "pairs")]
    no_pairs: bool,
    /// Where received packets are judged: after the kernel has built a packet buffer (tc), or before, in the driver (xdp).
    #[arg(long, value_enum)]
    hook: Option<Hook>,
    /// Whether decrypted IPsec packets pass, since they were judged on the wire, or are judged again.
    #[arg(long, value_enum)]
    ipsec: Option<Ipsec>,
    /// EtherType of non-IP frames that pass. May be repeated; replaces all.
    #[arg(long = "ethertype", value_name = "KIND", value_delimiter = ',')]
    ethertypes: Vec<Ethertype>,
    /// Drop all non-IP frames.
    #[arg(long, conflicts_with = "ethertypes")]
    no_ethertypes: bool,
}

impl Register {
    pub(crate) fn into_request(self) -> RegisterNic {
        RegisterNic {
            id: self.id,
            label: self.label.into_request(),
            region: self.region.unwrap_or_default(),
            vpc: self.vpc,
            instance: self.attached_to,
            device: self.device,
            role: self.role,
            addresses: self.addresses,
            anti_spoofing: self.anti_spoofing,
            accept_own_source: self.accept_own_source.unwrap_or_default(),
            dhcp_servers: self.dhcp_servers,
            senders: AllowedSources { mac: self.mac, allowed_address_pairs: self.pairs },
            hook: self.hook,
            ipsec: self.ipsec,
            ethertypes: self.ethertypes,
            nic_type: self.nic_type,
            groups: self.groups,
            default_type: self.default_type,
        }
    }
}

impl Modify {
    pub(crate) fn into_request(self) -> ModifyNic {
        let changed = self.device_addresses || !self.addresses.is_empty();
        ModifyNic {
            nic: String::new(),
            label: self.label.into_request(),
            device: self.device,
            role: self.role,
            addresses: changed.then_some(self.addresses),
            anti_spoofing: self.anti_spoofing,
            accept_own_source: self.accept_own_source,
            dhcp_servers: (self.no_dhcp_servers || !self.dhcp_servers.is_empty())
                .then_some(self.dhcp_servers),
            mac: self.mac,
            allowed_address_pairs: (self.no_pairs || !self.pairs.is_empty()).then_some(self.pairs),
            hook: self.hook,
            ipsec: self.ipsec,
            ethertypes: (self.no_ethertypes || !self.ethertypes.is_empty()).then_some(self.ethertypes),
        }
    }
}
