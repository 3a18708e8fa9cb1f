//! A group joins or leaves a server: all of its interfaces that do not hold it, or that do. Which these are is decided when the
//! change runs, so that the same request twice at once is the same as twice in a row.
//!
//! The service decides what is refused. This file must never know the form of a response; `groups` has the requests.

use std::sync::Arc;

use sg_records::{GroupId, Nic};
use sg_service::{Field, Join, Leave, Operation, Refusal, Tx};

use super::find;

/// What a group does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Join,
    Leave,
}

/// Lets a group join or leave a server.
#[derive(Clone, Debug)]
pub(super) struct ChangeServer {
    /// Id of the instance.
    pub(super) server: String,
    /// Id of the group.
    pub(super) group: String,
    pub(super) change: Change,
}

impl Operation for ChangeServer {
    type Output = ();

    fn run(&self, tx: &mut Tx) -> Result<(), Refusal> {
        let nics = find::interfaces(tx, tx.find_instance(&self.server)?);
        if nics.is_empty() {
            let allowed = "the server has no interface that could hold one".to_owned();
            return Err(Refusal::Missing { field: Field::Groups, allowed });
        }
        let group = tx.find_group(&self.group)?.id.clone();
        let (holding, others): (Vec<&Arc<Nic>>, Vec<_>) =
            nics.into_iter().partition(|nic| nic.groups.contains(&group));
        let ids = |nics: &[&Arc<Nic>]| nics.iter().map(|nic| nic.id.to_string()).collect::<Vec<_>>();
        let groups = |group: &GroupId| vec![group.to_string()];
        match self.change {
            Change::Join if others.is_empty() => Ok(()),
            Change::Join => {
                let join = Join { groups: groups(&group), targets: ids(&others), place: None };
                join.run(tx).map(drop)
            }
            Change::Leave if holding.is_empty() => {
                let allowed = "no interface of the server holds this group".to_owned();
                Err(Refusal::Invalid { field: Field::Groups, found: group.to_string(), allowed })
            }
            Change::Leave => Leave { groups: groups(&group), targets: ids(&holding) }.run(tx).map(drop),
        }
    }
}
