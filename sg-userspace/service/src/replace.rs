//! Replaces the whole state by an export.
//!
//! If the export has no secrets, the existing access keys and kept responses stay. The native API calls it through `Service`. It
//! must never accept a record that no operation could have produced.

use std::sync::Arc;

use serde::Serialize;
use sg_api_types::Replaced;
use sg_records::{Rule, Settings};
use sg_store::{Imported, Key, Record};

use super::{Operation, Refusal, State, Tx, integrity::check_imported};

/// Replaces the state by an export that was read and checked.
#[derive(Clone, Debug, Serialize)]
pub struct ReplaceState {
    /// Distinguishes this export from every other.
    digest: String,
    #[serde(skip)]
    wanted: Arc<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    state: State,
    secrets: bool,
}

/// The greatest next serial number that is kept. Operations count on from it and must not overflow.
const LAST_SERIAL: u64 = 1 << 48;

impl ReplaceState {
    /// Checks an export that was read. `digest` is the digest of its text.
    ///
    /// # Errors
    /// The first record that no operation could have produced: its line, and why.
    pub fn new(imported: Imported, digest: String) -> Result<Self, Refusal> {
        let Imported { records, secrets } = imported;
        let state = State::new(records.iter().map(|(_, record)| record.clone()));
        check_imported(&state, &records)?;
        let state = renumbered(state);
        Ok(Self { digest, wanted: Arc::new(Wanted { state, secrets }) })
    }
}

/// The same state, with the rules' serial numbers counted from zero if they are near the maximum. Nobody creates so many rules,
/// but an export may have any number.
fn renumbered(mut state: State) -> State {
    if state.settings().serial <= LAST_SERIAL {
        return state;
    }
    let mut rules: Vec<Rule> = state.rules().values().map(|rule| Rule::clone(rule)).collect();
    rules.sort_by_key(|rule| rule.serial);
    let next = rules.len() as u64;
    for (serial, rule) in (0..).zip(rules) {
        state.put(Record::Rule(Rule { serial, ..rule }.into()));
    }
    let settings = Settings { serial: next, ..state.settings().clone() };
    state.put(Record::Settings(settings.into()));
    state
}

impl Operation for ReplaceState {
    type Output = Replaced;

    fn run(&self, tx: &mut Tx) -> Result<Replaced, Refusal> {
        let Wanted { state: wanted, secrets } = &*self.wanted;
        let stays = |record: &Record| !secrets && matches!(record, Record::AccessKey(_) | Record::Token(_));
        let gone: Vec<Key> = tx
            .records()
            .filter(|record| !stays(record))
            .map(|record| record.key())
            .filter(|key| *key != Key::Settings(()) && wanted.get(key).is_none())
            .collect();
        let new: Vec<Record> =
            wanted.records().filter(|record| tx.get(&record.key()).as_ref() != Some(record)).collect();
        let replaced = Replaced { removed: gone.len(), put: new.len() };
        for key in gone {
            tx.delete(key);
        }
        for record in new {
            tx.put_as_it_is(record);
        }
        Ok(replaced)
    }
}
