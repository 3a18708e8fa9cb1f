//! What every verb needs: the server, and the output.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, builder::NonEmptyStringValueParser, value_parser};
use hyper::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    address::Address,
    client::{Call, Client},
    client_error::ClientError,
    failure::Failure,
    output::{Format, Output, Yes},
    table::Render,
};
use crate::{agent::Instance, api::native::Status};

/// The words for removing NICs and instances.
pub(super) const REMOVE: [&str; 2] = ["Remove", "removed"];

const HEADING: &str = "Options of every command";

/// Where the server is, and how to say what it answers.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Socket of `sgd serve` [default: that of --agent].
    #[arg(long, global = true, value_name = "PATH", env = "SGCTL_SOCKET", help_heading = HEADING)]
    pub(super) socket: Option<PathBuf>,
    /// Instance, as in `sgd --instance` [default: sgd].
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = HEADING
    )]
    agent: Option<String>,
    /// Time to wait for a response, in seconds.
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = value_parser!(u32).range(1..),
        help_heading = HEADING
    )]
    timeout: u32,
    /// Output format.
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "table",
        help_heading = HEADING
    )]
    output: Format,
    /// The same as `--output json`.
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
}

impl Common {
    /// The instance, without a socket that determines it.
    pub(super) fn agent(&self) -> Result<Instance, Failure> {
        Instance::new(self.agent.as_deref().unwrap_or("sgd")).map_err(Failure::input)
    }

    /// The instance of the filter. The socket determines it only if no name does.
    pub(super) fn filter(&self) -> Result<Instance, Failure> {
        if self.agent.is_some() || self.socket.is_none() {
            return self.agent();
        }
        let status: Status = Session::new(self, &mut io::sink())?.get(Address::of(&["status"]))?;
        Instance::new(&status.instance).map_err(Failure::other)
    }

    pub(super) const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// The context of a verb.
pub(super) struct Session<'a> {
    pub(super) client: Client,
    pub(super) output: Output<'a>,
}

impl<'a> Session<'a> {
    pub(super) fn new(common: &Common, out: &'a mut dyn Write) -> Result<Self, Failure> {
        let socket = match &common.socket {
            Some(socket) => socket.clone(),
            None => common.agent()?.socket(),
        };
        let client = Client::new(socket, Duration::from_secs(u64::from(common.timeout)))?;
        Ok(Self { client, output: Output::new(common.format(), out) })
    }

    /// Sends a request that takes a while, and shows progress.
    pub(super) fn waiting<T: DeserializeOwned>(&mut self, what: &str, call: &Call) -> Result<T, ClientError> {
        let progress = self.output.progress_of(what, self.client.moved());
        let answer = self.client.call(call);
        drop(progress);
        answer
    }

    /// Fetches an object.
    pub(super) fn get<T: DeserializeOwned>(&mut self, address: impl Into<String>) -> Result<T, Failure> {
        Ok(self.client.call(&Call::get(address))?)
    }

    /// Sends a change.
    pub(super) fn change<T: DeserializeOwned>(
        &mut self,
        method: Method,
        address: impl Into<String>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let call = Call::change(method, address).with_json(body)?;
        Ok(self.client.call(&call)?)
    }

    /// Sends a change of the object at the address: `target` is the field of the body that would repeat it.
    pub(super) fn change_one<T: DeserializeOwned>(
        &mut self,
        method: Method,
        address: impl Into<String>,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut body = serde_json::to_value(body).map_err(Failure::other)?;
        if let Some(fields) = body.as_object_mut() {
            fields.remove(target);
        }
        self.change(method, address, &body)
    }

    /// Fetches an object and prints it.
    pub(super) fn show<T: Render + DeserializeOwned>(
        &mut self,
        address: impl Into<String>,
    ) -> Result<(), Failure> {
        let thing: T = self.get(address)?;
        let names = self.names_for(std::slice::from_ref(&thing))?;
        self.output.one(&thing, &names)
    }

    /// Deletes objects one after the other, after confirmation. If one is refused, those before it stay deleted.
    pub(super) fn delete(
        &mut self,
        noun: &str,
        collection: &str,
        names: &[String],
        yes: Yes,
    ) -> Result<(), Failure> {
        self.each(["Delete", "deleted"], noun, collection, names, yes)
    }

    /// Like [`Self::delete`], with other words for what to do and what was done.
    pub(super) fn each(
        &mut self,
        [verb, done]: [&str; 2],
        noun: &str,
        collection: &str,
        names: &[String],
        yes: Yes,
    ) -> Result<(), Failure> {
        self.output.confirm(&format!("{verb} {noun} {}?", names.join(", ")), yes.yes)?;
        let (mut deleted, mut failure) = (Vec::with_capacity(names.len()), None);
        for name in names {
            let call = Call::change(Method::DELETE, Address::of(&[collection, name]));
            match self.client.call::<OneOrMore>(&call) {
                Ok(ids) => deleted.extend(ids.texts()),
                Err(error) => {
                    failure = Some(error.into());
                    break;
                }
            }
        }
        if failure.is_none() || !deleted.is_empty() {
            self.output.done_ids(done, noun, &deleted)?;
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The id of a deleted object, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}
