//! What every command needs: the server, the output, and the names of what it prints. It must never know what a command is for. The
//! commands call it, and `resource`.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::anyhow;
use hyper::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sg_agent::{Catalog, CatalogError, Instance};
use sg_api_types::{Age, LARGEST_PAGE, Page, Status};

use crate::{
    args::common::Common,
    client::{
        address::Address,
        error::ClientError,
        http::{Call, Client},
        server::Server,
    },
    failure::Failure,
    names::{Names, Wanted},
    render::{column::Render, output::Output},
    stderr::say,
};

/// The maximum number of ids in one request: its URL must not get too long.
const AT_ONCE: usize = 100;

/// The context of a command.
pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) output: Output<'a>,
}

/// The instance whose filter a command reads. The server determines it only if no name does.
pub(crate) fn filter_of(common: &Common) -> Result<Instance, Failure> {
    let common = &common.of_this_host()?;
    if common.instance.is_some() || !common.names_a_server() {
        return common.instance();
    }
    let status: Status = Session::new(common, &mut io::sink())?.get(Address::of(&["status"]))?;
    Instance::new(&status.instance).map_err(Failure::other)
}

/// What the agent of this host responds, or the named server. `None`: no agent serves the request, and what is pinned must be
/// read instead.
pub(crate) fn ask_agent<T: DeserializeOwned>(common: &Common, call: &Call) -> Result<Option<T>, Failure> {
    match Session::new(common, &mut io::sink())?.client.call(call) {
        Ok(response) => Ok(Some(response)),
        // Whoever may not ask the agent is told who may look.
        Err(ClientError::NobodyThere { .. } | ClientError::NotAllowed { .. }) if !common.names_a_server() => {
            Ok(None)
        }
        // `sgd run`, which is only looked at, or an agent of an earlier version.
        Err(error) if common.server.is_none() && error.is_one_of(&["read_only", "no_such_path"]) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the agent has no store of what was requested.
fn is_no_store(failure: &Failure) -> bool {
    failure.is_a::<ClientError>().is_some_and(|error| error.is_one_of(&["no_store"]))
}

/// What an instance has in force, as its agent left it written.
pub(crate) fn in_force(instance: &Instance) -> Result<Catalog, Failure> {
    Catalog::load(&instance.catalog()).map_err(|error| match error {
        CatalogError::Missing { .. } => Failure::other(anyhow!(
            "nothing of instance {} is in force: start it with `sgd run` or `sgd serve`",
            instance.name()
        )),
        error => Failure::other(error),
    })
}

/// An object that others refer to.
#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

impl<'a> Session<'a> {
    pub(crate) fn new(common: &Common, out: &'a mut dyn Write) -> Result<Self, Failure> {
        let server = Server::of(common)?;
        let output = Output::new(&common.output, out)?;
        if let Server::Tcp(tcp) = &server
            && !tcp.is_local()
        {
            // Whatever the format of the output: a script should not hide it.
            say(&format!(
                "sgctl: warning: the connection to {server} is not encrypted, and the access key travels on it"
            ));
        }
        let client = Client::new(server, Duration::from_secs(u64::from(common.timeout)))?
            .forcing(common.force, common.skip_tests)
            .because(common.reason.clone());
        Ok(Self { client, output })
    }

    /// Sends a request that takes a while, and shows progress.
    pub(crate) fn waiting<T: DeserializeOwned>(&mut self, what: &str, call: &Call) -> Result<T, ClientError> {
        let progress = self.output.progress_of(what, self.client.transferred());
        let response = self.client.call(call);
        drop(progress);
        response
    }

    /// Fetches an object.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, address: impl Into<String>) -> Result<T, Failure> {
        Ok(self.client.call(&Call::get(address))?)
    }

    /// Remarks since when rules are observed: nobody knows what was unused before.
    pub(crate) fn observed(&self, since: Option<Timestamp>) {
        self.output.remark(&match since {
            Some(since) => {
                let observed = Age::of_seconds(Timestamp::now().duration_since(since).as_secs());
                format!("observed for {observed}, since {since:.0}")
            }
            None => "no rule here is observed: no NIC of this host holds it".to_owned(),
        });
    }

    /// Sends a change.
    pub(crate) fn change<T: DeserializeOwned>(
        &mut self,
        method: Method,
        address: impl Into<String>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let call = Call::change(method, address).with_json(body)?;
        Ok(self.client.call(&call)?)
    }

    /// Sends a change of the object at the address: `target` is the field of the body that would repeat it.
    pub(crate) fn change_one<T: DeserializeOwned>(
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

    /// At most `most` objects at an address, and their total number.
    pub(crate) fn pages<T: DeserializeOwned>(
        &mut self,
        address: &Address,
        most: usize,
    ) -> Result<(Vec<T>, usize), Failure> {
        let progress = self.output.progress("reading");
        let (mut things, mut after) = (Vec::new(), None);
        loop {
            let limit = (most - things.len()).clamp(1, LARGEST_PAGE);
            let page = address.clone().with("limit", limit).with_some("after", after.as_ref());
            let page: Page<T> = self.client.call(&Call::get(page))?;
            // A server that repeats a page must not loop forever.
            let ends = page.items.is_empty() || page.next.is_none() || page.next == after;
            things.extend(page.items);
            things.truncate(most);
            progress.say(format!("reading {} of {}", things.len(), page.total));
            if ends || things.len() >= most {
                return Ok((things, page.total));
            }
            after = page.next;
        }
    }
    /// The names of the objects that `things` refer to, for people.
    pub(crate) fn names_for<T: Render>(&mut self, things: &[T]) -> Result<Names, Failure> {
        let mut wanted = Wanted::default();
        if self.output.format.is_table() {
            for thing in things {
                thing.mentions(&mut wanted);
            }
        }
        self.names(&wanted)
    }

    /// Fetches the names of ids.
    pub(crate) fn names(&mut self, wanted: &Wanted) -> Result<Names, Failure> {
        let mut names = Names::default();
        for (collection, ids) in wanted.collections() {
            for some in ids.chunks(AT_ONCE) {
                let address = Address::of(&[collection]).with("name", some.join(","));
                let (found, _) = match self.pages::<Named>(&address, some.len()) {
                    // Under `sgd run`, ids are the names in its document.
                    Err(failure) if is_no_store(&failure) => return Ok(names),
                    found => found?,
                };
                let found = found.into_iter().filter(|named| !named.name.is_empty());
                names.extend(found.map(|named| (named.id, named.name)));
            }
        }
        Ok(names)
    }
}
