//! When records were changed last: by what they say, whatever changes it. A record that is written again as it was keeps its time,
//! and one that goes back to what it said before was changed once more.
//!
//! It must never look at what refers to a record: members change no group. `Tx` dates each record that it stores.

use std::sync::Arc;

use jiff::Timestamp;
use sg_records::{Group, Instance, Nic, Rule, Vpc};
use sg_store::Record;

use super::State;

/// A record with a time of its last change.
pub(super) trait Dated: Clone + PartialEq {
    /// The time of its last change.
    fn updated(&mut self) -> &mut Timestamp;

    /// The record with its key.
    fn known<'s>(&self, state: &'s State) -> Option<&'s Arc<Self>>;

    /// The record with the time at which what it says changed last.
    fn dated(mut self, state: &State, now: Timestamp) -> Self {
        if let Some(known) = self.known(state) {
            let mut known = Self::clone(known);
            *self.updated() = *known.updated();
            if self == known {
                return self;
            }
        }
        *self.updated() = now;
        self
    }
}

macro_rules! labelled {
    ($($record:ty: $lookup:ident;)*) => { $(
        impl Dated for $record {
            fn updated(&mut self) -> &mut Timestamp {
                &mut self.label.updated
            }

            fn known<'s>(&self, state: &'s State) -> Option<&'s Arc<Self>> {
                state.$lookup(&self.id)
            }
        }
    )* };
}
labelled! {
    Vpc: vpc;
    Group: group;
    Nic: nic;
    Instance: instance;
}

impl Dated for Rule {
    fn updated(&mut self) -> &mut Timestamp {
        &mut self.updated
    }

    fn known<'s>(&self, state: &'s State) -> Option<&'s Arc<Self>> {
        state.rule(&self.id)
    }
}

/// The record with the time at which what it says changed last, if it has one.
pub(super) fn dated(record: Record, state: &State, now: Timestamp) -> Record {
    fn of<R: Dated>(record: Arc<R>, state: &State, now: Timestamp) -> Arc<R> {
        Arc::new(Arc::unwrap_or_clone(record).dated(state, now))
    }
    match record {
        Record::Vpc(vpc) => Record::Vpc(of(vpc, state, now)),
        Record::Group(group) => Record::Group(of(group, state, now)),
        Record::Rule(rule) => Record::Rule(of(rule, state, now)),
        Record::Nic(nic) => Record::Nic(of(nic, state, now)),
        Record::Instance(instance) => Record::Instance(of(instance, state, now)),
        Record::PrefixList(list) => Record::PrefixList(of(list, state, now)),
        Record::PortList(list) => Record::PortList(of(list, state, now)),
        Record::Member(_)
        | Record::AccessKey(_)
        | Record::Token(_)
        | Record::Demands(_)
        | Record::Settings(_) => record,
    }
}

/// What a record says, whenever it was changed.
pub(super) fn without_date(record: Record) -> Record {
    dated(record, &State::default(), Timestamp::UNIX_EPOCH)
}
