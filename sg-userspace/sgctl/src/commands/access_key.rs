//! `sgctl access-key`: the access keys that sign requests of vendors' clients.

use clap::Subcommand;
use hyper::Method;
use sg_api_types::{AccessKeyView, CreateAccessKey, NewAccessKey};
use sg_records::KeyRole;

use crate::{
    args::{named, write_time},
    client::{Address, Call},
    failure::Failure,
    names::Names,
    render::{Column, Render, Yes},
    resource::Resource,
    session::Session,
};

/// Access keys, with which clients sign their requests.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List access keys, without their secrets.
    List,
    /// Create an access key and show its secret, this one time.
    Create {
        /// Description: who it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// What the key may do.
        #[arg(long, value_enum, default_value_t)]
        role: KeyRole,
        /// Region whose project id is shown, for clients that name a project. Default: the region that the server lists first.
        #[arg(long)]
        region: Option<String>,
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

impl Render for AccessKeyView {
    const NOUN: &'static str = "access key";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |key| key.id.to_string()),
        Column::new("ROLE", |key| key.role.to_string()),
        Column::new("CREATED", |key| write_time(key.created)),
        Column::new("DESCRIPTION", |key| key.description.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Render for NewAccessKey {
    const NOUN: &'static str = "access key";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("ID", |key| key.id.to_string()),
        Column::new("SECRET", |key| key.secret.clone()),
        Column::new("ROLE", |key| key.role.to_string()),
        Column::wide("PROJECT-ID", |key| key.project_id.clone()),
    ];

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Resource for AccessKeyView {
    const COLLECTION: &'static str = "access-keys";
    const TARGET: &'static str = "key";
    type Item = Self;
    type View = Self;
}

pub(crate) fn run(verb: Verb, session: &mut Session<'_>) -> Result<(), Failure> {
    let collection = Address::of(&[AccessKeyView::COLLECTION]);
    match verb {
        Verb::List => {
            let keys: Vec<AccessKeyView> = session.get(collection)?;
            session.output.many(&keys, &Names::default())
        }
        Verb::Create { description, role, region } => {
            let [description, region] = [description, region].map(Option::unwrap_or_default);
            let body = CreateAccessKey { description, role, region };
            // With a token, the server would keep the response, and with it the secret, for a day.
            let call = Call::change(Method::POST, collection).without_token().with_json(&body)?;
            let key: NewAccessKey = session.client.call(&call)?;
            session.output.one(&key, &Names::default())?;
            session.output.remark("this secret is not shown again");
            Ok(())
        }
        Verb::Delete { keys, yes } => session.delete::<AccessKeyView>(&keys, yes),
    }
}
