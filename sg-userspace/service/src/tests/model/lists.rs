//! Operations on prefix lists, by the service and by the model.

use sg_records::{Addresses, PrefixEntry};

use super::{Both, ENTRIES, Outcome, operations::MRemote};
use crate::{
    DeleteLists, ModifyList,
    tests::{IPV4, new_list},
};

/// What the numbers of entries stand for. Two have the same addresses, and some overlap.
const ENTRIES_WRITTEN: [&str; ENTRIES as usize] = [
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.0.0.0-10.0.0.255",
    "10.0.0.101-10.0.1.101",
    "10.0.0.2-10.0.0.2",
];

fn addresses(entry: u8) -> Addresses {
    ENTRIES_WRITTEN[usize::from(entry)].parse().unwrap()
}

/// Whether an entry has an address.
pub(super) fn has(entry: u8, [_, _, third, last]: [u8; 4]) -> bool {
    match entry {
        0..3 => third == entry,
        3 => third == 0,
        4 => (third == 0 && last >= 101) || (third == 1 && last <= 101),
        _ => [third, last] == [0, 2],
    }
}

impl Both {
    pub(super) fn create_list(&mut self, list: usize, max: u32, prefixes: &[u8]) -> Outcome {
        if self.model.lists[list].is_some() {
            return (Ok(()), Vec::new());
        }
        let entry = |&number: &u8| PrefixEntry { addresses: addresses(number), description: String::new() };
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
        let add = vec![PrefixEntry { addresses: addresses(number), description: String::new() }];
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
        let remove = vec![addresses(number)];
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

    pub(super) fn delete_list(&mut self, list: usize, with_rules: bool) -> Outcome {
        let used = self.model.rules.iter().any(|rule| rule.rule.remote == MRemote::List(list));
        let expected = match &mut self.model.lists[list] {
            None => vec!["not_found"],
            Some(_) if used && !with_rules => vec!["in_use"],
            there => {
                *there = None;
                self.model.rules.retain(|rule| rule.rule.remote != MRemote::List(list));
                Vec::new()
            }
        };
        let delete = DeleteLists::<PrefixEntry>::new(vec![format!("l{list}")]).with_rules(with_rules);
        (self.world.run(&delete).map(drop), expected)
    }
}
