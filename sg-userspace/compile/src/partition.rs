//! Partitions lowered rules into decision trees: how many, and which lowered rules go into which.
//!
//! A lookup in one decision tree is the fastest. But lowered rules that are narrow in one dimension and wide in another multiply
//! with those that are the other way round: a thousand remotes for any local address beside a thousand local addresses for any
//! remote are a million places in one decision tree, and two thousand in two. So if one decision tree would be too large for its
//! number of lowered rules, the narrow ones are separated from the wide ones, dimension by dimension, as far as needed. Each part
//! becomes a decision tree of its own; of their decisions, the one of the first lowered rule wins.
//!
//! It neither orders lowered rules nor writes anything; `compile` calls it.

use sg_common::{
    image::{Dimension, RANKS, TREES},
    packet::Family,
};

use super::{
    dimensions::OF_RULES,
    lowered_rule::LoweredRule,
    ranges::Range,
    tree::{DecisionTree, Limits, Order},
};

/// Words that any decision tree may take in addition to those for its ranges.
const SMALL_WORDS: usize = 1 << 12;

/// The maximum words per range of a decision tree that splits by addresses first. A policy that does not multiply needs 8 to 16
/// this way, and no other order makes it smaller; one that does multiply is better off with the other order.
const PLAIN: usize = 20;

/// The maximum words per range of a decision tree that is to be the only one; the second figure applies if the first would need
/// too many decision trees.
const WORDS_PER_RANGE: [usize; 2] = [1 << 6, 1 << 10];

/// The estimate of a decision tree's words is high, by up to this factor if a directory has few trees behind it. The words
/// written in the end count against the budget; this only bounds the work.
const GENEROUS: usize = 4;

/// A lowered rule is wide in a dimension if more than one in this many of the ranges that begin in the dimension begin inside it.
const WIDE: usize = 16;

/// The limits of a decision tree that only the budget bounds.
pub(super) const fn limits(budget_words: usize) -> Limits {
    Limits::of_words(budget_words.saturating_mul(GENEROUS))
}

/// Builds the decision trees that together decide as `lowered rules` do, the last of which always matches; sorted by their first
/// lowered rules. `None` if they exceed the budget.
pub(super) fn plant(
    lowered_rules: &[LoweredRule],
    family: Family,
    budget_words: usize,
) -> Option<Vec<DecisionTree>> {
    let most = limits(budget_words);
    let all: Vec<u32> = (0..lowered_rules.len().checked_sub(1)? as u32).collect();
    let ranges = ranges(lowered_rules, &all);
    let one =
        |order, limits| DecisionTree::build(lowered_rules, family, order, limits).map(|tree| vec![tree]);
    let several = |words_per_range| {
        let mut partition =
            Partition { lowered_rules, family, words_per_range, words_left: most.words, trees: Vec::new() };
        partition.divide(&all, &OF_RULES).then_some(partition.trees).filter(|trees| trees.len() > 1)
    };
    let [few, many] = WORDS_PER_RANGE;
    let mut found = one(Order::AddressFirst, fair(ranges, PLAIN).min(most))
        .or_else(|| one(Order::MostSelective, fair(ranges, few).min(most)));
    if lowered_rules.len() <= RANKS as usize {
        found = found.or_else(|| several(few)).or_else(|| several(many));
    }
    let mut trees = found.or_else(|| smallest(lowered_rules, family, most).map(|tree| vec![tree]))?;
    trees.sort_by_key(|tree| tree.first);
    Some(trees)
}

/// The smaller of the decision trees of all lowered rules that two orders give; `None` if both exceed the limits.
fn smallest(lowered_rules: &[LoweredRule], family: Family, limits: Limits) -> Option<DecisionTree> {
    let first = DecisionTree::build(lowered_rules, family, Order::AddressFirst, limits);
    // The second tree is useful only if it is smaller: building stops once it is not.
    let words = first.as_ref().map_or(limits.words, |tree| tree.words.saturating_sub(1));
    DecisionTree::build(lowered_rules, family, Order::MostSelective, Limits { words, ..limits }).or(first)
}

/// The number of ranges in `members`.
fn ranges(lowered_rules: &[LoweredRule], members: &[u32]) -> usize {
    members.iter().map(|&lowered_rule| lowered_rules[lowered_rule as usize].ranges()).sum()
}

/// The limits of a decision tree with this many ranges that is worth its words.
fn fair(ranges: usize, words_per_range: usize) -> Limits {
    Limits::of_words(SMALL_WORDS + ranges.saturating_mul(words_per_range))
}

/// A partition under construction.
struct Partition<'a> {
    lowered_rules: &'a [LoweredRule],
    family: Family,
    words_per_range: usize,
    /// What is left of the budget, by estimate.
    words_left: usize,
    trees: Vec<DecisionTree>,
}

impl Partition<'_> {
    /// Adds the decision trees of `members`: one if it is worth its words, else several. Returns whether they fit the budget and
    /// the maximum number of trees.
    fn part(&mut self, members: &[u32], apart: &[Dimension]) -> bool {
        self.grow(members, fair(ranges(self.lowered_rules, members), self.words_per_range))
            || self.divide(members, apart)
    }

    /// Adds the decision trees of the narrow rules and of the wide rules, in the first dimension of `apart` that separates them;
    /// if none does, one decision tree at any cost.
    fn divide(&mut self, members: &[u32], apart: &[Dimension]) -> bool {
        let Some((&dimension, apart)) = apart.split_first() else {
            return self.grow(members, Limits::of_words(usize::MAX));
        };
        let (narrow, wide) = self.narrow_and_wide(members, dimension);
        if narrow.is_empty() || wide.is_empty() {
            return self.divide(members, apart);
        }
        self.part(&narrow, apart) && self.part(&wide, apart)
    }

    /// Adds one decision tree. Returns whether it is within the limits, and not one too many.
    fn grow(&mut self, members: &[u32], limits: Limits) -> bool {
        if self.trees.len() == TREES {
            return false;
        }
        let last = self.lowered_rules.len() as u32 - 1;
        let members: Vec<u32> = members.iter().copied().chain([last]).collect();
        let limits = limits.min(Limits::of_words(self.words_left));
        let Some(tree) =
            DecisionTree::of(self.lowered_rules, &members, self.family, Order::MostSelective, limits, true)
        else {
            return false;
        };
        self.words_left -= tree.words;
        self.trees.push(tree);
        true
    }

    fn narrow_and_wide(&self, members: &[u32], dimension: Dimension) -> (Vec<u32>, Vec<u32>) {
        let ranges = |lowered_rule: u32| self.lowered_rules[lowered_rule as usize].ranges_of(dimension);
        let mut begins: Vec<u64> =
            members.iter().flat_map(|&lowered_rule| ranges(lowered_rule)).map(|range| range.first).collect();
        begins.sort_unstable();
        begins.dedup();
        let inside = |range: Range| {
            begins.partition_point(|&key| key <= range.last)
                - begins.partition_point(|&key| key < range.first)
        };
        // A range contains its own beginning.
        let narrow = |&range: &Range| (inside(range) - 1) * WIDE <= begins.len();
        members.iter().partition(|&&lowered_rule| ranges(lowered_rule).iter().all(narrow))
    }
}

#[cfg(test)]
mod tests {
    use ipnet::{IpNet, Ipv4Net, Ipv6Net};
    use sg_common::{
        image::{Keys, Walk, service_key},
        verdict::{Decision, Reason, Verdict},
    };
    use smallvec::smallvec;

    use super::*;
    use crate::{
        layout::Layout,
        lowered_rule::Condition,
        ranges::{Addresses, Piece, Ranges},
        source::addresses,
    };

    /// Deterministic pseudo-random numbers.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.0 >> 33) % end
        }

        /// Mostly long prefixes around a few places, and some of everything else.
        fn addresses(&mut self, family: Family) -> Addresses {
            let length = [0, 0, 4, 12, 20, 28, 30, 32][self.below(8) as usize];
            let place = (self.below(40) as u32).wrapping_mul(0x9e37_79b1) ^ self.below(16) as u32;
            let net: IpNet = match family {
                Family::V4 => Ipv4Net::new(place.into(), length).unwrap().trunc().into(),
                Family::V6 => {
                    let bits = u128::from(place) << 96 | u128::from(place) << 32 | u128::from(place);
                    Ipv6Net::new(bits.into(), length * 4).unwrap().trunc().into()
                }
            };
            addresses(family, [net]).unwrap()
        }

        fn range(&mut self, protocol: u8) -> Ranges {
            let (one, other) = (self.below(60) as u16 * 1000, self.below(60) as u16 * 1000);
            let first = service_key(protocol, one.min(other));
            match self.below(4) {
                0 => smallvec![Range::FULL],
                1 => smallvec![Range { first, last: first }],
                _ => smallvec![Range { first, last: service_key(protocol, one.max(other)) }],
            }
        }

        fn lowered_rules(&mut self, family: Family, count: u32) -> Vec<LoweredRule> {
            let only = |key| Range { first: key, last: key };
            let decision = |number| Decision::new(Verdict::Accept, Reason::Rule, number);
            let some = |number| LoweredRule {
                remote: self.addresses(family),
                local: self.addresses(family),
                service: self.range(6),
                source_port: self.range(0),
                dscp: if self.below(4) == 0 { only(self.below(3) * 31) } else { Range::FULL },
                ethernet: Range::FULL,
                decision: decision(number),
            };
            let mut lowered_rules: Vec<LoweredRule> = (0..count).map(some).collect();
            // Rules that match almost everything come last, or they would hide the others.
            lowered_rules.sort_by_key(|lowered_rule| {
                OF_RULES.iter().filter(|&&dimension| !lowered_rule.asked().has(dimension)).count()
            });
            lowered_rules.push(LoweredRule::always(decision(count)));
            lowered_rules
        }

        /// A key at an edge of a range, or next to one.
        fn affected(&mut self, ranges: &[Range]) -> u64 {
            let range = ranges[self.below(ranges.len() as u64) as usize];
            let edge = if self.below(2) == 0 { range.first } else { range.last };
            edge.wrapping_add(self.below(3)).wrapping_sub(1)
        }

        /// Keys at the edges of a lowered rule.
        fn keys(&mut self, family: Family, lowered_rule: &LoweredRule) -> Keys {
            let mut keys = Keys::default();
            for dimension in Dimension::ALL {
                let highest = u64::MAX >> (64 - dimension.key_bits(family));
                match lowered_rule.condition(dimension) {
                    Condition::High(_, addresses) => {
                        let Piece { high, low } =
                            &addresses.pieces()[self.below(addresses.pieces().len() as u64) as usize];
                        keys.set(dimension, self.affected(&[*high]) & highest);
                        let low = self.affected(low.as_deref().unwrap_or(&[Range::FULL]));
                        keys.set(dimension.lower_half().unwrap(), low);
                    }
                    Condition::Low(_) => {}
                    Condition::Key(ranges) => keys.set(dimension, self.affected(ranges) & highest),
                }
            }
            keys
        }
    }

    /// The decision of the first lowered rule that matches, by a linear scan.
    fn said(lowered_rules: &[LoweredRule], keys: &Keys) -> Decision {
        let among =
            |ranges: &[Range], key| ranges.iter().any(|range| (range.first..=range.last).contains(&key));
        let matches = |lowered_rule: &&LoweredRule| {
            Dimension::ALL.iter().all(|&dimension| match lowered_rule.condition(dimension) {
                Condition::High(_, addresses) => addresses.pieces().iter().any(|piece| {
                    let low = keys.get(dimension.lower_half().unwrap());
                    among(&[piece.high], keys.get(dimension))
                        && piece.low.as_ref().is_none_or(|lows| among(lows, low))
                }),
                Condition::Low(_) => true,
                Condition::Key(ranges) => among(ranges, keys.get(dimension)),
            })
        };
        lowered_rules.iter().find(matches).unwrap().decision
    }

    #[test]
    fn a_partition_decides_as_its_lowered_rules() {
        let mut random = Random(1);
        let mut most = 0;
        for (family, count) in [(Family::V4, 500), (Family::V6, 500), (Family::V4, 1500)] {
            let lowered_rules = random.lowered_rules(family, count);
            let trees = plant(&lowered_rules, family, 1 << 23).unwrap();
            assert!(
                trees.len() > 1,
                "{count} lowered rules of {family:?} are one tree: this test tests nothing"
            );
            assert!(trees.is_sorted_by_key(|tree| tree.first));
            most = most.max(trees.len());
            let mut layout = Layout::new(16, 1 << 23);
            layout.words[0] = layout.plant(&trees).unwrap();
            layout.words.resize(layout.words.len().next_power_of_two(), 0);
            for _ in 0..20_000 {
                let lowered_rule = random.below(u64::from(count)) as usize;
                let keys = random.keys(family, &lowered_rules[lowered_rule]);
                let found = Walk::from(&layout.words[..], 0).run(&layout.words[..], &keys);
                assert_eq!(found, Some(said(&lowered_rules, &keys)), "{keys:x?}");
            }
        }
        println!("up to {most} trees");
    }
}
