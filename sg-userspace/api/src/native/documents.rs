//! The documents that were in force under `sgd run`, as changes of the policy. It must never decide what is in force: the agent keeps
//! what was. `policy_changes` and `compared` call it; whoever starts listeners makes one of these.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use sg_agent::{DocumentHistory, Origin, PastDocument};
use sg_api_types::{ChangeSummary, ChangeView};
use sg_model::Policy;
use sg_service::{Refusal, summary_of};

use super::{Native, error::Failed, host::facts};

/// The documents, and what is known of what they changed.
#[derive(Clone, Debug)]
pub struct Documents {
    history: DocumentHistory,
    summaries: Arc<Mutex<BTreeMap<u64, ChangeSummary>>>,
}

impl Documents {
    /// Those of this history.
    #[must_use]
    pub fn of(history: DocumentHistory) -> Self {
        Self { history, summaries: Arc::default() }
    }

    /// The path of the document.
    pub(super) fn path(native: &Native) -> String {
        match &native.hits.in_force().origin {
            Origin::Document { path, owner: _ } => path.display().to_string(),
            Origin::Store => String::new(),
        }
    }

    /// The text that this change put in force.
    pub(super) fn text(&self, number: u64) -> Result<Vec<u8>, Failed> {
        let text = self.history.text(number).map_err(|error| Failed::Unreadable(error.to_string()))?;
        text.ok_or_else(|| self.not_kept(number))
    }

    fn not_kept(&self, number: u64) -> Failed {
        let all = self.history.documents();
        let of = |one: Option<&PastDocument>| one.map_or(0, |one| one.change.number);
        let (oldest, newest) = (of(all.iter().find(|one| one.has_text)), of(all.last()));
        Failed::Refused(Refusal::ChangeNotKept { number, oldest, newest })
    }

    /// The newest changes. What they opened and closed is found out until then.
    pub(super) fn views(&self, most: usize, until: Option<Instant>) -> Result<Vec<ChangeView>, Failed> {
        let all = self.history.documents();
        if let Some(until) = until {
            self.find_out(&all, most, until)?;
        }
        Ok(all.iter().rev().take(most).map(|one| self.view_of(one)).collect())
    }

    /// A change, and whether what was in force before it is known.
    pub(super) fn view(&self, number: u64) -> Result<(ChangeView, bool), Failed> {
        let all = self.history.documents();
        let one = all.iter().find(|one| one.change.number == number).ok_or_else(|| self.not_kept(number))?;
        Ok((self.view_of(one), before(&all, one).is_some()))
    }

    fn view_of(&self, one: &PastDocument) -> ChangeView {
        let known = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        let summary = known.get(&one.change.number).copied();
        ChangeView { change: one.change.clone(), kept: one.has_text, summary }
    }

    fn find_out(&self, all: &[PastDocument], most: usize, until: Instant) -> Result<(), Failed> {
        let facts = facts()?;
        let policy = |one: &PastDocument| -> Option<Policy> {
            let text = self.history.text(one.change.number).ok()??;
            let mut policy = sg_document::parse("", &text).ok()?.policy;
            policy.set_device_facts(&facts);
            Some(policy)
        };
        let mut known = None;
        for one in all.iter().rev().take(most) {
            let after: Option<Policy> = known.take();
            if self.view_of(one).summary.is_some() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            let Some(earlier) = before(all, one).filter(|_| !left.is_zero()) else { return Ok(()) };
            let (Some(before), Some(after)) = (policy(earlier), after.or_else(|| policy(one))) else {
                return Ok(());
            };
            let summary = summary_of(&before, &after, left);
            if summary.exact {
                let mut known = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(one.change.number, summary);
                known.retain(|number, _| all.first().is_none_or(|first| *number >= first.change.number));
            }
            known = Some(before);
        }
        Ok(())
    }
}

/// The document before another one, if its text is kept.
fn before<'a>(all: &'a [PastDocument], one: &PastDocument) -> Option<&'a PastDocument> {
    all.iter().find(|other| other.change.number + 1 == one.change.number).filter(|other| other.has_text)
}
