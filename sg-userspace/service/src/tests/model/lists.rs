//! Operations on prefix lists, by the service and by the model.

use sg_records::PrefixEntry;

use super::{Both, Outcome, expected::net, operations::MRemote};
use crate::{
    DeleteLists, ModifyList,
    tests::{IPV4, new_list},
};

impl Both {
    pub(super) fn create_list(&mut self, list: usize, max: u32, prefixes: &[u8]) -> Outcome {
        if self.model.lists[list].is_some() {
            return (Ok(()), Vec::new());
        }
        let entry = |&number: &u8| PrefixEntry { addresses: net(number).into(), description: String::new() };
        let entries = prefixes.iter().map(entry).collect();
        let said = self.world.run(&new_list(&format!("l{list}"), IPV4, max, entries));
        let mut expected = Vec::new();
        if prefixes.len() > max as usize {
            expected.push("max_entries");
        }
        if (1..prefixes.len()).any(|at| prefixes[..at].contains(&prefixes[at])) {
            expected.push("invalid");
        }
        if expected.is_empty() {
            self.model.lists[list] = Some((max, prefixes.to_vec()));
        }
        (said.map(drop), expected)
    }

    pub(super) fn add_prefix(&mut self, list: usize, number: u8) -> Outcome {
        let add = vec![PrefixEntry { addresses: net(number).into(), description: String::new() }];
        let change = ModifyList { list: format!("l{list}"), add, ..ModifyList::<PrefixEntry>::default() };
        let expected = match &mut self.model.lists[list] {
            None => vec!["not_found"],
            Some((_, prefixes)) if prefixes.contains(&number) => Vec::new(),
            Some((max, prefixes)) if prefixes.len() as u32 == *max => vec!["max_entries"],
            Some((_, prefixes)) => {
                prefixes.push(number);
                Vec::new()
            }
        };
        (self.world.run(&change).map(drop), expected)
    }

    pub(super) fn remove_prefix(&mut self, list: usize, number: u8) -> Outcome {
        let remove = vec![net(number).into()];
        let change = ModifyList::<PrefixEntry> { list: format!("l{list}"), remove, ..ModifyList::default() };
        let expected = match &mut self.model.lists[list] {
            None => vec!["not_found"],
            Some((_, prefixes)) => match prefixes.iter().position(|there| *there == number) {
                None => vec!["invalid"],
                Some(at) => {
                    prefixes.remove(at);
                    Vec::new()
                }
            },
        };
        (self.world.run(&change).map(drop), expected)
    }

    pub(super) fn delete_list(&mut self, list: usize) -> Outcome {
        let used = self.model.rules.iter().any(|rule| rule.rule.remote == MRemote::List(list));
        let expected = match &mut self.model.lists[list] {
            None => vec!["not_found"],
            Some(_) if used => vec!["in_use"],
            there => {
                *there = None;
                Vec::new()
            }
        };
        (self.world.run(&DeleteLists::<PrefixEntry>::new(vec![format!("l{list}")])).map(drop), expected)
    }
}
