//! Tests that are set by themselves, or given to be run once: what they name is found, and they are listed.
//!
//! It must never ask whether a test holds: `demands` does.

use std::sync::Arc;

use sg_api_types::{ListedTest, ReplaceTests};
use sg_records::{
    DemandedTest, Demands, DocumentName, GroupId, Ids, PolicyTest, PortEntry, PortListId, PrefixEntry,
    PrefixListId,
};

use super::{
    Field, Operation, Refusal, State, Tx,
    demands::{MOST, fits, put},
    labels::rule_description,
};

/// The tests with the ids of what they name.
///
/// # Errors
/// What is wrong with the first that is wrong.
pub fn resolved(state: &State, tests: &[PolicyTest]) -> Result<Vec<PolicyTest>, Refusal> {
    if tests.len() > MOST {
        let allowed = format!("{MOST} tests at most");
        return Err(Refusal::invalid(Field::Test, tests.len(), allowed));
    }
    tests.iter().map(|test| one_resolved(state, test)).collect()
}

fn one_resolved(state: &State, test: &PolicyTest) -> Result<PolicyTest, Refusal> {
    rule_description(&test.description)?;
    fits(test)?;
    let mut by_name = ByName(state);
    let ends = |remotes: &[sg_records::Remote]| {
        remotes
            .iter()
            .map(|remote| remote.try_map::<Ids, Refusal>(&mut ByName(state)))
            .collect::<Result<Vec<_>, _>>()
    };
    let nic = match &test.nic {
        None => None,
        Some(nic) => {
            let found = state.find_target(nic)?;
            let elsewhere =
                || Refusal::invalid(Field::Test, nic, "a NIC of this host: others are not judged here");
            Some(found.device.clone().ok_or_else(elsewhere)?)
        }
    };
    let group = match &test.group {
        None => None,
        Some(group) => Some(state.find_group(group.as_str())?.id.clone()),
    };
    Ok(PolicyTest {
        nic,
        group,
        from: ends(&test.from)?,
        to: ends(&test.to)?,
        service: test.service.try_map(&mut by_name)?,
        ..test.clone()
    })
}

/// Finds what a request names.
struct ByName<'a>(&'a State);

impl sg_model::Resolve<Ids, Ids> for ByName<'_> {
    type Error = Refusal;

    fn group(&mut self, group: &GroupId) -> Result<GroupId, Refusal> {
        Ok(self.0.find_group(group.as_str())?.id.clone())
    }

    fn prefix_list(&mut self, list: &PrefixListId) -> Result<PrefixListId, Refusal> {
        Ok(self.0.find_list::<PrefixEntry>(list.as_str())?.id.clone())
    }

    fn port_list(&mut self, list: &PortListId) -> Result<PortListId, Refusal> {
        Ok(self.0.find_list::<PortEntry>(list.as_str())?.id.clone())
    }
}

/// All tests that changes are asked.
#[must_use]
pub fn demanded_tests(state: &State) -> Vec<ListedTest> {
    let listed = |demands: &Arc<Demands>| {
        let document = Some(demands.document.0.clone()).filter(|name| !name.is_empty());
        let tests = demands.tests.clone().into_iter();
        tests
            .map(move |DemandedTest { place, test }| ListedTest { document: document.clone(), place, test })
            .collect::<Vec<_>>()
    };
    state.demands().values().flat_map(listed).collect()
}

impl Operation for ReplaceTests {
    type Output = Vec<ListedTest>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<ListedTest>, Refusal> {
        let tests = resolved(tx, &self.tests)?;
        let tests = tests.into_iter().enumerate();
        let tests = tests.map(|(number, test)| DemandedTest { place: format!("tests[{number}]"), test });
        put(tx, Demands { document: DocumentName::default(), tests: tests.collect(), keep: Vec::new() });
        Ok(demanded_tests(tx))
    }
}
