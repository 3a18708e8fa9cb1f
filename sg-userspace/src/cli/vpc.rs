//! `sgctl vpc`: networks of groups and NICs that may know each other.

use clap::{Args, Subcommand};
use hyper::Method;

use super::{
    address::Address,
    args::{named, word, write_time},
    failure::Failure,
    label::{self, LabelChangeArgs, NewLabelArgs},
    list::{Filter, Length},
    output::Yes,
    session::Session,
    table::{Column, Shown},
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

/// VPCs: networks whose groups and NICs may know each other.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Typed {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List VPCs.
    List(List),
    /// Show one.
    Show {
        /// Its id or name.
        #[arg(value_parser = named())]
        vpc: String,
    },
    /// Make one.
    Create(Create),
    /// Change one; what is not said stays.
    Modify(Modify),
    /// Delete VPCs that nothing is in.
    Delete {
        /// Their ids or names.
        #[arg(required = true, value_name = "VPC", value_parser = named())]
        vpcs: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    length: Length,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    label: NewLabelArgs,
    /// Where [default: local].
    #[arg(long)]
    region: Option<String>,
    /// How the rules of several groups on a NIC are put into one order.
    #[arg(long, value_enum, default_value = "merged")]
    order: Order,
    /// What a change does to live flows.
    #[arg(long, value_enum, default_value = "revalidate")]
    established: Established,
    /// What becomes of TCP packets from the middle of a connection that is not known.
    #[arg(long, value_enum, default_value = "loose")]
    mid_stream: MidStream,
    /// For how long after a NIC was first filtered such a connection may be taken over by the rules of one direction: a number
    /// of seconds, established (as long as an established TCP connection may be silent) or forever.
    #[arg(long, value_name = "SECONDS", default_value_t)]
    takeover: Takeover,
    /// What becomes of packets that no rule matches, where they are not accepted.
    #[arg(long, value_enum, default_value = "drop")]
    default: Unmatched,
}

#[derive(Debug, Args)]
struct Modify {
    /// Its id or name.
    #[arg(value_parser = named())]
    vpc: String,
    #[command(flatten)]
    label: LabelChangeArgs,
    /// How the rules of several groups on a NIC are put into one order.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// What a change does to live flows.
    #[arg(long, value_enum)]
    established: Option<Established>,
    /// What becomes of TCP packets from the middle of a connection that is not known.
    #[arg(long, value_enum)]
    mid_stream: Option<MidStream>,
    /// For how long after a NIC was first filtered such a connection may be taken over by the rules of one direction: a number
    /// of seconds, established (as long as an established TCP connection may be silent) or forever.
    #[arg(long, value_name = "SECONDS")]
    takeover: Option<Takeover>,
    /// What becomes of packets that no rule matches, where they are not accepted.
    #[arg(long, value_enum)]
    default: Option<Unmatched>,
}

impl Shown for Vpc {
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

pub(super) fn run(typed: Typed, session: &mut Session<'_>) -> Result<(), Failure> {
    match typed.verb {
        Verb::List(list) => {
            let address = list.filter.of(Address::of(&["vpcs"]));
            session.list::<Vpc>(&address, list.length)
        }
        Verb::Show { vpc } => session.show::<Vpc>(Address::of(&["vpcs", &vpc])),
        Verb::Create(create) => {
            let body = CreateVpc {
                label: create.label.meaning(),
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
                label: modify.label.meaning(),
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
