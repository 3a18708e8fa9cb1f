//! `sgctl nic`: NICs, and the groups they hold, in their order.

use std::net::IpAddr;

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, parse_bool, word, write_addresses, write_ids, write_time, yes_no},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    membership::{JoinArgs, LeaveArgs},
    names::Wanted,
    output::Yes,
    session::{REMOVE, Session},
    table::{Column, Render},
};
use crate::{
    model::{AddressPair, AllowedSources, Ethertype, Ipsec, Mac},
    service::{ModifyNic, Move, MoveGroup, RegisterNic, SetGroups},
    store::{Hook, Nic, NicType, Role},
};

const EXAMPLES: &str = "Examples:
  sgctl nic register --device eth0 --vpc prod --group web --group ops
  sgctl nic register db-2 --vpc prod --address 10.0.0.9 --group db     # a NIC of another host
  sgctl nic join eth0 --group dmz --place 0
  sgctl nic move eth0 ops up
  sgctl nic set-groups eth0 dmz web ops";

/// NICs: the filtered devices and their groups.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List NICs.
    List(List),
    /// Show one.
    Show {
        /// Id, name or device.
        #[arg(value_parser = named())]
        nic: String,
    },
    /// Register a NIC.
    #[command(visible_alias = "create", after_long_help = EXAMPLES)]
    Register(Register),
    /// Change the given fields; the others are left unchanged.
    Modify(Modify),
    /// Deregister NICs. Their filters are removed.
    #[command(visible_alias = "delete")]
    Remove {
        /// Ids, names or devices.
        #[arg(required = true, value_name = "NIC", value_parser = named())]
        nics: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Add groups to NICs.
    Join(JoinArgs),
    /// Remove groups from NICs; each keeps at least one.
    Leave(LeaveArgs),
    /// Set the groups of a NIC, in order.
    SetGroups {
        /// Id, name or device.
        #[arg(value_parser = named())]
        nic: String,
        /// Ids or names of groups; the first has the highest priority.
        #[arg(required = true, value_name = "GROUP", value_parser = named())]
        groups: Vec<String>,
    },
    /// Move a group among those of a NIC.
    Move {
        /// Id, name or device.
        #[arg(value_parser = named())]
        nic: String,
        /// Id or name of the group.
        #[arg(value_parser = named())]
        group: String,
        /// `up`, `down`, or a position from 0, the first.
        #[arg(value_parser = to)]
        to: Move,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only NICs that hold this group.
    #[arg(long)]
    group: Option<String>,
    /// Only NICs of this instance.
    #[arg(long)]
    instance: Option<String>,
    /// Only the NIC of this device.
    #[arg(long)]
    device: Option<String>,
    /// Only the NIC with this address.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only NICs of this host, or with `no` only others.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    local: Option<bool>,
    #[command(flatten)]
    length: Length,
}

/// What a new NIC is, beside its label and place.
#[derive(Debug, clap::Args)]
struct Register {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Id, `eni-…` [default: generated].
    #[arg(long)]
    id: Option<String>,
    /// Region; with --vpc the VPC's region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC [default: the instance's, or the classic network].
    #[arg(long)]
    vpc: Option<String>,
    /// Id or name of its instance.
    #[arg(long)]
    instance: Option<String>,
    /// Device on this host; a NIC without one is on another host.
    #[arg(long)]
    device: Option<String>,
    /// Owner of the device: this host, or the guest behind it.
    #[arg(long, value_enum, default_value = "host")]
    role: Role,
    /// Private address. May be repeated [default: those configured on the device].
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Whether outbound packets need one of its addresses as their source [default: no for host, yes for guest].
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    anti_spoofing: Option<bool>,
    /// Whether the rules judge inbound packets from its own addresses; otherwise they are dropped [default: no].
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
    /// Whether decrypted IPsec packets pass or are judged [default: pass on NICs of role host].
    #[arg(long, value_enum)]
    ipsec: Option<Ipsec>,
    /// EtherType of non-IP frames that pass both ways: lldp, eapol, lacp, stp, ptp, or a number such as 0x8915. May be
    /// repeated.
    #[arg(long = "ethertype", value_name = "KIND", value_delimiter = ',')]
    ethertypes: Vec<Ethertype>,
    /// In the classic network: internet or intranet.
    #[arg(long, value_enum, value_name = "NETWORK", default_value = "intranet")]
    nic_type: NicType,
    /// Id or name of a group. May be repeated; the first has the highest priority [default: the default group, created
    /// if missing].
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
struct Modify {
    /// Id, name or device.
    #[arg(value_parser = named())]
    nic: String,
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

fn to(text: &str) -> Result<Move, String> {
    match text {
        "up" => Ok(Move::Up),
        "down" => Ok(Move::Down),
        place => place.parse().map(Move::To).map_err(|_| "allowed are up, down, and 0, 1, 2 …".to_owned()),
    }
}

/// Its addresses, or where they come from.
fn addresses(nic: &Nic) -> String {
    match (nic.addresses.as_slice(), &nic.device) {
        ([], Some(_)) => "(the device's)".to_owned(),
        (addresses, _) => write_addresses(addresses),
    }
}

impl Render for Nic {
    const NOUN: &'static str = "NIC";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |nic| nic.id.to_string()),
        Column::new("NAME", |nic| nic.label.name.clone()),
        Column::new("DEVICE", |nic| nic.device.clone().unwrap_or_default()),
        Column::new("ADDRESSES", addresses),
        Column::named("GROUPS", |nic, names| names.all(&nic.groups)),
        Column::named("INSTANCE", |nic, names| names.all(&nic.instance)),
        Column::wide("PRIMARY", |nic| yes_no(nic.primary)),
        Column::wide("REGION", |nic| nic.region.clone()),
        Column::wide("VPC", |nic| write_ids(&nic.vpc)),
        Column::wide("ROLE", |nic| word(&nic.role)),
        Column::wide("ANTI-SPOOFING", |nic| nic.anti_spoofing.map(yes_no).unwrap_or_default()),
        Column::wide("ACCEPT-OWN-SOURCE", |nic| yes_no(nic.accept_own_source)),
        Column::wide("DHCP-SERVERS", |nic| write_addresses(&nic.dhcp_servers)),
        Column::wide("MAC", |nic| nic.senders.mac.map(|mac| mac.to_string()).unwrap_or_default()),
        Column::wide("ALLOWED-PAIRS", |nic| {
            let pairs = nic.senders.allowed_address_pairs.iter().map(ToString::to_string);
            pairs.collect::<Vec<_>>().join(" ")
        }),
        Column::wide("HOOK", |nic| word(&nic.hook)),
        Column::wide("IPSEC", |nic| nic.ipsec.as_ref().map(word).unwrap_or_default()),
        Column::wide("ETHERTYPES", |nic| write_ids(&nic.ethertypes)),
        Column::wide("NIC-TYPE", |nic| word(&nic.nic_type)),
        Column::wide("TAGS", |nic| label::tags(&nic.label)),
        Column::wide("CREATED", |nic| write_time(nic.label.created)),
        Column::wide("DESCRIPTION", |nic| nic.label.description.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.label.name)
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", &self.groups);
        wanted.ids("instances", &self.instance);
    }
}

impl Register {
    fn into_request(self) -> RegisterNic {
        RegisterNic {
            id: self.id,
            label: self.label.into_request(),
            region: self.region.unwrap_or_default(),
            vpc: self.vpc,
            instance: self.instance,
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
        }
    }
}

impl Modify {
    fn into_request(self) -> ModifyNic {
        let said = self.device_addresses || !self.addresses.is_empty();
        ModifyNic {
            nic: String::new(),
            label: self.label.into_request(),
            device: self.device,
            role: self.role,
            addresses: said.then_some(self.addresses),
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

/// Warns of packets that pass the NIC unfiltered.
fn warn(session: &Session<'_>, nic: &Nic) {
    for carrier in nic.ethertypes.iter().filter_map(|ethertype| ethertype.carrier()) {
        session.output.remark(&format!("warning: {carrier}"));
    }
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let nics = Address::of(&["nics"]);
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(nics).with_some("vpc", list.vpc);
            let address = address.with_some("group", list.group).with_some("instance", list.instance);
            let address = address.with_some("device", list.device).with_some("address", list.address);
            session.list::<Nic>(&address.with_some("local", list.local), list.length)
        }
        Verb::Show { nic } => session.show::<Nic>(Address::of(&["nics", &nic])),
        Verb::Register(register) => {
            let nic: Nic = session.change(Method::POST, nics, &register.into_request())?;
            warn(session, &nic);
            session.output.done("registered", &nic)
        }
        Verb::Modify(modify) => {
            let address = Address::of(&["nics", &modify.nic]);
            let nic: Nic = session.change_one(Method::PATCH, address, "nic", &modify.into_request())?;
            warn(session, &nic);
            session.output.done("changed", &nic)
        }
        Verb::Remove { nics, yes } => session.each(REMOVE, "NIC", "nics", &nics, yes),
        Verb::Join(join) => join.run(session),
        Verb::Leave(leave) => leave.run(session),
        Verb::SetGroups { nic, groups } => {
            let body = SetGroups { target: String::new(), groups };
            let nic: Nic =
                session.change_one(Method::PUT, Address::of(&["nics", &nic, "groups"]), "target", &body)?;
            session.ordered(&[nic])
        }
        Verb::Move { nic, group, to } => {
            let body = MoveGroup { target: String::new(), group, to };
            let address = Address::of(&["nics", &nic, "groups", "move"]);
            let nic: Nic = session.change_one(Method::POST, address, "target", &body)?;
            session.ordered(&[nic])
        }
    }
}
