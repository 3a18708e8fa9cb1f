//! `sgctl status`: the state of an instance. It asks `sgd serve`; without a server, as under `sgd run`, it reads the instance's
//! catalog, whether an agent runs or not. It must never change anything.

use std::io::Write;

use serde::Serialize;
use sg_agent::{Catalog, Instance};
use sg_api_types::Status;
use sg_audit::AuditStatus;

use crate::{
    args::Common,
    client::{Address, Call, ClientError},
    failure::Failure,
    names::Names,
    render::{Column, Render},
    session::{Session, in_force},
};

/// Show the state of the agent, and whether everything is in force.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Render for Status {
    const NOUN: &'static str = "instance";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("INSTANCE", |status| status.instance.clone()),
        Column::new("VERSION", |status| status.version.clone()),
        Column::new("IN-FORCE", |status| format!("{} of {} NICs", status.attached, status.local_nics)),
        Column::new("WAITING-FOR", |status| status.waiting.join(", ")),
        Column::new("NOT-FILTERED", |status| status.unfiltered.join(", ")),
        Column::new("PINNED", |status| without_agent(&status.pinned).to_owned()),
        Column::new("VPCS", |status| status.vpcs.to_string()),
        Column::new("GROUPS", |status| status.groups.to_string()),
        Column::new("RULES", |status| status.rules.to_string()),
        Column::new("NICS", |status| status.nics.to_string()),
        Column::new("INSTANCES", |status| status.instances.to_string()),
        Column::new("PREFIX-LISTS", |status| status.prefix_lists.to_string()),
        Column::new("PORT-LISTS", |status| status.port_lists.to_string()),
        Column::new("WRONG-SECRETS", |status| status.wrong_secrets.to_string()),
        Column::new("AUDIT", |status| status.audit.as_ref().map_or_else(String::new, audit)),
    ];

    fn id(&self) -> String {
        self.instance.clone()
    }
}

/// The state of an instance without a server. Fields have the meaning of those of [`Status`].
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unserved {
    instance: String,
    /// The agent's pid; none if no agent runs.
    agent_pid: Option<u32>,
    local_nics: usize,
    attached: usize,
    waiting: Vec<String>,
    unfiltered: Vec<String>,
    pinned: &'static str,
}

impl Unserved {
    fn of(instance: &Instance, catalog: &Catalog) -> Self {
        let is_waiting = |nic: &&sg_agent::NicRecord| nic.ifindex.is_none();
        let waiting: Vec<String> =
            catalog.nics.iter().filter(is_waiting).map(|nic| nic.device.clone()).collect();
        Self {
            instance: instance.name().to_owned(),
            agent_pid: instance.agent(),
            local_nics: catalog.nics.len(),
            attached: catalog.nics.len() - waiting.len(),
            waiting,
            unfiltered: catalog.left.iter().map(|left| left.device.clone()).collect(),
            pinned: catalog.pinned.name(),
        }
    }
}

impl Render for Unserved {
    const NOUN: &'static str = "instance";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("INSTANCE", |status| status.instance.clone()),
        Column::new("PROCESS", |status| {
            status.agent_pid.map_or_else(|| "none, the filter stays".to_owned(), |pid| pid.to_string())
        }),
        Column::new("IN-FORCE", |status| format!("{} of {} NICs", status.attached, status.local_nics)),
        Column::new("WAITING-FOR", |status| status.waiting.join(", ")),
        Column::new("NOT-FILTERED", |status| status.unfiltered.join(", ")),
        Column::new("PINNED", |status| without_agent(status.pinned).to_owned()),
    ];

    fn id(&self) -> String {
        self.instance.clone()
    }
}

/// The state of the audit trail.
fn audit(audit: &AuditStatus) -> String {
    let AuditStatus { file, lost, failing } = audit;
    match (failing, lost) {
        (Some(failing), lost) => format!("not written, {lost} entries lost: {failing}"),
        (None, 0) => file.clone(),
        (None, lost) => format!("{file}, {lost} entries lost"),
    }
}

/// What happens to the filter if the agent ends.
fn without_agent(pinned: &str) -> &'static str {
    match pinned {
        "host" => "host: the filter stays without the agent",
        "container" => "container: the filter may end with it",
        "private" => "private: the filter ends with the mount namespace of sgd",
        _ => "not known",
    }
}

pub(crate) fn run(_: &Args, common: &Common, out: &mut dyn Write) -> Result<(), Failure> {
    let mut session = Session::new(common, out)?;
    match session.client.call::<Status>(&Call::get(Address::of(&["status"]))) {
        Ok(status) => session.output.one(&status, &Names::default()),
        // A socket argument requires a server.
        Err(ClientError::NobodyThere { .. }) if !common.names_a_server() => {
            let instance = common.instance()?;
            let catalog = in_force(&instance)?;
            session.output.one(&Unserved::of(&instance, &catalog), &Names::default())
        }
        Err(error) => Err(error.into()),
    }
}
