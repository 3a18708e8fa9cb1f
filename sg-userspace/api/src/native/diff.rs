//! `POST /v1/diff`: what a document would change about what is in force, for packets and for live flows. The agent does not notice:
//! it published the policy that is compared. It must never judge a packet or a flow. `mod.rs` calls `declare` once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use sg_api_types::{Comparison, DiffLine, DiffOutcome, DiffQuery, FlowImpact, LineCounts, UndecidedPart};
use sg_diff::{By, Difference, Effect, Line, Options, Undecided, WrittenLine, WrittenOutcome, compare};
use sg_inspect::{InspectError, impact::impact};
use sg_model::{Family, Policy};
use sg_records::{KeyRole::Viewer, RuleId};
use sg_service::{Apply, Refusal, State, group_of, policy};

use super::{
    Native,
    error::Failed,
    in_force::device,
    request::RequestContext,
    route::Route,
    routes::Routes,
    whole::{APPLY_BYTES, facts},
};

/// How many lines are returned, unless the request says otherwise.
pub(super) const LINES: usize = 1_000;
/// The most lines that a request may ask for by number.
pub(super) const MOST_LINES: usize = 100_000;
/// How long a comparison may take, in seconds.
pub(super) const LONGEST: u32 = 3;

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::post("/v1/diff", "Compare what is in force with a document: packets and live flows")
        .needs(Viewer)
        .with::<DiffQuery>();
    routes.inquire::<Apply, Comparison>(route.large(APPLY_BYTES), |native, context, document| {
        Wanted::of(native, context)?.compare(native, context, &document)
    });
}

/// A query that was understood.
struct Wanted {
    nic: Option<String>,
    attribution: bool,
    most: usize,
    time: Duration,
}

/// What would be in force.
pub(super) struct Next {
    pub(super) policy: Policy,
    pub(super) warnings: Vec<String>,
    /// The store afterwards, if there is one.
    state: Option<State>,
}

impl Wanted {
    fn of(native: &Native, context: &RequestContext) -> Result<Self, Failed> {
        let DiffQuery { nic, attribution, all, limit, time } = context.query()?;
        let most = limit.map_or(LINES, |limit| limit as usize);
        if most > MOST_LINES {
            return Err(Failed::Malformed(format!("limit: {most} is not 0 to {MOST_LINES}")));
        }
        let time = time.unwrap_or(LONGEST);
        if !(1..=LONGEST).contains(&time) {
            return Err(Failed::Malformed(format!("time: {time} is not 1 to {LONGEST} seconds")));
        }
        let nic = nic.map(|nic| device(native, nic)).transpose()?;
        let most = if all { usize::MAX } else { most };
        Ok(Self { nic, attribution, most, time: Duration::from_secs(u64::from(time)) })
    }

    fn compare(
        &self,
        native: &Native,
        context: &RequestContext,
        document: &Apply,
    ) -> Result<Comparison, Failed> {
        let _place = native.places.comparing(context.role())?;
        let next = Next::of(native, document)?;
        let in_force = native.hits.in_force();
        let before = in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
        if let Some(nic) = &self.nic
            && before.nic(nic).is_none()
            && next.policy.nic(nic).is_none()
        {
            return Err(Failed::NoNic { nic: nic.clone() });
        }
        let until = Instant::now() + self.time;
        // The rest is for live flows.
        let options = Options { attribution: self.attribution, time: self.time * 2 / 3 };
        let Difference { mut lines, mut undecided } = compare(before, &next.policy, options);
        if let Some(nic) = &self.nic {
            lines.retain(|line| line.nic == nic);
            undecided.retain(|part| part.nic == nic);
        }
        let mut warnings = next.warnings.clone();
        let (flows, in_lines) = match impact(&native.instance, &in_force, &next.policy, &lines, until) {
            Ok((flows, in_lines)) => (Some(flows), in_lines),
            Err(error) => {
                warnings.push(format!("live flows are not known: {error}"));
                (None, Vec::new())
            }
        };
        let names = next.names(native, &lines, flows.as_ref());
        let called = |id: &str| names.get(id).cloned();
        let shown = lines.iter().zip(in_lines.iter().copied().map(Some).chain(std::iter::repeat(None)));
        let shown = shown.take(self.most).map(|(line, flows)| {
            let nic = next.policy.nic(line.nic).or_else(|| before.nic(line.nic));
            written(line, line.written(nic), flows, line.words(&called))
        });
        Ok(Comparison {
            counts: counts(&lines),
            lines: shown.collect::<Result<_, _>>()?,
            left_out: lines.len().saturating_sub(self.most),
            undecided: undecided.iter().map(|part| unknown(part, &called)).collect(),
            flows,
            names,
            warnings,
        })
    }
}

impl Next {
    pub(super) fn of(native: &Native, document: &Apply) -> Result<Self, Failed> {
        let mut next = if let Some(service) = &native.service {
            // It is only looked at: what keeps an apply from harm does not keep from seeing it.
            let insisting = Apply { allow_unfiltered: true, force: true, ..document.clone() };
            let (difference, state) = service.would_be(&insisting)?;
            let policy =
                policy(&state).map_err(|error| Refusal::Unenforceable { reason: error.to_string() })?;
            Self { policy, warnings: difference.warnings, state: Some(state) }
        } else {
            let file = if document.file.is_empty() { &document.name } else { &document.file };
            let loaded = sg_document::parse(file, document.text.as_bytes())
                .map_err(|error| Refusal::Document { reason: error.to_string() })?;
            let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
            Self { policy: loaded.policy, warnings, state: None }
        };
        next.policy.set_device_facts(facts()?);
        Ok(next)
    }

    /// The names of the ids that lines and flows mention.
    fn names(
        &self,
        native: &Native,
        lines: &[Line<'_>],
        flows: Option<&FlowImpact>,
    ) -> BTreeMap<String, String> {
        let Some(after) = &self.state else { return BTreeMap::new() };
        let Some(before) = native.service.as_ref().map(sg_service::Service::snapshot) else {
            return BTreeMap::new();
        };
        let mut names = BTreeMap::new();
        let mut add = |group: Option<&str>, rule: Option<&str>| {
            for state in [&*before, after] {
                let found = group.and_then(|id| Some((id, &state.group(&group_of(id))?.label.name)));
                let rule = rule.and_then(|id| Some((id, &state.rule(&RuleId::from(id))?.spec.name)));
                for (id, name) in found.into_iter().chain(rule).filter(|(_, name)| !name.is_empty()) {
                    names.insert(id.to_owned(), name.clone());
                }
            }
        };
        for outcome in lines.iter().flat_map(|line| [line.before, line.after]) {
            match outcome.by {
                By::Group(group) => add(Some(group), None),
                By::Rule { group, rule } => add(Some(group), Some(rule)),
                By::Reason(_) | By::Default | By::Unfiltered => {}
            }
        }
        for revoked in flows.iter().flat_map(|flows| &flows.largest) {
            add(revoked.flow.group.as_deref(), revoked.flow.rule.as_deref());
            add(revoked.after.group.as_deref(), revoked.after.rule.as_deref());
        }
        names
    }
}

pub(super) fn counts(lines: &[Line<'_>]) -> LineCounts {
    let mut counts = LineCounts::default();
    for line in lines {
        match line.effect() {
            Effect::OpensToAny | Effect::Opens => counts.opens += 1,
            Effect::Closes => counts.closes += 1,
            Effect::Refuses => counts.refuses += 1,
            Effect::Attributes => counts.attributes += 1,
        }
    }
    counts
}

pub(super) fn unknown(part: &Undecided<'_>, called: sg_diff::Called<'_>) -> UndecidedPart {
    let Undecided { nic, direction, family, changed } = part;
    let mut changed: Vec<String> = changed.iter().map(|by| by.words(called)).collect();
    changed.dedup();
    UndecidedPart {
        nic: (*nic).to_owned(),
        direction: (*direction).into(),
        family: if *family == Family::V4 { 4 } else { 6 },
        changed,
    }
}

/// A line with what only this response has.
pub(super) fn written(
    of: &Line<'_>,
    line: WrittenLine<'_>,
    flows: Option<usize>,
    text: String,
) -> Result<DiffLine, Failed> {
    let WrittenLine {
        nic,
        direction: _,
        family,
        remote,
        local,
        protocols,
        ports,
        source_ports,
        icmp,
        dscp,
        before,
        after,
        sample,
    } = line;
    let outcome = |WrittenOutcome { verdict, group, rule }: WrittenOutcome<'_>| DiffOutcome {
        verdict: verdict.to_owned(),
        group: group.map(str::to_owned),
        rule: rule.map(str::to_owned),
    };
    let broken = |error: serde_json::Error| Failed::Unreadable(error.to_string());
    let sample: Value = serde_json::to_value(sample).map_err(broken)?;
    Ok(DiffLine {
        nic: nic.to_owned(),
        direction: of.direction.into(),
        family,
        remote,
        local,
        protocols,
        ports,
        source_ports,
        icmp,
        dscp,
        before: outcome(before),
        after: outcome(after),
        sample,
        flows,
        text,
    })
}
