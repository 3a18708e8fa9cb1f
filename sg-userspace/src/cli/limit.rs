//! `sgctl limit`: quotas.

use clap::Subcommand;
use hyper::Method;
use serde_json::{Map, Value};

use super::{address::Address, failure::Failure, output::Format, session::Session, table};
use crate::{service::ModifyLimits, store::Limits};

const EXAMPLES: &str = "Examples:
  sgctl limit list
  sgctl limit modify groups_per_nic=10 rules_per_nic=2000";

/// Quotas: the maximum number of each resource.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the quotas.
    #[command(visible_alias = "show")]
    List,
    /// Change quotas; the others are left unchanged. Resources beyond a new quota stay, and no more can be added.
    #[command(visible_alias = "set")]
    Modify {
        /// Name of a quota and its new value.
        #[arg(required = true, value_name = "NAME=NUMBER", value_parser = limit)]
        limits: Vec<(String, u32)>,
    },
}

fn limit(text: &str) -> Result<(String, u32), String> {
    let (name, number) = text.split_once('=').ok_or("a limit is said as NAME=NUMBER")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number of 0 to {}", u32::MAX))?;
    Ok((name.replace('-', "_"), number))
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["limits"]);
    let limits: Limits = match typed.verb {
        Verb::List => session.get(address)?,
        Verb::Modify { limits } => {
            let said = limits.into_iter().map(|(name, number)| (name, Value::from(number)));
            let said = Value::Object(said.collect::<Map<_, _>>());
            let body: ModifyLimits = serde_json::from_value(said).map_err(Failure::input)?;
            session.change(Method::PATCH, address, &body)?
        }
    };
    if session.output.format.is_data() {
        return session.output.data(&limits);
    }
    let fields = serde_json::to_value(&limits).map_err(Failure::other)?;
    let rows = fields.as_object().into_iter().flatten();
    if session.output.format == Format::Name {
        return rows.map(|(name, _)| name).try_for_each(|name| session.output.line(name));
    }
    let rows = rows.map(|(name, value)| vec![name.clone(), value.to_string()]);
    let text = table::lines(&["LIMIT", "VALUE"], rows, &[1], session.output.colour);
    session.output.text(&text)
}
