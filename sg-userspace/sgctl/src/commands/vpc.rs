//! `sgctl vpc`: namespaces of groups and NICs that can refer to each other.

use clap::Subcommand;
use ipnet::Ipv4Net;
use sg_api_types::{CreateVpc, ModifyVpc};
use sg_model::{MidStream, Takeover, Unmatched};
use sg_records::{Established, Label, Order, Vpc};

use crate::{
    args::{Filter, LabelChangeArgs, NewLabelArgs, named, word},
    failure::Failure,
    render::{Column, Render, Yes},
    resource::Resource,
    session::Session,
};

/// VPCs: networks whose groups and NICs can refer to each other.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List VPCs.
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show a VPC.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        name: String,
    },
    /// Create a VPC.
    Create(Create),
    /// Change a VPC. Unspecified fields are left unchanged.
    Modify(Modify),
    /// Delete empty VPCs.
    Delete {
        /// Ids or names.
        #[arg(required = true, value_name = "VPC", value_parser = named())]
        vpcs: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region. Default: local.
    #[arg(long)]
    region: Option<String>,
    /// Range of the addresses that NICs get which are created through the ECS API. Default: none.
    #[arg(long, value_name = "PREFIX")]
    cidr: Option<Ipv4Net>,
    /// How the rules of a NIC's groups are ordered.
    #[arg(long, value_enum, default_value = "merged")]
    order: Order,
    /// What a policy change does to live flows.
    #[arg(long, value_enum, default_value = "revalidate")]
    established: Established,
    /// What happens to mid-stream TCP packets of unknown connections.
    #[arg(long, value_enum, default_value = "loose")]
    mid_stream: MidStream,
    /// How long after a NIC was first filtered the rules of one direction can take such a connection over: a number of
    /// seconds, established (the timeout of established TCP connections) or forever.
    #[arg(long, value_name = "SECONDS", default_value_t)]
    takeover: Takeover,
    /// What happens to packets that no rule matches, unless they are accepted.
    #[arg(long, value_enum, default_value = "drop")]
    default: Unmatched,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Modify {
    /// Id or name.
    #[arg(value_parser = named())]
    vpc: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// Range of the addresses that NICs get which are created through the ECS API.
    #[arg(long, value_name = "PREFIX")]
    cidr: Option<Ipv4Net>,
    /// How the rules of a NIC's groups are ordered.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// What a policy change does to live flows.
    #[arg(long, value_enum)]
    established: Option<Established>,
    /// What happens to mid-stream TCP packets of unknown connections.
    #[arg(long, value_enum)]
    mid_stream: Option<MidStream>,
    /// How long after a NIC was first filtered the rules of one direction can take such a connection over: a number of
    /// seconds, established (the timeout of established TCP connections) or forever.
    #[arg(long, value_name = "SECONDS")]
    takeover: Option<Takeover>,
    /// What happens to packets that no rule matches, unless they are accepted.
    #[arg(long, value_enum)]
    default: Option<Unmatched>,
}

impl Render for Vpc {
    const NOUN: &'static str = "VPC";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("REGION", |vpc| vpc.region.clone()),
        Column::wide("CIDR", |vpc| vpc.cidr.map(|range| range.to_string()).unwrap_or_default()),
        Column::new("ORDER", |vpc| word(&vpc.order)),
        Column::wide("ESTABLISHED", |vpc| word(&vpc.established)),
        Column::wide("MID-STREAM", |vpc| word(&vpc.mid_stream)),
        Column::wide("TAKEOVER", |vpc| vpc.takeover.to_string()),
        Column::wide("DEFAULT", |vpc| word(&vpc.default)),
    ];
    const LABEL: Option<fn(&Self) -> &Label> = Some(|vpc| &vpc.label);

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Resource for Vpc {
    const COLLECTION: &'static str = "vpcs";
    const TARGET: &'static str = "vpc";
    type Item = Vpc;
    type View = Vpc;
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    match verb {
        Verb::List { filter } => session.list::<Vpc>(filter, |address| address),
        Verb::Show { name } => session.show::<Vpc>(&name).map(drop),
        Verb::Create(create) => {
            let body = CreateVpc {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                cidr: create.cidr,
                order: create.order,
                established: create.established,
                mid_stream: create.mid_stream,
                takeover: create.takeover,
                default: create.default,
            };
            session.create::<Vpc>("created", &body).map(drop)
        }
        Verb::Modify(modify) => {
            let body = ModifyVpc {
                vpc: String::new(),
                label: modify.label.into_request(),
                cidr: modify.cidr,
                order: modify.order,
                established: modify.established,
                mid_stream: modify.mid_stream,
                takeover: modify.takeover,
                default: modify.default,
            };
            session.modify::<Vpc>(&modify.vpc, &body).map(drop)
        }
        Verb::Delete { vpcs, yes } => session.delete::<Vpc>(&vpcs, yes),
    }
}
