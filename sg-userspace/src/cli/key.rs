//! `sgctl key`: the access keys that sign requests of vendors' clients.

use clap::Subcommand;
use hyper::Method;

use super::{
    address::Address,
    args::{named, write_time},
    client::Call,
    failure::Failure,
    names::Names,
    output::Yes,
    session::Session,
    table::{Column, Render},
};
use crate::service::{CreateKey, KeyView, NewKey};

const EXAMPLES: &str = "Examples:
  sgctl key create --description 'terraform on ci-3'
  sgctl key delete ak-p7…";

/// Access keys, with which clients sign their requests.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List access keys, without their secrets.
    List,
    /// Create an access key and show its secret, this one time.
    Create {
        /// Description: who it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete access keys. Requests signed with them are refused from now on.
    Delete {
        /// Ids.
        #[arg(required = true, value_name = "KEY", value_parser = named())]
        keys: Vec<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

impl Render for KeyView {
    const NOUN: &'static str = "key";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |key| key.id.to_string()),
        Column::new("CREATED", |key| write_time(key.created)),
        Column::new("DESCRIPTION", |key| key.description.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Render for NewKey {
    const NOUN: &'static str = "key";
    const COLUMNS: &'static [Column<Self>] =
        &[Column::new("ID", |key| key.id.to_string()), Column::new("SECRET", |key| key.secret.clone())];

    fn id(&self) -> String {
        self.id.to_string()
    }
}

pub(super) fn run(typed: Args, session: &mut Session<'_>) -> Result<(), Failure> {
    match typed.verb {
        Verb::List => {
            let keys: Vec<KeyView> = session.get(Address::of(&["keys"]))?;
            session.output.many(&keys, &Names::default())
        }
        Verb::Create { description } => {
            let body = CreateKey { description: description.unwrap_or_default() };
            // With a token, the server would keep the response, and with it the secret, for a day.
            let call = Call::change(Method::POST, Address::of(&["keys"])).without_token().with_json(&body)?;
            let key: NewKey = session.client.call(&call)?;
            session.output.one(&key, &Names::default())?;
            session.output.remark("nothing shows the secret again");
            Ok(())
        }
        Verb::Delete { keys, yes } => session.delete("key", "keys", &keys, yes),
    }
}
