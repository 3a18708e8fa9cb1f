//! `sgctl nic`: what a NIC is, and which groups it holds in which order.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    address::Address,
    args::{named, said, word, write_addresses, write_ids, write_time, yes_no},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    membership::{JoinArgs, LeaveArgs},
    names::Wanted,
    output::Yes,
    session::{REMOVE, Session},
    table::{Column, Shown},
};
use crate::{
    model::{AddressPair, Ethertype, Ipsec, Mac, Senders},
    service::{ModifyNic, Move, MoveGroup, RegisterNic, SetGroups},
    store::{Hook, Nic, NicType, Role},
};

const EXAMPLES: &str = "Examples:
  sgctl nic register --device eth0 --vpc prod --group web --group ops
  sgctl nic register db-2 --vpc prod --address 10.0.0.9 --group db     # a NIC of another host
  sgctl nic join eth0 --group dmz --place 0
  sgctl nic move eth0 ops up
  sgctl nic set-groups eth0 dmz web ops";

/// NICs: what is filtered, and by which groups.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Typed {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List NICs.
    List(List),
    /// Show one.
    Show {
        /// Its id, name or device.
        #[arg(value_parser = named())]
        nic: String,
    },
    /// Register one.
    #[command(visible_alias = "create", after_long_help = EXAMPLES)]
    Register(Register),
    /// Change one; what is not said stays.
    Modify(Modify),
    /// Forget NICs. What filtered them is taken off.
    #[command(visible_alias = "delete")]
    Remove {
        /// Their ids, names or devices.
        #[arg(required = true, value_name = "NIC", value_parser = named())]
        nics: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Add groups to NICs.
    Join(JoinArgs),
    /// Take groups from NICs; each keeps at least one.
    Leave(LeaveArgs),
    /// Say which groups a NIC holds, and in which order.
    SetGroups {
        /// Its id, name or device.
        #[arg(value_parser = named())]
        nic: String,
        /// Ids or names of groups; the first has the highest priority.
        #[arg(required = true, value_name = "GROUP", value_parser = named())]
        groups: Vec<String>,
    },
    /// Change the place of a group among those of a NIC.
    Move {
        /// Its id, name or device.
        #[arg(value_parser = named())]
        nic: String,
        /// The group's id or name.
        #[arg(value_parser = named())]
        group: String,
        /// `up`, `down`, or a place counted from 0, the first.
        #[arg(value_parser = to)]
        to: Move,
    },
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only those of this VPC; `classic`: of the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only those that hold this group.
    #[arg(long)]
    group: Option<String>,
    /// Only those of this instance.
    #[arg(long)]
    instance: Option<String>,
    /// Only that of this device.
    #[arg(long)]
    device: Option<String>,
    /// Only that with this address.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only those of this host, or with `no` only others.
    #[arg(long, value_name = "YES", value_parser = said())]
    local: Option<bool>,
    #[command(flatten)]
    length: Length,
}

/// What a new NIC is, beside its label and place.
#[derive(Debug, Args)]
struct Register {
    #[command(flatten)]
    label: NewLabelArgs,
    /// An id of one's own, `eni-…` [default: one is made].
    #[arg(long)]
    id: Option<String>,
    /// Where; with --vpc its region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// The VPC's id or name [default: the instance's, or the classic network].
    #[arg(long)]
    vpc: Option<String>,
    /// The id or name of the instance it belongs to.
    #[arg(long)]
    instance: Option<String>,
    /// The device on this host; a NIC without one is on another host.
    #[arg(long)]
    device: Option<String>,
    /// Whose the device is: this host's own, or the host end of a guest's NIC.
    #[arg(long, value_enum, default_value = "host")]
    role: Role,
    /// A private address; may be said several times [default: those configured on the device].
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Whether packets from it must have one of its addresses as their source [default: no for host, yes for guest].
    #[arg(long, value_name = "YES", value_parser = said())]
    anti_spoofing: Option<bool>,
    /// Whether inbound packets from its own addresses are judged by the rules; else they are dropped [default: no].
    #[arg(long, value_name = "YES", value_parser = said())]
    accept_own_source: Option<bool>,
    /// A DHCP server that it may ask directly, beside those of its networks and those that gave it an address; may be
    /// said several times.
    #[arg(long = "dhcp-server", value_name = "ADDRESS", value_delimiter = ',')]
    dhcp_servers: Vec<IpAddr>,
    /// Its Ethernet address, which anti-spoofing then looks at, too.
    #[arg(long)]
    mac: Option<Mac>,
    /// What it may speak for beside its own addresses; may be said several times.
    #[arg(long = "allow-pair", value_name = "CIDR[=MAC]", value_delimiter = ',')]
    pairs: Vec<AddressPair>,
    /// Where what the device receives is judged: when the kernel has built a packet buffer, or before, in the driver.
    #[arg(long, value_enum, default_value = "tc")]
    hook: Hook,
    /// What becomes of what IPsec delivers to it [default: to a NIC of role host it passes].
    #[arg(long, value_enum)]
    ipsec: Option<Ipsec>,
    /// Frames that are not IP and pass nevertheless, both ways: lldp, eapol, lacp, stp, ptp, or a number such as 0x8915; may be
    /// said several times.
    #[arg(long = "ethertype", value_name = "KIND", value_delimiter = ',')]
    ethertypes: Vec<Ethertype>,
    /// In the classic network: which network it faces.
    #[arg(long, value_enum, value_name = "NETWORK", default_value = "intranet")]
    nic_type: NicType,
    /// A group's id or name; may be said several times, the first has the highest priority [default: the default
    /// group, which is made where there is none].
    #[arg(long = "group", value_name = "GROUP", value_delimiter = ',', value_parser = named())]
    groups: Vec<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
struct Modify {
    /// Its id, name or device.
    #[arg(value_parser = named())]
    nic: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// The device on this host; '': it is on another host now.
    #[arg(long)]
    device: Option<String>,
    /// Whose the device is.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// A private address; those said here are all it has from now on.
    #[arg(long = "address", value_name = "ADDRESS", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// Take its addresses from its device.
    #[arg(long, conflicts_with = "addresses")]
    device_addresses: bool,
    /// Whether packets from it must have one of its addresses as their source.
    #[arg(long, value_name = "YES", value_parser = said())]
    anti_spoofing: Option<bool>,
    /// Whether inbound packets from its own addresses are judged by the rules; else they are dropped.
    #[arg(long, value_name = "YES", value_parser = said())]
    accept_own_source: Option<bool>,
    /// A DHCP server that it may ask directly; those said here are all from now on.
    #[arg(long = "dhcp-server", value_name = "ADDRESS", value_delimiter = ',')]
    dhcp_servers: Vec<IpAddr>,
    /// Let it ask directly only the DHCP servers of its networks and those that gave it an address.
    #[arg(long, conflicts_with = "dhcp_servers")]
    no_dhcp_servers: bool,
    /// Its Ethernet address, which anti-spoofing then looks at, too.
    #[arg(long)]
    mac: Option<Mac>,
    /// What it may speak for beside its own addresses; those said here are all from now on.
    #[arg(long = "allow-pair", value_name = "CIDR[=MAC]", value_delimiter = ',')]
    pairs: Vec<AddressPair>,
    /// Let it speak for its own addresses only.
    #[arg(long, conflicts_with = "pairs")]
    no_pairs: bool,
    /// Where what the device receives is judged: when the kernel has built a packet buffer, or before, in the driver.
    #[arg(long, value_enum)]
    hook: Option<Hook>,
    /// What becomes of what IPsec delivers to it: it passes, since what was on the wire was judged, or is judged, too.
    #[arg(long, value_enum)]
    ipsec: Option<Ipsec>,
    /// Frames that are not IP and pass nevertheless; those said here are all from now on.
    #[arg(long = "ethertype", value_name = "KIND", value_delimiter = ',')]
    ethertypes: Vec<Ethertype>,
    /// Let no frames pass that are not IP.
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

impl Shown for Nic {
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
    fn meaning(self) -> RegisterNic {
        RegisterNic {
            id: self.id,
            label: self.label.meaning(),
            region: self.region.unwrap_or_default(),
            vpc: self.vpc,
            instance: self.instance,
            device: self.device,
            role: self.role,
            addresses: self.addresses,
            anti_spoofing: self.anti_spoofing,
            accept_own_source: self.accept_own_source.unwrap_or_default(),
            dhcp_servers: self.dhcp_servers,
            senders: Senders { mac: self.mac, allowed_address_pairs: self.pairs },
            hook: self.hook,
            ipsec: self.ipsec,
            ethertypes: self.ethertypes,
            nic_type: self.nic_type,
            groups: self.groups,
        }
    }
}

impl Modify {
    fn meaning(self) -> ModifyNic {
        let said = self.device_addresses || !self.addresses.is_empty();
        ModifyNic {
            nic: String::new(),
            label: self.label.meaning(),
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

/// What passes the NIC unseen.
fn warn(session: &Session<'_>, nic: &Nic) {
    for carrier in nic.ethertypes.iter().filter_map(|ethertype| ethertype.carrier()) {
        session.output.remark(&format!("warning: {carrier}"));
    }
}

pub(super) fn run(typed: Typed, session: &mut Session<'_>) -> Result<(), Failure> {
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
            let nic: Nic = session.change(Method::POST, nics, &register.meaning())?;
            warn(session, &nic);
            session.output.done("registered", &nic)
        }
        Verb::Modify(modify) => {
            let address = Address::of(&["nics", &modify.nic]);
            let nic: Nic = session.change_one(Method::PATCH, address, "nic", &modify.meaning())?;
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
