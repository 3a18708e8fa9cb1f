//! `sgctl vpc`: namespaces of groups and NICs that can refer to each other.

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, word, write_time},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    output::Yes,
    session::Session,
    table::{Column, Render},
};
use crate::{
    model::{MidStream, Takeover, Unmatched},
    service::{CreateVpc, ModifyVpc},
    store::{Established, Order, Vpc},
};

const EXAMPLES: &str = "Examples:
  sgctl vpc create prod --region eu-1
  sgctl vpc modify prod --order sequence
  sgctl vpc list -o wide";

/// VPCs: networks whose groups and NICs can refer to each other.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List VPCs.
    List(List),
    /// Show one.
    Show {
        /// Id or name.
        #[arg(value_parser = named())]
        vpc: String,
    },
    /// Create one.
    Create(Create),
    /// Change the given fields; the others are left unchanged.
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
struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Region [default: local].
    #[arg(long)]
    region: Option<String>,
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
struct Modify {
    /// Id or name.
    #[arg(value_parser = named())]
    vpc: String,
    #[command(flatten)]
    label: LabelChangeArgs,
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
        Column::new("ID", |vpc| vpc.id.to_string()),
        Column::new("NAME", |vpc| vpc.label.name.clone()),
        Column::new("REGION", |vpc| vpc.region.clone()),
        Column::new("ORDER", |vpc| word(&vpc.order)),
        Column::wide("ESTABLISHED", |vpc| word(&vpc.established)),
        Column::wide("MID-STREAM", |vpc| word(&vpc.mid_stream)),
        Column::wide("TAKEOVER", |vpc| vpc.takeover.to_string()),
        Column::wide("DEFAULT", |vpc| word(&vpc.default)),
        Column::wide("TAGS", |vpc| label::tags(&vpc.label)),
        Column::wide("CREATED", |vpc| write_time(vpc.label.created)),
        Column::wide("DESCRIPTION", |vpc| vpc.label.description.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> Option<&str> {
        Some(&self.label.name)
    }
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(Address::of(&["vpcs"]));
            session.list::<Vpc>(&address, list.length)
        }
        Verb::Show { vpc } => session.show::<Vpc>(Address::of(&["vpcs", &vpc])),
        Verb::Create(create) => {
            let body = CreateVpc {
                label: create.label.into_request(),
                region: create.region.unwrap_or_default(),
                order: create.order,
                established: create.established,
                mid_stream: create.mid_stream,
                takeover: create.takeover,
                default: create.default,
            };
            let vpc: Vpc = session.change(Method::POST, Address::of(&["vpcs"]), &body)?;
            session.output.done("created", &vpc)
        }
        Verb::Modify(modify) => {
            let body = ModifyVpc {
                vpc: String::new(),
                label: modify.label.into_request(),
                order: modify.order,
                established: modify.established,
                mid_stream: modify.mid_stream,
                takeover: modify.takeover,
                default: modify.default,
            };
            let address = Address::of(&["vpcs", &modify.vpc]);
            let vpc: Vpc = session.change_one(Method::PATCH, address, "vpc", &body)?;
            session.output.done("changed", &vpc)
        }
        Verb::Delete { vpcs, yes } => session.delete("VPC", "vpcs", &vpcs, yes),
    }
}
