//! `sgctl instance`: machines with one or more NICs.

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, write_addresses, write_ids, write_time},
    failure::Failure,
    label::{self, NewLabelArgs},
    list::{Filter, Length},
    membership::{JoinArgs, LeaveArgs},
    names::Wanted,
    nic_spec::nic,
    output::Yes,
    session::{REMOVE, Session},
    table::{Column, Render},
};
use crate::service::{InstanceView, RegisterInstance, RegisterNic};

const EXAMPLES: &str = "Examples:
  sgctl instance register web-1 --vpc prod --nic device=tap3,role=guest,address=10.0.0.5,group=web
  sgctl instance register web-2 --vpc prod --nic eth0 --nic device=eth1,group=ops,group=web
  sgctl instance join web-1 web-2 --group dmz --place 0
  sgctl instance leave web-1 --group dmz";

/// Instances: machines with one or more NICs; the first is the primary one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List instances.
    List(List),
    /// Show an instance and its NICs.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        instance: String,
    },
    /// Register an instance with its NICs.
    #[command(visible_alias = "create", after_long_help = EXAMPLES)]
    Register(Register),
    /// Deregister instances and their NICs. Their filters are removed.
    #[command(visible_alias = "delete")]
    Remove {
        /// Ids or names.
        #[arg(required = true, value_name = "INSTANCE", value_parser = named())]
        instances: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Add groups to the primary NICs of instances.
    Join(JoinArgs),
    /// Remove groups from the primary NICs of instances; each keeps at least one.
    Leave(LeaveArgs),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only instances whose primary NIC holds this group.
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, clap::Args)]
struct Register {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Id, `i-…` [default: generated].
    #[arg(long)]
    id: Option<String>,
    /// Region; with --vpc the VPC's region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC [default: the classic network].
    #[arg(long)]
    vpc: Option<String>,
    /// NIC: its device, or KEY=VALUE,… with device, role, address, group, anti-spoofing, nic-type, id and name;
    /// address and group may be repeated. May be repeated; the first is the primary one.
    #[arg(long = "nic", value_name = "NIC", value_parser = nic)]
    nics: Vec<RegisterNic>,
}

impl Render for InstanceView {
    const NOUN: &'static str = "instance";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |view| view.instance.id.to_string()),
        Column::new("NAME", |view| view.instance.label.name.clone()),
        Column::new("ADDRESSES", |view| {
            let addresses = view.nics.iter().map(|nic| write_addresses(&nic.addresses));
            write_ids(addresses.filter(|addresses| !addresses.is_empty()))
        }),
        Column::named("GROUPS", |view, names| {
            let nics = view.nics.iter().map(|nic| names.all(&nic.groups));
            nics.collect::<Vec<_>>().join(" ")
        }),
        Column::wide("NICS", |view| write_ids(view.nics.iter().map(|nic| &nic.id))),
        Column::wide("REGION", |view| view.instance.region.clone()),
        Column::wide("VPC", |view| write_ids(&view.instance.vpc)),
        Column::wide("TAGS", |view| label::tags(&view.instance.label)),
        Column::wide("CREATED", |view| write_time(view.instance.label.created)),
        Column::wide("DESCRIPTION", |view| view.instance.label.description.clone()),
    ];

    fn id(&self) -> String {
        self.instance.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.instance.label.name)
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", self.nics.iter().flat_map(|nic| &nic.groups));
    }
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let instances = Address::of(&["instances"]);
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(instances).with_some("vpc", list.vpc);
            let address = address.with_some("group", list.group);
            session.list::<InstanceView>(&address, list.length)
        }
        Verb::Show { instance } => session.show::<InstanceView>(Address::of(&["instances", &instance])),
        Verb::Register(register) => {
            let body = RegisterInstance {
                id: register.id,
                label: register.label.into_request(),
                region: register.region.unwrap_or_default(),
                vpc: register.vpc,
                nics: register.nics,
            };
            let view: InstanceView = session.change(Method::POST, instances, &body)?;
            session.output.done("registered", &view)
        }
        Verb::Remove { instances, yes } => session.each(REMOVE, "instance", "instances", &instances, yes),
        Verb::Join(join) => join.run(session),
        Verb::Leave(leave) => leave.run(session),
    }
}
