//! Applies a document: afterwards its content exists, and what an earlier version of it had and it no longer has is deleted. Only
//! objects that the document owns change, and the difference lists every change.
//!
//! `sg-document` parses it, so it has the same meaning as under `sgd run`. Its name is that of a VPC, which has the
//! document's order of rules and contains its groups, lists, members and NICs. A rule that was added to one of its groups by hand
//! stays.

mod demanding;
mod lists;
mod plan;
mod rules;
mod steps;
#[cfg(test)]
mod tests;

use sg_api_types::{Apply, Difference};
use sg_document::{DocumentError, Notice};
use sg_records::DocumentName;

use super::{
    Field, Insists, Operation, Refusal, State, TestsRun, Tx, demands, guard,
    labels::{document_name, region},
};
use plan::Plan;

/// The length of a path that errors repeat: `PATH_MAX`, `include/uapi/linux/limits.h`.
const LONGEST_FILE: usize = 4096;

impl Operation for Apply {
    type Output = Difference;

    fn run(&self, tx: &mut Tx) -> Result<Difference, Refusal> {
        document_name(&self.name)?;
        if self.file.len() > LONGEST_FILE {
            let allowed = format!("a path of at most {LONGEST_FILE} bytes");
            return Err(Refusal::invalid(Field::File, &self.file, allowed));
        }
        let file = if self.file.is_empty() { &self.name } else { &self.file };
        let refused = |error: DocumentError| Refusal::Document { reason: error.to_string() };
        let loaded = sg_document::parse(file, self.text.as_bytes()).map_err(refused)?;
        let before = State::clone(tx);
        let mut plan = Plan::new(tx, &self.name, region(&self.region)?);
        plan.make(loaded.policy.parts())?;
        plan.demand(&loaded);
        let changes = plan.changes;
        if !self.allow_unfiltered {
            guard::keep_filtered(&before, tx, &loaded.guard.allow_unfiltered)?;
        }
        if self.force {
            tx.insist(Insists { force: true, skip_tests: false });
        }
        let TestsRun { failed, idle } = demands::ask(tx, &DocumentName(self.name.clone()))?;
        let loaded = loaded.tested(failed, idle).map_err(refused)?;
        // NICs may come to its groups by other operations.
        let meant = loaded.warnings.iter().filter(|warning| warning.notice != Notice::NothingProtected);
        Ok(Difference { changes, warnings: meant.map(ToString::to_string).collect() })
    }
}
