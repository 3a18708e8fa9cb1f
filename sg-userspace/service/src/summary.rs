//! What changes of the history opened and closed. That is found out when somebody asks, within the time they give, and remembered:
//! a change must not wait for it. The native API calls it.
//!
//! Policies are compared with the addresses that the devices have now. Those of then are not known.

use std::time::{Duration, Instant};

use sg_api_types::{ChangeSummary, LineCounts};
use sg_diff::{Difference, Effect, Options, compare};
use sg_model::{DeviceFacts, Policy};

use super::{Committed, ProjectError, Refusal, State, host::facts, policy};

/// A comparison that had so long is not tried again.
const ENOUGH: Duration = Duration::from_millis(500);

/// Finds out what the newest `most` changes opened and closed, from the last one back, as far as the time suffices.
///
/// # Errors
/// If the devices of this host cannot be read.
pub fn summarise(committed: &Committed, most: usize, until: Instant) -> Result<(), Refusal> {
    let history = &committed.history;
    let wanted = || history.changes().rev().take(most);
    if wanted().all(|kept| kept.summary().is_some()) {
        return Ok(());
    }
    let facts = facts()?;
    let mut state = State::clone(&committed.state);
    // That of the state after the change, if it was needed already.
    let mut known: Option<Policy> = None;
    for kept in wanted().take_while(|kept| kept.change().number > history.oldest_known()) {
        let after = state.clone();
        let known_after = known.take();
        let Ok(()) = kept.undo(&mut state) else { return Ok(()) };
        if kept.summary().is_some() {
            continue;
        }
        let after = known_after.map_or_else(|| on_this_host(&after, &facts), Ok);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let (Ok(before), Ok(after)) = (on_this_host(&state, &facts), after) else { return Ok(()) };
        let summary = summary_of(&before, &after, left);
        // One that had less time than others is tried again.
        if summary.exact || left >= ENOUGH {
            kept.summarise(summary);
        }
        known = Some(before);
    }
    Ok(())
}

/// What lies between two policies, as far as the time suffices.
#[must_use]
pub fn summary_of(before: &Policy, after: &Policy, time: Duration) -> ChangeSummary {
    let Difference { lines, undecided } = compare(before, after, Options { time, ..Options::default() });
    let mut counts = LineCounts::default();
    for line in &lines {
        match line.effect() {
            Effect::OpensToAny | Effect::Opens => counts.opens += 1,
            Effect::Closes => counts.closes += 1,
            Effect::Refuses => counts.refuses += 1,
            Effect::Attributes => counts.attributes += 1,
        }
    }
    ChangeSummary { counts, exact: undecided.is_empty() }
}

fn on_this_host(state: &State, facts: &impl Fn(&str) -> DeviceFacts) -> Result<Policy, ProjectError> {
    let mut policy = policy(state)?;
    policy.set_device_facts(facts);
    Ok(policy)
}
