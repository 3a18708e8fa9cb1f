//! `sgctl nic`: NICs, and the groups they hold, in their order.

mod settings;

use std::net::IpAddr;

use clap::Subcommand;
use hyper::Method;
use serde::Serialize;
use sg_api_types::{DeviceField, Move, MoveGroup, Moved, NicView, SetGroups};
use sg_records::{Label, Nic, Order, Rule};

use crate::{
    args::{Filter, named, parse_bool, word, write_addresses, write_ids, yes_no},
    client::Address,
    commands::{
        membership::{JoinArgs, LeaveArgs},
        rule::{self, ANY, Cells, INTRANET},
    },
    failure::Failure,
    names::{Names, Wanted},
    render::{Column, Render, Yes, name_or},
    resource::Resource,
    session::Session,
};
use settings::{Modify, Register};

/// NICs: the filtered devices and their groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List NICs.
    List(List),
    /// Show a NIC, and the rules of its groups.
    Show {
        /// Id, name or device.
        #[arg(value_parser = named())]
        nic: String,
    },
    /// Register a NIC.
    #[command(visible_alias = "create")]
    Register(Register),
    /// Change a NIC. Unspecified fields are left unchanged.
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
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only NICs that hold this group.
    #[arg(long)]
    group: Option<String>,
    /// Only NICs of this instance.
    #[arg(long, value_name = "INSTANCE")]
    attached_to: Option<String>,
    /// Only the NIC of this device.
    #[arg(long)]
    device: Option<String>,
    /// Only the NIC with this address.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only NICs of this host, or with `no` only others.
    #[arg(long, value_name = "YES", value_parser = parse_bool())]
    on_this_host: Option<bool>,
}

fn to(text: &str) -> Result<Move, String> {
    match text {
        "up" => Ok(Move::Up),
        "down" => Ok(Move::Down),
        place => place.parse().map(Move::To).map_err(|_| "allowed are up, down, and 0, 1, 2 …".to_owned()),
    }
}

/// Its addresses. Of a device without any, it says whose they would be.
pub(super) fn addresses(view: &NicView) -> String {
    match view.nic.addresses.as_slice() {
        [] if view.from_device.contains(&DeviceField::Addresses) => "(the device's)".to_owned(),
        addresses => write_addresses(addresses),
    }
}

/// As operations return it; it is displayed as a [`NicView`].
impl Render for Nic {
    const NOUN: &'static str = "NIC";
    const COLUMNS: &'static [Column<Self>] = &[];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|nic| &nic.label);

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", &self.groups);
        wanted.ids("instances", &self.instance);
        wanted.ids("vpcs", &self.vpc);
    }
}

impl Render for NicView {
    const NOUN: &'static str = "NIC";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("DEVICE", |view| view.nic.device.clone().unwrap_or_default()),
        Column::new("ADDRESSES", addresses),
        Column::named("GROUPS", |view, names| names.all(&view.nic.groups)),
        Column::named("INSTANCE", |view, names| names.all(&view.nic.instance)),
        Column::wide("PRIMARY", |view| yes_no(view.nic.primary)),
        Column::wide("REGION", |view| view.nic.region.clone()),
        Column::wide_named("VPC", |view, names| names.all(&view.nic.vpc)),
        Column::wide("ROLE", |view| word(&view.nic.role)),
        Column::wide("ANTI-SPOOFING", |view| view.nic.anti_spoofing.map(yes_no).unwrap_or_default()),
        Column::wide("ACCEPT-OWN-SOURCE", |view| yes_no(view.nic.accept_own_source)),
        Column::wide("DHCP-SERVERS", |view| write_addresses(&view.nic.dhcp_servers)),
        Column::wide("MAC", |view| view.nic.senders.mac.map(|mac| mac.to_string()).unwrap_or_default()),
        Column::wide("ALLOWED-PAIRS", |view| {
            let pairs = view.nic.senders.allowed_address_pairs.iter().map(ToString::to_string);
            pairs.collect::<Vec<_>>().join(" ")
        }),
        Column::wide("HOOK", |view| word(&view.nic.hook)),
        Column::wide("IPSEC", |view| view.nic.ipsec.as_ref().map(word).unwrap_or_default()),
        Column::wide("ETHERTYPES", |view| write_ids(&view.nic.ethertypes)),
        Column::alone("UUID", |view| view.uuid.to_string()),
        Column::wide("NIC-TYPE", |view| word(&view.nic.nic_type)),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|view| &view.nic.label);

    fn id(&self) -> String {
        self.nic.id.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        self.nic.mentions(wanted);
    }
}

/// As a move returns it; people read where its groups are.
impl Render for Moved {
    const NOUN: &'static str = Nic::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|moved| &moved.nic.label);

    fn id(&self) -> String {
        self.nic.id()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        self.nic.mentions(wanted);
    }
}

/// That the place of a group changes no verdict, and what would make it do so.
fn changes_nothing(moved: &Moved, names: &Names) -> Option<String> {
    const NOTHING: &str = "is merged, so the places of groups change no verdict";
    match (moved.order, &moved.nic.vpc) {
        (Order::Sequence, _) => None,
        (Order::Merged, Some(vpc)) => Some(format!(
            "the order of VPC {} {NOTHING}; `sgctl vpc modify {vpc} --order sequence` makes each group come before those behind it",
            names.of(vpc)
        )),
        (Order::Merged, None) => {
            Some(format!("the order of the classic network {NOTHING}; a VPC can have another"))
        }
    }
}

/// Warns of packets that pass the NIC unfiltered.
fn warn(session: &Session<'_>, nic: &Nic) {
    for carrier in nic.ethertypes.iter().filter_map(|ethertype| ethertype.carrier()) {
        session.output.remark(&format!("warning: {carrier}"));
    }
}

impl Resource for Nic {
    const COLLECTION: &'static str = "nics";
    const TARGET: &'static str = "nic";
    const DELETE: [&'static str; 2] = ["Remove", "removed"];
    type Item = NicView;
    type View = NicView;
}

/// Shows a NIC, and for people the rules of its groups, in the order of the groups.
fn show(name: &str, session: &mut Session<'_>) -> Result<(), Failure> {
    let NicView { nic, .. } = session.show::<Nic>(name)?;
    if !session.output.format.is_table() || session.output.chooses_columns() {
        return Ok(());
    }
    let mut rules: Vec<Rule> = Vec::new();
    for group in &nic.groups {
        let address = Address::of(&["groups", group.as_str(), "rules"]);
        rules.extend(session.pages::<Rule>(&address, usize::MAX)?.0);
    }
    if rules.is_empty() {
        session.output.remark("no rule in its groups");
        return Ok(());
    }
    let held: Vec<HeldRule> = rules.into_iter().map(HeldRule).collect();
    let names = session.names_for(&held)?;
    session.output.text("\n")?;
    session.output.many(&held, &names)
}

/// A rule of one of a NIC's groups, with its group.
#[derive(Serialize)]
#[serde(transparent)]
struct HeldRule(Rule);

impl Render for HeldRule {
    const NOUN: &'static str = Rule::NOUN;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::named("GROUP", |held, names| names.of(&held.0.group)),
        Column::new("RULE", |held| name_or(&held.0.spec.name, &held.0.id)),
        Column::new("DIRECTION", |held| held.0.direction.to_string()),
        Column::number("PRIORITY", |held| held.0.spec.priority.to_string()),
        Column::new("ACTION", |held| rule::action(&held.0.spec)),
        Column::named("PROTOCOL", |held, names| Cells::of(&held.0.spec, names).protocol),
        Column::named("PORTS", |held, names| Cells::of(&held.0.spec, names).ports),
        Column::named("REMOTE", |held, names| Cells::of(&held.0.spec, names).remote),
        Column::used("SOURCE-PORTS", ANY, |held, names| Cells::of(&held.0.spec, names).source_ports),
        Column::used("LOCAL", ANY, |held, names| Cells::of(&held.0.spec, names).local),
        Column::used("OTHER-FIELDS", "", |held, names| Cells::of(&held.0.spec, names).others),
        Column::used("NIC-TYPE", INTRANET, |held, _| word(&held.0.spec.nic_type)),
        Column::wide("ID", |held| held.0.id.to_string()),
    ];

    fn id(&self) -> String {
        self.0.id()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        self.0.mentions(wanted);
    }
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => session.list::<Nic>(list.filter, |address| {
            let address = address.with_some("vpc", list.vpc).with_some("group", list.group);
            let address = address.with_some("instance", list.attached_to).with_some("device", list.device);
            address.with_some("address", list.address).with_some("local", list.on_this_host)
        }),
        Verb::Show { nic } => show(&nic, session),
        Verb::Register(register) => {
            let nic = session.create::<Nic>("registered", &register.into_request())?;
            warn(session, &nic);
            Ok(())
        }
        Verb::Modify(modify) => {
            let name = modify.nic.clone();
            let nic = session.modify::<Nic>(&name, &modify.into_request())?;
            warn(session, &nic);
            Ok(())
        }
        Verb::Remove { nics, yes } => session.delete::<Nic>(&nics, yes),
        Verb::Join(join) => join.run(session),
        Verb::Leave(leave) => leave.run(session),
        Verb::SetGroups { nic, groups } => {
            session.output.without_table()?;
            let body = SetGroups { target: String::new(), groups };
            let nic: Nic =
                session.change_one(Method::PUT, Address::of(&["nics", &nic, "groups"]), "target", &body)?;
            session.ordered(&[nic])
        }
        Verb::Move { nic, group, to } => {
            session.output.without_table()?;
            let body = MoveGroup { target: String::new(), group, to };
            let address = Address::of(&["nics", &nic, "groups", "move"]);
            let moved: Moved = session.change_one(Method::POST, address, "target", &body)?;
            let names = session.names_for(std::slice::from_ref(&moved))?;
            if !session.output.format.is_table() {
                return session.output.many(&[moved], &names);
            }
            session.ordered(std::slice::from_ref(&moved.nic))?;
            if let Some(remark) = changes_nothing(&moved, &names) {
                session.output.remark(&remark);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn moved(vpc: Option<&str>, order: &str) -> Moved {
        let nic = json!({
            "id": "eni-1", "region": "local", "name": "", "created": "1970-01-01T00:00:00Z", "updated": "1970-01-01T00:00:00Z", "groups": ["sg-1"],
            "vpc": vpc, "order": order,
        });
        serde_json::from_value(nic).unwrap()
    }

    #[test]
    fn a_move_that_changes_no_verdict_says_what_would_make_it_do_so() {
        let mut names = Names::default();
        names.extend([("vpc-1".to_owned(), "prod".to_owned())]);
        let said = changes_nothing(&moved(Some("vpc-1"), "merged"), &names).unwrap();
        assert!(
            said.starts_with("the order of VPC prod is merged, so the places of groups change no verdict;"),
            "{said}"
        );
        assert!(said.contains("`sgctl vpc modify vpc-1 --order sequence`"), "{said}");
        let said = changes_nothing(&moved(None, "merged"), &names).unwrap();
        assert!(said.contains("classic network") && !said.contains("sgctl"), "{said}");
        assert_eq!(changes_nothing(&moved(Some("vpc-1"), "sequence"), &names), None);
    }
}
