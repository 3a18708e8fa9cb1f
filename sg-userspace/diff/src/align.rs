//! Which deciders of two lists are the same, in the same order. A packet that no other one matches meets the same deciders in both
//! lists, so the lists judge it alike. It must never look into sets but to take what a group or list has gained and lost apart.
//! `compare` calls it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::verdict::Verdict;

use super::{
    decider::{By, Decider, Dimension, Named},
    set::{SetId, Sets, intersection, without},
};

/// A decider, and whether the other list has it in the same place.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) decider: Decider<'a>,
    pub(super) is_changed: bool,
}

/// What makes two deciders the same.
#[derive(PartialEq, Eq, Hash)]
struct Same<'a> {
    sets: [SetId; Dimension::ALL.len()],
    verdict: Verdict,
    by: Option<By<'a>>,
    named: Option<Named<'a>>,
}

/// Marks what has changed. `by_name`: a decider of another name is another one.
pub(super) fn align<'a>(
    [before, after]: [Vec<Decider<'a>>; 2],
    by_name: bool,
    top: u128,
    sets: &mut Sets,
) -> [Vec<Entry<'a>>; 2] {
    let whole = |decider: &Decider<'a>| {
        let by = by_name.then_some(decider.by);
        Some(Same { sets: decider.sets, verdict: decider.verdict, by, named: None })
    };
    let mut pairs = matched(&before, &after, (0, 0), whole);
    // Between two that are the same: the same but for members of a group, or prefixes of a list.
    let but_members = |decider: &Decider<'a>| {
        let mut same = whole(decider)?;
        same.sets[Dimension::Remote as usize] = SetId::FULL;
        Some(Same { named: Some(decider.named?), ..same })
    };
    let mut between = Vec::new();
    let mut from = (0, 0);
    for to in pairs.iter().copied().chain([(before.len(), after.len())]) {
        if let (Some(one), Some(other)) = (before.get(from.0..to.0), after.get(from.1..to.1))
            && !one.is_empty()
            && !other.is_empty()
        {
            between.extend(matched(one, other, from, but_members));
        }
        from = (to.0 + 1, to.1 + 1);
    }
    pairs.extend(between);
    let mut partners = [vec![None; before.len()], vec![None; after.len()]];
    for (one, other) in pairs {
        for (partners, (own, partner)) in partners.iter_mut().zip([(one, other), (other, one)]) {
            if let Some(place) = partners.get_mut(own) {
                *place = Some(partner);
            }
        }
    }
    let [of_before, of_after] = partners;
    let remotes =
        |list: &[Decider<'a>]| list.iter().map(|one| one.set(Dimension::Remote)).collect::<Vec<_>>();
    let [remotes_before, remotes_after] = [remotes(&before), remotes(&after)];
    let mut marked = |list: Vec<Decider<'a>>, partners: Vec<Option<usize>>, others: &[SetId]| {
        let mut entries = Vec::with_capacity(list.len() + 8);
        for (decider, partner) in list.into_iter().zip(partners) {
            let own = decider.set(Dimension::Remote);
            let Some(&other) = partner.and_then(|partner| others.get(partner)) else {
                entries.push(Entry { decider, is_changed: true });
                continue;
            };
            if own == other {
                entries.push(Entry { decider, is_changed: false });
                continue;
            }
            let [kept, gone] = [intersection, without].map(|part| part(sets.ranges(own), sets.ranges(other)));
            for (part, is_changed) in [(kept, false), (gone, true)] {
                if let Some(set) = sets.id(part, top) {
                    let mut decider = decider.clone();
                    decider.sets[Dimension::Remote as usize] = set;
                    entries.push(Entry { decider, is_changed });
                }
            }
        }
        entries
    };
    [marked(before, of_before, &remotes_after), marked(after, of_after, &remotes_before)]
}

/// Pairs of places, both rising, of deciders with the same key; those without a key have no partner. `from` is added to the
/// places.
fn matched<'a>(
    before: &[Decider<'a>],
    after: &[Decider<'a>],
    from: (usize, usize),
    key: impl Fn(&Decider<'a>) -> Option<Same<'a>>,
) -> Vec<(usize, usize)> {
    let mut places: HashMap<Same<'a>, Vec<usize>> = HashMap::with_capacity(after.len());
    // Backwards, so that the first is taken first.
    for (place, decider) in after.iter().enumerate().rev() {
        if let Some(key) = key(decider) {
            places.entry(key).or_default().push(place);
        }
    }
    let pairs = before.iter().enumerate().filter_map(|(place, decider)| {
        let partner = places.get_mut(&key(decider)?)?.pop()?;
        Some((place, partner))
    });
    let pairs: Vec<_> = pairs.collect();
    rising(&pairs).into_iter().map(|(one, other)| (one + from.0, other + from.1)).collect()
}

/// The longest part of the pairs in which the second places rise, too (patience sorting).
fn rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For each length, the pair with which a part of it ends lowest; and for each pair, the one before.
    let mut ends: Vec<usize> = Vec::new();
    let mut befores = Vec::with_capacity(pairs.len());
    let second = |at: usize| pairs.get(at).map_or(usize::MAX, |pair| pair.1);
    for (at, &(_, place)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| second(end) < place);
        befores.push(length.checked_sub(1).and_then(|before| ends.get(before).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut found = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        found.extend(pairs.get(at));
        next = befores.get(at).copied().flatten();
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rising_part_is_found() {
        let pairs = |seconds: &[usize]| seconds.iter().copied().enumerate().collect::<Vec<_>>();
        let found =
            |seconds: &[usize]| rising(&pairs(seconds)).into_iter().map(|pair| pair.1).collect::<Vec<_>>();
        assert!(found(&[]).is_empty());
        assert_eq!(found(&[3, 0, 1, 2]), [0, 1, 2]);
        assert_eq!(found(&[0, 4, 1, 2, 5, 3]), [0, 1, 2, 3]);
        assert_eq!(found(&[2, 1, 0]).len(), 1);
    }
}
