//! `POST /v1/diff`: what differs between two policies, usually what is in force and a document, for packets and for live flows. The
//! agent does not notice: it published the policy that is compared. It must never judge a packet or a flow. `mod.rs` calls `declare`
//! once, `policy_changes` compares what was in force before and after a change.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;
use sg_api_types::{
    Compare, Comparison, DiffLine, DiffOutcome, DiffQuery, FlowImpact, LineCounts, LinePackets, UndecidedPart,
};
use sg_diff::{
    By, Counts, Difference, Line, Options, Undecided, WrittenLine, WrittenOutcome, WrittenPackets, compare,
};
use sg_inspect::impact::{After, impact};
use sg_model::{Family, whole_group};
use sg_records::{GroupId, KeyRole::Viewer, RuleId};

use super::{
    Native, compared::Compared, error::Failed, in_force::device, request::RequestContext, route::Route,
    routes::Routes, whole::APPLY_BYTES,
};

/// How many lines are returned, unless the request says otherwise.
pub(super) const LINES: usize = 1_000;
/// The most lines that a request may ask for by number.
pub(super) const MOST_LINES: usize = 100_000;
/// How long a comparison may take, in seconds.
pub(super) const LONGEST: u32 = 3;

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::post(
        "/v1/diff",
        "Compare what is in force with a document, or two policies: packets and live flows",
    )
    .needs(Viewer)
    .with::<DiffQuery>();
    routes.inquire::<Compare, Comparison>(route.large(2 * APPLY_BYTES), |native, context, compare| {
        let [old, new] = compare.policies();
        if [&old, &new].iter().all(|one| one.text.is_none() && one.change.is_none()) {
            let what = "what is in force does not differ from itself: name a text or a change".to_owned();
            return Err(Failed::Malformed(what));
        }
        let wanted = Wanted::of(native, context)?;
        // What is wrong with the request is said first.
        let new = Compared::of(native, new)?;
        wanted.compare(native, &Compared::of(native, old)?, &new)
    });
}

/// A query that was understood.
pub(super) struct Wanted {
    nic: Option<String>,
    attribution: bool,
    most: usize,
    time: Duration,
    until: Instant,
}

impl Wanted {
    pub(super) fn of(native: &Native, context: &RequestContext) -> Result<Self, Failed> {
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
        let time = Duration::from_secs(u64::from(time));
        Ok(Self { nic, attribution, most, time, until: Instant::now() + time })
    }

    /// Compares two policies; the caller has a place.
    pub(super) fn compare(
        &self,
        native: &Native,
        old: &Compared,
        next: &Compared,
    ) -> Result<Comparison, Failed> {
        let before = &*old.policy;
        if let Some(nic) = &self.nic
            && before.nic(nic).is_none()
            && next.policy.nic(nic).is_none()
        {
            return Err(Failed::NoNic { nic: nic.clone() });
        }
        let only = self.nic.as_deref();
        // The rest is for live flows.
        let time = (self.time * 2 / 3).min(self.until.saturating_duration_since(Instant::now()));
        let options = Options { attribution: self.attribution, time, nic: only };
        let Difference { lines, undecided } = compare(before, &next.policy, options);
        let mut warnings: Vec<String> = [old, next].iter().flat_map(|one| one.warnings.clone()).collect();
        let (mut flows, mut in_lines) = (None, Vec::new());
        // Live flows are of what is in force.
        if old.is_in_force {
            let after = After { policy: &next.policy, lines: &lines, nic: only };
            match impact(&native.instance, &native.hits.in_force(), &after, self.until) {
                Ok((found, numbers)) => (flows, in_lines) = (Some(found), numbers),
                Err(error) => warnings.push(format!("live flows are not known: {error}")),
            }
        }
        let names = names([old, next], &lines, flows.as_ref());
        let called = |id: &str| names.get(whole_group(id)).cloned();
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

/// The names of the ids that lines and flows mention, in the stores that the policies are of.
fn names(
    policies: [&Compared; 2],
    lines: &[Line<'_>],
    flows: Option<&FlowImpact>,
) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut add = |group: Option<&str>, rule: Option<&str>| {
        let group = group.map(whole_group);
        for state in policies.iter().filter_map(|one| one.state.as_ref()) {
            let found = group.and_then(|id| Some((id, &state.group(&GroupId::from(id))?.label.name)));
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

pub(super) fn counts(lines: &[Line<'_>]) -> LineCounts {
    let Counts { opens, closes, refuses, attributes } = Counts::of(lines);
    LineCounts { opens, closes, refuses, attributes }
}

pub(super) fn unknown(part: &Undecided<'_>, called: sg_diff::Called<'_>) -> UndecidedPart {
    let Undecided { nic, direction, family, changed: _ } = part;
    UndecidedPart {
        nic: (*nic).to_owned(),
        direction: (*direction).into(),
        family: if *family == Family::V4 { 4 } else { 6 },
        changed: part.words(called),
    }
}

/// A line with what only this response has.
pub(super) fn written(
    of: &Line<'_>,
    line: WrittenLine<'_>,
    flows: Option<usize>,
    text: String,
) -> Result<DiffLine, Failed> {
    let WrittenLine { packets, before, after, sample } = line;
    let broken = |error: serde_json::Error| Failed::Unreadable(error.to_string());
    let sample: Value = serde_json::to_value(sample).map_err(broken)?;
    let packets = line_packets(of, packets);
    Ok(DiffLine { packets, before: outcome(before), after: outcome(after), sample, flows, text })
}

pub(super) fn line_packets(of: &Line<'_>, packets: WrittenPackets<'_>) -> LinePackets {
    let WrittenPackets {
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
    } = packets;
    let (nic, direction) = (nic.to_owned(), of.direction.into());
    LinePackets { nic, direction, family, remote, local, protocols, ports, source_ports, icmp, dscp }
}

pub(super) fn outcome(WrittenOutcome { verdict, group, rule }: WrittenOutcome<'_>) -> DiffOutcome {
    DiffOutcome {
        verdict: verdict.to_owned(),
        group: group.map(|group| whole_group(group).to_owned()),
        rule: rule.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_a_group_and_no_part_of_one() {
        let group = "sg-abcdefghijkmnpqrs";
        for part in [group, "sg-abcdefghijkmnpqrs/vpc-abcdefghijkmnpqrs"] {
            let by = WrittenOutcome { verdict: "accept", group: Some(part), rule: None };
            assert_eq!(outcome(by).group.as_deref(), Some(group));
        }
    }
}
