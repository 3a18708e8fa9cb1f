//! Makes the policy that which was in force after an earlier change, as one more change.
//!
//! It must never touch what is no policy: access keys, kept responses, quotas. The native API calls it through `Service`.

use sg_api_types::{Rollback, RolledBack};
use sg_records::Settings;
use sg_store::Change;

use super::{Field, Operation, Refusal, State, Tx, guard, history::between, integrity::check_stored};

/// The number of a change in a request: `7` or `@7`.
///
/// # Errors
/// If it is none.
pub fn number(text: &str) -> Result<u64, Refusal> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    digits
        .parse()
        .map_err(|_| Refusal::invalid(Field::Stored("change"), text, "the number of a change, such as 7"))
}

impl Operation for Rollback {
    type Output = RolledBack;

    fn run(&self, tx: &mut Tx) -> Result<RolledBack, Refusal> {
        let change = number(&self.change)?;
        let before = State::clone(tx);
        let wanted = tx.history().state_after(change, &before)?;
        let undone = tx.history().newest() - change;
        let changes = between(&before, &wanted);
        if changes.is_empty() {
            return Err(Refusal::NothingToChange);
        }
        let is_put = |change: &&Change| matches!(change, Change::Put(_));
        let put = changes.iter().filter(is_put).count();
        let removed = changes.len() - put;
        // An import may have made the next number a lesser one than those of the rules that come back.
        let next =
            wanted.rules().values().map(|rule| rule.serial.saturating_add(1)).max().unwrap_or_default();
        if next > tx.settings().serial {
            tx.put(Settings { serial: next, ..tx.settings().clone() });
        }
        for change in changes {
            match change {
                Change::Put(record) => tx.put(record),
                Change::Delete(key) => tx.delete(key),
            }
        }
        check_stored(tx)?;
        if !self.allow_unfiltered {
            guard::keep_filtered(&before, tx, &[])?;
        }
        Ok(RolledBack { number: tx.history().newest() + 1, change, undone, removed, put })
    }
}
