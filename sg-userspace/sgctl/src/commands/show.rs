//! `sgctl show`: what decides the packets of NICs: the effective rules in order of evaluation, or group after group, with counts and
//! last hits. It displays what the agent responds, and must never order anything itself.

use jiff::Timestamp;
use serde::Serialize;
use sg_api_types::{Age, EffectiveNic, EffectiveStep, StepKind};

use crate::{
    args::named,
    client::Address,
    commands::rule::write_hit,
    failure::Failure,
    names::{Names, Wanted},
    render::{Column, Render},
    session::Session,
};

/// Show the effective rules of NICs, in order of evaluation, with their counts and last hits.
///
/// The first step that matches a packet decides. A rule counts the packets of all NICs that hold its group.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this NIC: its device or, in a store, its id or name. Default: all NICs of this host.
    #[arg(long, value_name = "NIC", value_parser = named())]
    nic: Option<String>,
    /// Show the rules group after group, as written, disabled ones too.
    #[arg(long)]
    by_group: bool,
    /// Only rules that decided no packet for at least so long, such as 30d, and were observed as long.
    #[arg(long, value_name = "TIME")]
    unused: Option<Age>,
}

/// A step, as a row.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    device: String,
    step: EffectiveStep,
}

/// What references look like in a match, and the collections of what they name.
const REFERENCES: [(&str, &str); 3] =
    [("group:", "groups"), ("prefix-list:", "prefix-lists"), ("port-list:", "port-lists")];

/// The reference that a word of a match is: the collection and the id.
fn reference(word: &str) -> Option<(&'static str, &'static str, &str)> {
    REFERENCES
        .into_iter()
        .find_map(|(prefix, collection)| Some((prefix, collection, word.strip_prefix(prefix)?)))
}

/// The match, with names in place of ids.
fn matches(step: &EffectiveStep, names: &Names) -> String {
    let words = step.matches.split(' ').map(|word| match reference(word) {
        Some((prefix, _, id)) => format!("{prefix}{}", names.of(&id)),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Render for Row {
    const NOUN: &'static str = "rule";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::new("NIC", |row| row.device.clone()),
        Column::new("DIRECTION", |row| row.step.direction.to_string()),
        Column::named("GROUP", |row, names| {
            row.step.group.as_ref().map(|group| names.of(group)).unwrap_or_default()
        }),
        Column::new("RULE", |row| match (&row.step.rule, row.step.stage) {
            (Some(rule), _) => rule.clone(),
            (None, StepKind::IntraGroup) => "(between members)".to_owned(),
            (None, StepKind::Rule | StepKind::Default) => "(no rule matched)".to_owned(),
        }),
        Column::number("PRIORITY", |row| {
            row.step.priority.map(|priority| priority.to_string()).unwrap_or_default()
        }),
        Column::new("ACTION", |row| {
            if row.step.enabled { row.step.action.to_string() } else { "disabled".to_owned() }
        }),
        Column::named("MATCHES", |row, names| matches(&row.step, names)),
        Column::number("PACKETS", |row| row.step.count.packets.to_string()),
        Column::number("BYTES", |row| row.step.count.bytes.to_string()),
        Column::new("LAST-HIT", |row| write_hit(row.step.last_hit, row.step.observed_since)),
    ];

    fn id(&self) -> String {
        self.step.rule.clone().unwrap_or_default()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        wanted.ids("groups", &self.step.group);
        for (_, collection, id) in self.step.matches.split(' ').filter_map(reference) {
            wanted.ids(collection, [id]);
        }
    }
}

pub(crate) fn run(args: &Args, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["show"]).with_some("nic", args.nic.as_ref());
    let address = address.with_some("by_group", args.by_group.then_some(true));
    let nics: Vec<EffectiveNic> = session.get(address.clone().with_some("unused", args.unused))?;
    let mut since = nics.iter().flat_map(observed).min();
    if session.output.format.is_data() {
        session.output.data(&nics)?;
    } else {
        // Only a store has names apart from ids.
        let has_store = nics.iter().any(|nic| nic.id.is_some());
        let rows: Vec<Row> = nics.into_iter().flat_map(rows).collect();
        let names = if has_store { session.names_for(&rows)? } else { Names::default() };
        let rules = |row: &Row| row.step.rule.is_some() || session.output.format.is_table();
        let rows: Vec<Row> = rows.into_iter().filter(rules).collect();
        session.output.many(&rows, &names)?;
    }
    if args.unused.is_some() && session.output.remarks() {
        // Of no rule, others tell for how long rules are observed.
        if since.is_none() {
            let all: Vec<EffectiveNic> = session.get(address)?;
            since = all.iter().flat_map(observed).min();
        }
        session.observed(since);
    }
    Ok(())
}

fn rows(nic: EffectiveNic) -> impl Iterator<Item = Row> {
    let EffectiveNic { device, id: _, attached: _, generation: _, groups: _, steps } = nic;
    steps.into_iter().map(move |step| Row { device: device.clone(), step })
}

fn observed(nic: &EffectiveNic) -> impl Iterator<Item = Timestamp> {
    nic.steps.iter().filter(|step| step.rule.is_some()).filter_map(|step| step.observed_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_in_a_match_have_their_names() {
        let names = Names::from_iter([("sg-1".to_owned(), "ops".to_owned())]);
        let step: EffectiveStep = serde_json::from_value(serde_json::json!({
            "direction": "ingress", "stage": "rule", "group": "sg-1", "rule": "r", "action": "accept", "priority": 1,
            "matches": "tcp ports port-list:prl-1 remote group:sg-1", "enabled": true, "packets": 1, "bytes": 2,
        }))
        .unwrap();
        assert_eq!(matches(&step, &names), "tcp ports port-list:prl-1 remote group:ops");
    }
}
