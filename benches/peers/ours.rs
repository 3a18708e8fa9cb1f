//! `sgd` with a document, on TCX.

use anyhow::Result;
use sg_benches::cloud::{self, Rule};
use sg_tests::lab::{Agent, Attach, Host};

use super::{Filter, Peer};
use crate::forwarding_path::{LOCAL, OUTER};

pub(super) const PEER: Peer = Peer { name: "ours", commands: &[], conntrack: false, install };

fn install(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let agent = Agent::start(host, &cloud::document(rules, OUTER, LOCAL), Attach::Tcx.into())?;
    Ok(Filter::Agent(Box::new(agent)))
}
