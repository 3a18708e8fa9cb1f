//! `POST /v1/search`: which packets get some verdict of what is in force, exactly. It must never judge a packet: `sg-diff` does.
//! `mod.rs` calls `declare` once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sg_api_types::{Found, FoundLine, FoundQuery, Search, UndecidedNic};
use sg_diff::{By, Line, WrittenFound, search};
use sg_inspect::InspectError;
use sg_model::{
    Family, GroupIndex, Indices, Over, Packets, Policy, PortListIndex, PrefixListIndex, Resolve, whole_group,
};
use sg_records::{
    GroupId, Ids, InPolicy, KeyRole::Viewer, PortEntry, PortListId, PrefixEntry, PrefixListId, RuleId,
};
use sg_service::{Namer, Refusal, State, policy_with};

use super::{
    Native,
    diff::{LINES, LONGEST, MOST_LINES, line_packets, outcome},
    error::Failed,
    host::facts,
    policy_tests::missing,
    request::RequestContext,
    route::Route,
    routes::Routes,
};

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::post("/v1/search", "Find the packets that get some verdict of what is in force");
    routes.inquire::<Search, Found>(route.needs(Viewer).with::<FoundQuery>(), |native, context, wanted| {
        found(native, context, &wanted)
    });
}

fn found(native: &Native, context: &RequestContext, wanted: &Search) -> Result<Found, Failed> {
    let FoundQuery { all, limit, time } = context.query()?;
    let most = limit.map_or(LINES, |limit| limit as usize);
    if most > MOST_LINES {
        return Err(Failed::Malformed(format!("limit: {most} is not 0 to {MOST_LINES}")));
    }
    let most = if all { usize::MAX } else { most };
    let time = time.unwrap_or(LONGEST);
    if !(1..=LONGEST).contains(&time) {
        return Err(Failed::Malformed(format!("time: {time} is not 1 to {LONGEST} seconds")));
    }
    let until = Instant::now() + Duration::from_secs(time.into());
    wanted.check().map_err(|error| Failed::Malformed(error.to_string()))?;
    if let Some(service) = &native.service {
        let state = service.snapshot();
        let (policy, packets, rule) = in_store(&state, wanted)?;
        return Ok(of_policy(&policy, &packets, (wanted, rule.as_deref()), until, most, Some(&state)));
    }
    let in_force = native.hits.in_force();
    let policy = in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
    let packets = in_document(policy, wanted)?;
    Ok(of_policy(policy, &[packets], (wanted, wanted.rule.as_deref()), until, most, None))
}

/// The packets in the policy of a document.
fn in_document(policy: &Policy, wanted: &Search) -> Result<Packets, Failed> {
    let mut names = InPolicy(policy);
    let over = match (&wanted.nic, &wanted.group) {
        (Some(nic), _) if policy.nic(nic).is_none() => return Err(Failed::NoNic { nic: nic.clone() }),
        (Some(nic), _) => Over::Device(nic.clone()),
        (None, Some(group)) => Over::Group(names.group(group).map_err(missing)?),
        (None, None) => Over::Every,
    };
    wanted.packets(over, &mut names).map_err(missing)
}

/// The policy of a store, the packets over each kind of NICs that are meant, and the id of the rule.
fn in_store(state: &State, wanted: &Search) -> Result<(Policy, Vec<Packets>, Option<String>), Failed> {
    let group = wanted.group.as_ref().map(|group| state.find_group(group.as_str())).transpose()?;
    let group = group.map(|group| group.id.clone());
    let device = match &wanted.nic {
        None => None,
        Some(nic) => {
            let found = state.find_target(nic)?;
            let elsewhere =
                || Failed::Malformed(format!("NIC {nic:?} is on another host: ask the agent there"));
            Some(found.device.clone().ok_or_else(elsewhere)?)
        }
    };
    let rule = wanted.rule.as_ref().map(|rule| state.find_rule(rule, group.as_ref())).transpose()?;
    let rule = rule.map(|rule| rule.id.to_string());
    let (mut policy, packets) = policy_with(state, |namer| {
        let over = match (device, &group) {
            (Some(device), _) => vec![Over::Device(device)],
            (None, Some(group)) => {
                namer.held(group).map_err(|error| broken(&error))?.into_iter().map(Over::Group).collect()
            }
            (None, None) => vec![Over::Every],
        };
        let mut names = InStore { state, namer };
        let packets = over.into_iter().map(|over| {
            names.namer.stand_at(&over);
            Ok(wanted.packets(over, &mut names)?)
        });
        packets.collect::<Result<Vec<_>, Failed>>()
    })
    .map_err(|error| broken(&error))?;
    policy.set_device_facts(facts()?);
    Ok((policy, packets?, rule))
}

/// Finds what a request names in a store.
struct InStore<'s, 'p, 'a> {
    state: &'s State,
    namer: &'s mut Namer<'p, 'a>,
}

fn broken(error: &sg_service::ProjectError) -> Refusal {
    Refusal::Unenforceable { reason: error.to_string() }
}

impl Resolve<Ids, Indices> for InStore<'_, '_, '_> {
    type Error = Refusal;

    fn group(&mut self, group: &GroupId) -> Result<GroupIndex, Refusal> {
        let id = self.state.find_group(group.as_str())?.id.clone();
        self.namer.group(&id).map_err(|error| broken(&error))
    }

    fn prefix_list(&mut self, list: &PrefixListId) -> Result<PrefixListIndex, Refusal> {
        let id = self.state.find_list::<PrefixEntry>(list.as_str())?.id.clone();
        self.namer.prefix_list(&id).map_err(|error| broken(&error))
    }

    fn port_list(&mut self, list: &PortListId) -> Result<PortListIndex, Refusal> {
        let id = self.state.find_list::<PortEntry>(list.as_str())?.id.clone();
        self.namer.port_list(&id).map_err(|error| broken(&error))
    }
}

fn of_policy(
    policy: &Policy,
    packets: &[Packets],
    (wanted, rule): (&Search, Option<&str>),
    until: Instant,
    most: usize,
    state: Option<&State>,
) -> Found {
    let verdicts: Vec<_> = wanted.verdicts().into_iter().map(Into::into).collect();
    let (mut lines, mut undecided, mut idle) = (Vec::new(), Vec::new(), true);
    for packets in packets {
        let left = until.saturating_duration_since(Instant::now());
        let part = search(policy, packets, &verdicts, rule, left);
        lines.extend(part.lines);
        undecided.extend(part.undecided);
        idle &= part.idle;
    }
    lines.sort_by_key(|line| line.remote.is_some());
    let names = state.map(|state| names(state, lines.iter().take(most))).unwrap_or_default();
    let called = |id: &str| names.get(whole_group(id)).cloned();
    let shown = lines.iter().take(most).map(|line| {
        let text = format!("{}: {}", line.packets(&called), line.after.words(&called));
        written(line, line.written_found(policy.nic(line.nic)), text)
    });
    let undecided = undecided.into_iter().map(|(nic, direction, family)| UndecidedNic {
        nic: nic.to_owned(),
        direction: direction.into(),
        family: if family == Family::V4 { 4 } else { 6 },
    });
    Found {
        lines: shown.collect(),
        left_out: lines.len().saturating_sub(most),
        undecided: undecided.collect(),
        names,
        idle,
    }
}

/// The names of the ids that lines mention.
fn names<'l>(state: &State, lines: impl Iterator<Item = &'l Line<'l>>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for line in lines {
        let (group, rule) = match line.after.by {
            By::Group(group) => (Some(group), None),
            By::Rule { group, rule } => (Some(group), Some(rule)),
            By::Reason(_) | By::Default | By::Unfiltered => (None, None),
        };
        let group =
            group.map(whole_group).and_then(|id| Some((id, &state.group(&GroupId::from(id))?.label.name)));
        let rule = rule.and_then(|id| Some((id, &state.rule(&RuleId::from(id))?.spec.name)));
        let found = group.into_iter().chain(rule).filter(|(_, name)| !name.is_empty());
        names.extend(found.map(|(id, name)| (id.to_owned(), name.clone())));
    }
    names
}

fn written(of: &Line<'_>, line: WrittenFound<'_>, text: String) -> FoundLine {
    let WrittenFound { packets, by, sample } = line;
    FoundLine {
        packets: line_packets(of, packets),
        outcome: outcome(by),
        sample: serde_json::to_value(sample).unwrap_or_default(),
        text,
    }
}
