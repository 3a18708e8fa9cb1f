//! `sgctl check --flow`: why, afterwards. A row that somebody pasted becomes a packet, and the rules in force judge it; whether they
//! are those that decided then, the generation of the row tells. It must never judge by itself: the agent does or, under `sgd run`,
//! which has no store, the oracle over the agent's document.

mod reasons;
mod row;

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sg_api_types::{CheckPacket, Checked, NicStatus, PolicySource, RefusedPolicy, Status};
use sg_model::text::escaped;
use sg_observe::record::Record;
use sg_oracle::Oracle;
use sg_probe::{Probe, Reader};
use sg_records::Protocol;

use crate::{
    args::{policy, write_time},
    client::{Address, Call, ClientError},
    commands::check::{explain, in_force},
    failure::Failure,
    file,
    names::{Names, Wanted},
    session::Session,
};
use reasons::{Meaning, meaning};
use row::{Row, RowError};

impl From<RowError> for Failure {
    fn from(error: RowError) -> Self {
        Self::input(anyhow!(error).context("--flow"))
    }
}

/// How much earlier than its first record a generation may seem to be in force: the time is taken after it was.
const LEEWAY: SignedDuration = SignedDuration::from_secs(2);

/// What is known of the rules between the row and now.
#[derive(Debug, PartialEq, Serialize)]
struct Since {
    /// Generation that decided, if the row has it.
    row: Option<u32>,
    /// Generation in force.
    in_force: u32,
    /// Since when it is.
    applied: Option<Timestamp>,
    /// Whether the rules changed since; `None`: the row does not tell.
    changed: Option<bool>,
    /// When the policy changed after the row, as far as that is remembered.
    changes: Vec<Timestamp>,
}

/// Everything, for programs.
#[derive(Serialize)]
struct Explained<'a> {
    row: &'a Row,
    generation: &'a Since,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    /// The verdict of the rules in force; absent: the row has no packet that could be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Value>,
}

/// What judges now.
enum Judged {
    /// The agent has.
    Agent(Box<Checked>),
    /// There is no store: this document is in force, or another version of it.
    Document(PathBuf),
}

pub(crate) fn run(text: &str, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let read;
    let text = if text == "-" {
        read = file::read_text(Path::new("-"))?;
        &read
    } else {
        text
    };
    let row = row::read(text)?;
    let meaning = row.reason.as_deref().and_then(meaning);
    // A reason that needs no parsed packet is explained without one.
    let packet = match row.packet() {
        Ok(packet) => Some(packet),
        Err(_) if meaning.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    let status: Status = session.get(Address::of(&["status"]))?;
    let Some(nic) = nic_of(&row, &status) else {
        if let (Some(meaning), true) = (meaning, row.nic.is_empty()) {
            return without_nic(&row, meaning, session);
        }
        return Err(Failure::not_found(anyhow!(
            "the row is of NIC {:?}, which is not in force any more: there are {}",
            row.nic,
            status.in_force.iter().map(|nic| nic.device.as_str()).collect::<Vec<_>>().join(", ")
        )));
    };
    let since = since(&row, nic, session)?;
    let judged = match packet {
        Some(packet) => {
            let packet = CheckPacket { nic: nic.id.clone().unwrap_or_else(|| nic.device.clone()), ..packet };
            Some((judge(&packet, &status, session)?, packet))
        }
        None => None,
    };
    if session.output.format.is_data() {
        let now = match &judged {
            None => None,
            Some((Judged::Agent(checked), _)) => Some(serde_json::to_value(checked).map_err(Failure::other)?),
            Some((Judged::Document(path), packet)) => Some(by_document(path, packet, &nic.device, None)?),
        };
        let (why, next) = (meaning.map(|meaning| meaning.why), meaning.map(|meaning| meaning.next));
        return session.output.data(&Explained { row: &row, generation: &since, why, next, now });
    }
    say_row(&row, Some(&nic.device), session)?;
    for line in lines_of(&since, &nic.device) {
        session.output.line(&line)?;
    }
    if let Some(Meaning { why, next }) = meaning {
        session.output.line(&format!("why: {why}"))?;
        session.output.line(&format!("next: {next}"))?;
    }
    let Some((judged, packet)) = judged else { return Ok(()) };
    if let Some(folded) = row.folded() {
        session.output.line(&format!("the row stands for {folded}; judged for {}", packet.remote))?;
    }
    session.output.line("now, for a packet that starts such a flow:")?;
    match judged {
        Judged::Agent(checked) => in_force::explain(session, &checked),
        Judged::Document(path) => {
            say_document(&path, status.refused.as_ref(), session)?;
            by_document(&path, &packet, &nic.device, Some(session.output.out)).map(drop)
        }
    }
}

/// A row of a device that is no NIC.
fn without_nic(row: &Row, meaning: Meaning, session: &mut Session<'_>) -> Result<(), Failure> {
    let Meaning { why, next } = meaning;
    if session.output.format.is_data() {
        let since = Since { row: None, in_force: 0, applied: None, changed: None, changes: Vec::new() };
        let (why, next) = (Some(why), Some(next));
        return session.output.data(&Explained { row, generation: &since, why, next, now: None });
    }
    say_row(row, None, session)?;
    session.output.line(&format!("why: {why}"))?;
    session.output.line(&format!("next: {next}"))
}

fn nic_of<'s>(row: &Row, status: &'s Status) -> Option<&'s NicStatus> {
    let is_it = |nic: &&NicStatus| {
        let names = [Some(&row.nic), row.device.as_ref()];
        names.into_iter().flatten().any(|name| *name == nic.device || Some(name) == nic.id.as_ref())
    };
    status.in_force.iter().find(is_it)
}

fn since(row: &Row, nic: &NicStatus, session: &mut Session<'_>) -> Result<Since, Failure> {
    // After a reboot, generations are counted anew: an older row may have the number of rules that it never met.
    let is_older = row.at.zip(nic.applied).is_some_and(|(at, applied)| at < applied - LEEWAY);
    let changed = row.generation.map(|generation| generation != nic.generation || is_older);
    let changes = match (changed, row.at) {
        (Some(true), Some(at)) => changes_after(at, session)?,
        _ => Vec::new(),
    };
    Ok(Since { row: row.generation, in_force: nic.generation, applied: nic.applied, changed, changes })
}

/// When the policy changed after `at`, as far as the observer remembers.
fn changes_after(at: Timestamp, session: &mut Session<'_>) -> Result<Vec<Timestamp>, Failure> {
    let address = Address::of(&["observe"]).with("event", "policy").with("since", at);
    let lines = session.client.raw(&Call::get(address))?;
    let records = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut changes: Vec<_> = records.map(|record: Record| record.end).filter(|end| *end > at).collect();
    changes.sort_unstable();
    Ok(changes)
}

fn judge(packet: &CheckPacket, status: &Status, session: &mut Session<'_>) -> Result<Judged, Failure> {
    let call = Call::change(Method::POST, Address::of(&["check"])).with_json(packet)?.question();
    match (session.client.call(&call), &status.policy) {
        (Ok(checked), _) => Ok(Judged::Agent(Box::new(checked))),
        (Err(error), PolicySource::Document { path, owner_uid: _ }) if is_no_store(&error) => {
            Ok(Judged::Document(path.into()))
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn is_no_store(error: &ClientError) -> bool {
    error.is_one_of(&["no_store", "read_only"])
}

/// Judges by the rules of a document; with `out`, in words.
fn by_document(
    path: &Path,
    packet: &CheckPacket,
    device: &str,
    out: Option<&mut dyn io::Write>,
) -> Result<Value, Failure> {
    let policy = policy::read(path)?.policy;
    let index = Reader::new(&policy).nic(device).map_err(Failure::not_found)?;
    let (Protocol::Number(protocol), Some(local)) = (packet.protocol, packet.local) else {
        return Err(Failure::input(anyhow!("--flow: the row has no protocol and local address")));
    };
    let probe = Probe::new(packet.parts(index, protocol, local)).map_err(Failure::input)?;
    let explanation = Oracle::new(&policy).explain(&probe);
    if let Some(out) = out {
        explain::write(&policy, &probe, &explanation, out)?;
    }
    serde_json::to_value(explanation.result.written(&policy)).map_err(Failure::other)
}

/// The row, on this device, and who decided then.
fn say_row(row: &Row, device: Option<&str>, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut wanted = Wanted::default();
    wanted.ids("groups", row.group.iter().chain(&row.groups));
    let names = session.names(&wanted)?;
    let output = &mut session.output;
    output.line(&format!("{} {}", device.unwrap_or("no NIC"), row.words()))?;
    let at = row.at.map(|at| format!(" at {}", write_time(at))).unwrap_or_default();
    let verdict = output.paint_as(row.verdict, row.verdict);
    output.painted(&format!("then: {verdict} {}{at}", escaped(&decided(row, &names))))
}

/// What decided then, in words.
fn decided(row: &Row, names: &Names) -> String {
    let group = row.group.as_ref().map(|group| format!(" of group {}", names.of(group))).unwrap_or_default();
    match (&row.rule, row.reason.as_deref()) {
        (Some(rule), _) => format!("by rule {rule}{group}"),
        (None, Some("rule")) => "by a rule that does not exist any more".to_owned(),
        (None, Some("intra-group")) if row.group.is_none() => {
            "between members of a group that does not exist any more".to_owned()
        }
        (None, Some("intra-group")) => format!("between members{group}"),
        (None, Some("default")) if !row.groups.is_empty() => {
            format!("by the default, after no rule of {} matched", names.all(&row.groups))
        }
        (None, Some("default")) => "by the default".to_owned(),
        (None, Some(reason)) => format!("as {reason}"),
        (None, None) => "by what the row does not name".to_owned(),
    }
}

/// Whether the rules are still those that decided.
fn lines_of(since: &Since, device: &str) -> Vec<String> {
    let Since { row, in_force, applied, changed, changes } = since;
    let applied = applied.map(|at| format!(", since {}", write_time(at))).unwrap_or_default();
    match (changed, row, &changes[..]) {
        (Some(true), Some(row), changes) => {
            let again = if row == in_force {
                "; the numbers are the same, but were counted anew in between, as after a reboot"
            } else {
                ""
            };
            let first = format!(
                "the rules of {device} have changed since then: the row is of generation {row}, in force is {in_force}{applied}{again}"
            );
            let first_change = changes.first().map(|at| {
                let more = changes.len() - 1;
                let more = if more > 0 { format!(" (and {more} more since)") } else { String::new() };
                format!("the policy changed at {}{more}: `sgctl history` says who did it", write_time(*at))
            });
            [Some(first), first_change].into_iter().flatten().collect()
        }
        (Some(_), _, _) => {
            vec![format!("the rules of {device} are those that decided: generation {in_force}{applied}")]
        }
        (None, _, _) => {
            vec![format!(
                "the row does not say which rules decided; in force is generation {in_force}{applied}"
            )]
        }
    }
}

fn say_document(
    path: &Path,
    refused: Option<&RefusedPolicy>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let note = match refused {
        Some(refused) => {
            format!(", which was refused at {}: what is in force is older", write_time(refused.at))
        }
        None => String::new(),
    };
    session.output.line(&format!("by {}{note}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str) -> Row {
        row::read(line).unwrap()
    }

    #[test]
    fn who_decided_is_said_in_words() {
        let line = |decider: &str| {
            format!(
                "2026-11-30T13:29:28.123Z denied drop ingress eth0 192.0.2.7:5 -> 10.0.0.5:443 tcp {decider} 3 pkts 180 B gen 7"
            )
        };
        let names = Names::from_iter([("sg-1".to_owned(), "web".to_owned())]);
        for (decider, words) in [
            ("sg-1/no-https", "by rule no-https of group web"),
            ("sg-1/intra-group", "between members of group web"),
            ("default(sg-1,sg-2)", "by the default, after no rule of web,sg-2 matched"),
            ("default", "by the default"),
            ("malformed", "as malformed"),
            ("-", "by what the row does not name"),
        ] {
            assert_eq!(decided(&row(&line(decider)), &names), words, "{decider}");
        }
        for (cells, words) in [
            ("(gone) (gone)", "by a rule that does not exist any more"),
            ("(gone) -", "between members of a group that does not exist any more"),
        ] {
            let flow = format!("eth0 - tcp ingress 192.0.2.7:5 10.0.0.5:443 established {cells} 3/2 180/120");
            assert_eq!(decided(&row(&flow), &names), words, "{cells}");
        }
    }

    #[test]
    fn a_change_of_the_rules_is_said_with_its_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut since = Since {
            row: Some(7),
            in_force: 9,
            applied: Some(at("2026-11-30T14:00:00.5Z")),
            changed: Some(true),
            changes: vec![at("2026-11-30T13:00:00Z"), at("2026-11-30T14:00:00Z")],
        };
        assert_eq!(
            lines_of(&since, "eth0"),
            [
                "the rules of eth0 have changed since then: the row is of generation 7, in force is 9, since 2026-11-30T14:00:00Z",
                "the policy changed at 2026-11-30T13:00:00Z (and 1 more since): `sgctl history` says who did it"
            ]
        );
        since.row = Some(9);
        assert!(lines_of(&since, "eth0")[0].ends_with("counted anew in between, as after a reboot"));
        since.changed = Some(false);
        assert_eq!(
            lines_of(&since, "eth0"),
            ["the rules of eth0 are those that decided: generation 9, since 2026-11-30T14:00:00Z"]
        );
        (since.row, since.changed) = (None, None);
        assert!(
            lines_of(&since, "eth0")[0]
                .starts_with("the row does not say which rules decided; in force is generation 9")
        );
    }
}
