//! `sgctl instance`: machines with one or more NICs.

use clap::{Arg, Subcommand};
use sg_api_types::{InstanceView, RegisterInstance, RegisterNic};
use sg_records::Label;

use crate::{
    args::{Filter, NewLabelArgs, named, nic, write_ids},
    commands::{
        membership::{JoinArgs, LeaveArgs},
        nic::addresses,
    },
    failure::Failure,
    names::Wanted,
    render::{Column, Render, Yes},
    resource::Resource,
    session::Session,
};

/// Instances: machines with one or more NICs; the first is the primary one.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List instances.
    List(List),
    /// Show an instance and its NICs.
    Show {
        /// Id or name.
        #[arg(value_name = "INSTANCE", value_parser = named())]
        name: String,
    },
    /// Register an instance with its NICs.
    #[command(visible_alias = "create")]
    Register(Register),
    /// Deregister instances and their NICs. Their filters are removed.
    #[command(visible_alias = "delete")]
    Remove {
        /// Ids or names.
        #[arg(required = true, value_name = "INSTANCE", value_parser = named())]
        names: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Add groups to the primary NICs of instances.
    #[command(mut_arg("targets", of_instances))]
    Join(JoinArgs),
    /// Remove groups from the primary NICs of instances; each keeps at least one.
    #[command(mut_arg("targets", of_instances))]
    Leave(LeaveArgs),
}

/// The argument that names NICs elsewhere.
fn of_instances(arg: Arg) -> Arg {
    arg.value_name("INSTANCE").help("Ids or names of instances")
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only in this VPC; `classic` means the classic network.
    #[arg(long)]
    vpc: Option<String>,
    /// Only instances whose primary NIC holds this group.
    #[arg(long)]
    group: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Id, `i-…`. Default: generated.
    #[arg(long)]
    id: Option<String>,
    /// Region; with --vpc the VPC's region. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Id or name of the VPC. Default: the classic network.
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
        Column::new("ADDRESSES", |view| {
            let addresses = view.nics.iter().map(addresses);
            write_ids(addresses.filter(|addresses| !addresses.is_empty()))
        }),
        Column::named("GROUPS", |view, names| {
            let nics = view.nics.iter().map(|view| names.all(&view.nic.groups));
            nics.collect::<Vec<_>>().join(" ")
        }),
        Column::wide("NICS", |view| write_ids(view.nics.iter().map(|view| &view.nic.id))),
        Column::wide("REGION", |view| view.instance.region.clone()),
        Column::wide_named("VPC", |view, names| names.all(&view.instance.vpc)),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|view| &view.instance.label);

    fn id(&self) -> String {
        self.instance.id.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", self.nics.iter().flat_map(|view| &view.nic.groups));
        wanted.ids("vpcs", &self.instance.vpc);
    }
}

impl Resource for InstanceView {
    const COLLECTION: &'static str = "instances";
    const TARGET: &'static str = "instance";
    const DELETE: [&'static str; 2] = ["Remove", "removed"];
    type Item = InstanceView;
    type View = InstanceView;
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => session.list::<InstanceView>(list.filter, |address| {
            address.with_some("vpc", list.vpc).with_some("group", list.group)
        }),
        Verb::Show { name } => session.show::<InstanceView>(&name).map(drop),
        Verb::Register(register) => {
            let body = RegisterInstance {
                id: register.id,
                label: register.label.into_request(),
                region: register.region.unwrap_or_default(),
                vpc: register.vpc,
                nics: register.nics,
            };
            session.create::<InstanceView>("registered", &body).map(drop)
        }
        Verb::Remove { names, yes } => session.delete::<InstanceView>(&names, yes),
        Verb::Join(join) => join.run(session),
        Verb::Leave(leave) => leave.run(session),
    }
}
