//! `sgctl status`: the state of an instance. It asks the agent; without a server, it reads the instance's catalog, whether an agent
//! runs or not. It must never change anything.

use std::io::Write;

use serde::Serialize;
use sg_agent::{Catalog, Instance};
use sg_api_types::{NicStatus, PolicySource, Status, StoreCounts};
use sg_audit::AuditStatus;

use crate::{
    args::{Common, word, write_time},
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
        Column::wide("PROCESS", |status| status.agent_pid.to_string()),
        Column::wide("LAYOUT", |status| format!("{}, images {}", status.layout, status.image_version)),
        Column::new("POLICY", |status| policy(&status.policy)),
        Column::new("APPLIED", |status| {
            let applied = status.applied.as_ref();
            applied
                .map(|change| format!("{}, by {}", write_time(change.at), by(&change.cause)))
                .unwrap_or_default()
        }),
        Column::alone("TO-CONFIRM", |status| {
            let pending = status.pending.as_ref();
            pending
                .map(|pending| {
                    format!(
                        "change {} of {}, until {}",
                        pending.id,
                        pending.owner,
                        write_time(pending.deadline)
                    )
                })
                .unwrap_or_default()
        }),
        Column::alone("REFUSED-SINCE", |status| {
            let refused = status.refused.as_ref();
            refused
                .map(|refused| format!("{}: {}", write_time(refused.at), refused.reason))
                .unwrap_or_default()
        }),
        Column::new("IN-FORCE", |status| format!("{} of {} NICs", status.attached, status.local_nics)),
        Column::new("WAITING-FOR", |status| status.waiting.join(", ")),
        Column::alone("NOT-YET", |status| status.delayed.join("\n")),
        Column::new("NOT-FILTERED", |status| status.unfiltered.join(", ")),
        Column::new("PINNED", |status| without_agent(&status.pinned).to_owned()),
        Column::alone("NICS-IN-FORCE", |status| nics(&status.in_force)),
        Column::filled("VPCS", |status| stored(status, |store| store.vpcs)),
        Column::filled("GROUPS", |status| stored(status, |store| store.groups)),
        Column::filled("RULES", |status| stored(status, |store| store.rules)),
        Column::filled("NICS", |status| stored(status, |store| store.nics)),
        Column::filled("INSTANCES", |status| stored(status, |store| store.instances)),
        Column::filled("PREFIX-LISTS", |status| stored(status, |store| store.prefix_lists)),
        Column::filled("PORT-LISTS", |status| stored(status, |store| store.port_lists)),
        Column::filled("WRONG-SECRETS", |status| stored(status, |_| status.wrong_secrets)),
        Column::filled("AUDIT", |status| status.audit.as_ref().map_or_else(String::new, audit)),
    ];

    fn id(&self) -> String {
        self.instance.clone()
    }
}

/// Where the policy comes from.
fn policy(source: &PolicySource) -> String {
    match source {
        PolicySource::Store => "the store".to_owned(),
        PolicySource::Document { path, owner_uid: Some(owner) } => format!("{path}, of uid {owner}"),
        PolicySource::Document { path, owner_uid: None } => format!("{path}, which is not there"),
    }
}

/// What caused a change, in words.
fn by(cause: &str) -> &str {
    match cause {
        "start" => "the start of sgd",
        "policy" => "a change of the policy",
        "signal" => "SIGHUP",
        "devices" => "a change of devices",
        "retry" => "another attempt",
        other => other,
    }
}

/// A number of objects in the store; empty if there is none.
fn stored<N: ToString>(status: &Status, number: impl FnOnce(&StoreCounts) -> N) -> String {
    status.store.as_ref().map(|store| number(store).to_string()).unwrap_or_default()
}

/// The maximum number of NICs that are listed for people.
const LISTED: usize = 50;

/// What is in force for each NIC, one a line.
fn nics(nics: &[NicStatus]) -> String {
    let mut lines: Vec<String> = nics.iter().take(LISTED).map(nic).collect();
    let more = nics.len().saturating_sub(LISTED);
    if more > 0 {
        lines.push(format!("… {more} more; --json has all"));
    }
    lines.join("\n")
}

fn nic(nic: &NicStatus) -> String {
    let NicStatus { device, id, ifindex, hook, generation, image_bytes, applied, groups: _ } = nic;
    let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let hook = if ifindex.is_some() { word(hook) } else { "not attached".to_owned() };
    let image = image_bytes.map(|bytes| format!(", image of {bytes} bytes")).unwrap_or_default();
    let applied = applied.map(|at| format!(", since {}", write_time(at))).unwrap_or_default();
    format!("{device}{id}: {hook}, generation {generation}{image}{applied}")
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
