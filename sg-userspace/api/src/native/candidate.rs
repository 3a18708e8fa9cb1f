//! Routes of the candidate: a policy that is asked beside the one in force. They must never judge a packet, nor decide what is in force:
//! the agent does. `mod.rs` calls `declare` once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use sg_agent::{
    AgentError, CandidateInForce, CandidateNic, Control, InForce, PendingRecord, WantedCandidate,
};
use sg_api_types::{
    CandidateImage, CandidateLine, CandidateQuery, CandidateReport, CandidateState, DropCandidate,
    DroppedCandidate, PendingChange, PromoteCandidate, PromotedCandidate, SetCandidate,
};
use sg_audit::{Object, Ticket, Trail};
use sg_diff::{AS_WRITTEN, Difference, Options, compare};
use sg_inspect::{InspectError, candidate::observed};
use sg_model::Established;
use sg_records::KeyRole::{Editor, Viewer};
use sg_service::Apply;
use tokio::runtime::Handle;

use super::{
    Native,
    compared::Compared,
    diff::{LINES, LONGEST, MOST_LINES, counts, unknown, written},
    error::Failed,
    request::{RequestContext, Trial},
    route::Route,
    routes::Routes,
    whole::APPLY_BYTES,
};

pub(super) fn declare(routes: &mut Routes) {
    let route =
        Route::get("/v1/candidate", "Report what the candidate would have decided, beside what was decided")
            .needs(Viewer)
            .with::<CandidateQuery>();
    routes.look::<CandidateReport>(route, report);
    let route =
        Route::post("/v1/candidate", "Set the candidate: a document that is asked beside what is in force")
            .needs(Editor)
            .large(APPLY_BYTES);
    routes.touch::<SetCandidate, CandidateState>(route, object, set);
    let route = Route::post("/v1/candidate/promote", "Put the candidate in force, as it was observed")
        .needs(Editor)
        .with::<Trial>();
    routes.touch::<PromoteCandidate, PromotedCandidate>(route, object, promote);
    let route = Route::post("/v1/candidate/drop", "Drop the candidate");
    routes.touch::<DropCandidate, DroppedCandidate>(route.needs(Editor), object, |native, context, _| {
        let control = changer(native, context)?;
        let candidate = candidate(&native.hits.in_force())?;
        control.drop_candidate()?;
        Ok(DroppedCandidate { owner: candidate.owner.clone() })
    });
}

/// The candidate in the audit trail.
fn object<Q, T: Serialize>(_: &Q, after: &T) -> Object {
    let after = serde_json::to_value(after).ok();
    Object::new("candidate", "candidate".to_owned(), String::new(), [None, after], &[])
}

/// Who changes the candidate.
fn changer<'a>(native: &'a Native, context: &RequestContext) -> Result<&'a Control, Failed> {
    // A document is changed by whoever may write it, not by all who may look.
    if native.service.is_none() && !context.is_root() {
        return Err(Failed::Forbidden("only root sets a candidate beside the document, over the socket"));
    }
    native.control.as_ref().ok_or(Failed::ReadOnly)
}

fn candidate(in_force: &InForce) -> Result<Arc<CandidateInForce>, Failed> {
    in_force.candidate.clone().ok_or_else(|| AgentError::NoCandidate.into())
}

fn set(native: &Native, context: &RequestContext, wanted: &SetCandidate) -> Result<CandidateState, Failed> {
    let control = changer(native, context)?;
    let SetCandidate { text, name, file } = wanted;
    // It is only looked at: what keeps an apply from harm does not keep from seeing it.
    let document = document(Arc::clone(text), name.clone(), file.clone());
    let document = Apply { allow_unfiltered: true, force: true, ..document };
    let next = Compared::document(native, &document)?;
    let wanted = WantedCandidate {
        policy: Arc::unwrap_or_clone(next.policy),
        text: text.as_bytes().to_vec(),
        name: name.clone(),
        owner: context.caller().to_owned(),
    };
    let set = control.set_candidate(wanted)?;
    Ok(state(&native.hits.in_force(), &set, next.warnings))
}

/// The document of a candidate.
fn document(text: Arc<str>, name: String, file: String) -> Apply {
    Apply { text, name, region: String::new(), allow_unfiltered: false, force: false, file }
}

fn promote(
    native: &Native,
    context: &RequestContext,
    _: &PromoteCandidate,
) -> Result<PromotedCandidate, Failed> {
    let control = changer(native, context)?;
    let trial: Trial = context.query()?;
    if trial.dry_run {
        return Err(Failed::Malformed(
            "dry_run: GET /v1/candidate says what would be in force; leave it out".to_owned(),
        ));
    }
    let (nics, pending) = match &native.service {
        None if trial.force || trial.skip_tests => {
            return Err(Failed::Malformed(
                "force and skip_tests: the document itself says what it insists on (keep_ssh, tests); leave them out".to_owned(),
            ));
        }
        None if trial.confirm.is_some() => {
            return Err(Failed::Malformed(
                "confirm: the option --confirm-changes of sgd run says so of every change; leave it out"
                    .to_owned(),
            ));
        }
        None => {
            let nics = control.promote_candidate()?;
            let in_force = native.hits.in_force();
            let pending = in_force.catalog.pending.as_ref();
            let pending = pending.map(|PendingRecord { id, owner, deadline, .. }| PendingChange {
                id: *id,
                owner: owner.clone(),
                deadline: *deadline,
            });
            (nics, pending)
        }
        Some(service) => {
            let candidate = candidate(&native.hits.in_force())?;
            let text = String::from_utf8_lossy(&candidate.text).into_owned();
            let document = document(text.into(), candidate.name.clone(), String::new());
            let document = Apply { force: context.is_forced(), ..document };
            let document = Apply { allow_unfiltered: context.is_tried(), ..document };
            let (document, _, confirm) = context.guarded(document)?;
            // The audit trail has the promotion itself.
            let ticket = Ticket::new(Trail::none(), context.entry("post_candidate_promote")?);
            // What else has changed in the store since would be put in force with it, and was not observed: then the agent refuses.
            control.expect_promotion(true)?;
            let applied = Handle::current().block_on(service.submit_until(ticket, document, confirm));
            control.expect_promotion(false)?;
            let (_, pending) = applied?;
            (candidate.nics.values().cloned().collect(), pending)
        }
    };
    Ok(PromotedCandidate { nics: nics.iter().map(image).collect(), pending })
}

fn image(nic: &CandidateNic) -> CandidateImage {
    CandidateImage { nic: nic.device.clone(), image: nic.digest.to_string() }
}

fn state(in_force: &InForce, candidate: &CandidateInForce, warnings: Vec<String>) -> CandidateState {
    let is_asked = |device: &str| candidate.nics.values().any(|nic| nic.device == device);
    let of_both = in_force.policy.iter().flat_map(|policy| policy.nics()).chain(candidate.policy.nics());
    let mut not_asked: Vec<String> =
        of_both.map(|nic| nic.device.clone()).filter(|device| !is_asked(device)).collect();
    not_asked.sort_unstable();
    not_asked.dedup();
    let keeps = |device: &str| {
        let nic = in_force.policy.as_deref().and_then(|policy| policy.nic(device));
        nic.is_some_and(|nic| nic.established == Established::Keep)
    };
    CandidateState {
        owner: candidate.owner.clone(),
        since: candidate.since,
        nics: candidate.nics.values().map(image).collect(),
        not_asked,
        only_new_flows: candidate
            .nics
            .values()
            .map(|nic| nic.device.clone())
            .filter(|device| keeps(device))
            .collect(),
        warnings,
    }
}

fn report(native: &Native, context: &RequestContext) -> Result<CandidateReport, Failed> {
    let CandidateQuery { all, limit } = context.query()?;
    let most = limit.map_or(LINES, |limit| limit as usize);
    if most > MOST_LINES {
        return Err(Failed::Malformed(format!("limit: {most} is not 0 to {MOST_LINES}")));
    }
    let most = if all { usize::MAX } else { most };
    let _place = native.places.comparing(context.role(), context.caller())?;
    candidate(&native.hits.in_force())?;
    let Some(control) = &native.control else { return Err(Failed::ReadOnly) };
    // Counts first: the agent has finished then whatever it does about a change that was there before.
    let counted = control.candidate_counts()?;
    let in_force = native.hits.in_force();
    let candidate = candidate(&in_force)?;
    let before = in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
    let time = Duration::from_secs(u64::from(LONGEST));
    let until = Instant::now() + time;
    // The rest is for packets.
    let options = Options { nic: None, attribution: false, time: time * 2 / 3 };
    let Difference { lines, undecided } = compare(before, &candidate.policy, options);
    let seen = observed(&candidate, &counted, &lines, until);
    let shown = lines.iter().zip(&seen.in_lines).take(most).map(|(line, packets)| {
        let nic = candidate.policy.nic(line.nic).or_else(|| before.nic(line.nic));
        let line = written(line, line.written(nic), None, line.words(AS_WRITTEN))?;
        Ok(CandidateLine { packets: *packets, line })
    });
    Ok(CandidateReport {
        counts: counts(&lines),
        lines: shown.collect::<Result<_, Failed>>()?,
        left_out: lines.len().saturating_sub(most),
        never_seen: seen.in_lines.iter().filter(|packets| **packets == 0).count(),
        undecided: undecided.iter().map(|part| unknown(part, AS_WRITTEN)).collect(),
        decisions: seen.decisions,
        rules: seen.rules,
        unattributed: seen.unattributed,
        candidate: state(&in_force, &candidate, Vec::new()),
    })
}
