//! `sgctl quota`: quotas.

use clap::Subcommand;
use hyper::Method;
use serde_json::{Map, Value};
use sg_api_types::ModifyQuotas;
use sg_records::Quotas;

use crate::{args::Format, client::Address, failure::Failure, render::Rows, session::Session};

/// Quotas: the maximum number of each resource.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the quotas.
    #[command(visible_alias = "show")]
    List,
    /// Change quotas. Unspecified ones are left unchanged. Resources beyond a new quota stay, and no more can be added.
    #[command(visible_alias = "set")]
    Modify {
        /// Name of a quota and its new value.
        #[arg(required = true, value_name = "NAME=NUMBER", value_parser = quota)]
        quotas: Vec<(String, u32)>,
    },
}

/// The columns of the table.
pub(crate) const TITLES: [&str; 2] = ["QUOTA", "VALUE"];

fn quota(text: &str) -> Result<(String, u32), String> {
    let (name, number) = text.split_once('=').ok_or("a quota is NAME=NUMBER")?;
    let number = number.parse().map_err(|_| format!("{number:?} is no number of 0 to {}", u32::MAX))?;
    let field = name.replace('-', "_");
    let known = fields(&Quotas::default());
    if !known.contains_key(&field) {
        let known: Vec<String> = known.keys().map(|known| shown(known)).collect();
        return Err(format!("there is no quota {name:?}; there are: {}", known.join(", ")));
    }
    Ok((field, number))
}

/// The quotas by their names in the API.
fn fields(quotas: &Quotas) -> Map<String, Value> {
    match serde_json::to_value(quotas) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The name of a quota as people write it.
fn shown(field: &str) -> String {
    field.replace('_', "-")
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["quotas"]);
    let quotas: Quotas = match verb {
        Verb::List => session.get(address)?,
        Verb::Modify { quotas } => {
            let change = quotas.into_iter().map(|(name, number)| (name, Value::from(number)));
            let change = Value::Object(change.collect::<Map<_, _>>());
            let body: ModifyQuotas = serde_json::from_value(change).map_err(Failure::input)?;
            session.change(Method::PATCH, address, &body)?
        }
    };
    if session.output.format.is_data() {
        return session.output.data(&quotas);
    }
    let fields = fields(&quotas);
    if session.output.format == Format::Name {
        return fields.keys().try_for_each(|name| session.output.line(&shown(name)));
    }
    let rows = fields.iter().map(|(name, value)| vec![shown(name), value.to_string()]);
    session.output.table(Rows::new(&TITLES, &["VALUE"], rows))
}
