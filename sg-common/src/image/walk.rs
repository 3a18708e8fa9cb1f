//! The walk from a root to a decision, through one tree or through those of a partition. It must never write an image.

use super::{
    FANOUT, Keys, MAX_STEPS, NO_BOUND, NODE_WORDS, RANKS, Reference, SMALL_FANOUT, TREES, Words,
    reference::{LEAF, RANK_SHIFT},
};
use crate::verdict::Decision;

/// A walk through an image, from a root to a decision.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    at: u64,
}

impl Walk {
    /// Starts at the reference in word `root` of the header.
    #[inline(always)]
    pub fn from<I: Words + ?Sized>(image: &I, root: usize) -> Self {
        Self { at: image.word(root) }
    }

    /// Walks to a decision, through all trees of a partition. `None` if the image is corrupt.
    #[inline(always)]
    pub fn run<I: Words + ?Sized>(self, image: &I, keys: &Keys) -> Option<Decision> {
        let end = self.end(image, keys, || {});
        match Partition::from_word(end) {
            Some(partition) => {
                partition.classify(image, |root| Walk::from(image, root).end(image, keys, || {}))
            }
            None => Decision::from_word(end),
        }
    }

    /// Walks to a decision or a partition: returns its word, or something else if the image is corrupt. Calls `stepped` after
    /// each step.
    #[inline(always)]
    pub fn end<I: Words + ?Sized>(mut self, image: &I, keys: &Keys, stepped: impl Fn()) -> u64 {
        // The mark of a decision is the bit of `NO_BOUND`.
        const END: u64 = NO_BOUND | Reference::PARTITION;
        // As wide as a register: a narrower count is truncated to its width after every step.
        let mut steps = 0_u64;
        while steps < u64::from(MAX_STEPS) && self.at & END == 0 {
            self.step(image, keys);
            stepped();
            steps += 1;
        }
        self.at
    }

    #[inline(always)]
    fn step<I: Words + ?Sized>(&mut self, image: &I, keys: &Keys) {
        let key = keys.numbered(Reference::dimension(self.at));
        if self.at & Reference::DIRECTORY != 0 {
            let (shift, bits) = ((self.at >> 40) & 63, (self.at >> 48) & 31);
            let index = (key >> shift) & ((1 << bits) - 1);
            self.at = image.word(((self.at & Reference::OFFSET) + index) as usize);
            return;
        }
        let mut node = self.at & Reference::OFFSET;
        if self.at & Reference::PAIRED != 0 {
            node += (key >> 63) * NODE_WORDS as u64;
        }
        let node = node as usize;

        // Number of bounds not above the key: for those, bound - (key + 1) is negative.
        let above = (key & (NO_BOUND - 1)) + 1;
        let is_small = self.at & Reference::SMALL != 0;
        let mut child = 0;
        let mut index = 0;
        while index < SMALL_FANOUT - 1 {
            child += image.node_word(node, index).wrapping_sub(above) >> 63;
            index += 1;
        }
        if is_small {
            self.at = image.node_word(node, NODE_WORDS - SMALL_FANOUT + child as usize);
            return;
        }
        while index < FANOUT - 1 {
            child += image.node_word(node, index).wrapping_sub(above) >> 63;
            index += 1;
        }

        // In a corrupt image it is any number.
        let control = image.node_word(node, FANOUT - 1);
        self.at = if control & LEAF != 0 {
            image.word(control.wrapping_add(child) as usize)
        } else {
            let same_dimension = self.at & !(Reference::OFFSET | Reference::PAIRED);
            same_dimension | control.wrapping_add(child * NODE_WORDS as u64) & Reference::OFFSET
        };
    }
}

/// Several trees that decide together.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    offset: u64,
}

impl Partition {
    /// Decodes the partition that ends a walk; `None` if `end` is something else.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(end: u64) -> Option<Self> {
        if end & (NO_BOUND | Reference::PARTITION) == Reference::PARTITION {
            Some(Self { offset: end & Reference::OFFSET })
        } else {
            None
        }
    }

    /// The decision of the lowest rank. `walk` goes from the reference in a word to its end; in a partition that is a decision.
    /// `None` if the image is corrupt.
    #[inline(always)]
    pub fn classify<I: Words + ?Sized>(self, image: &I, walk: impl Fn(usize) -> u64) -> Option<Decision> {
        const RANK: u64 = (RANKS as u64 - 1) << RANK_SHIFT;
        let mut best = u64::MAX;
        let mut tree = 0;
        while tree < TREES {
            let place = self.offset as usize + tree * 2;
            if image.word(place) > best {
                break;
            }
            let found = walk(place + 1);
            let _ = Decision::from_word(found)?;
            if found < best {
                best = found;
            }
            tree += 1;
        }
        Decision::from_word(best & !RANK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{Dimension, Header, leaf_control},
        verdict::{Reason, Verdict},
    };

    fn rule(number: u32) -> u64 {
        Decision::new(Verdict::Accept, Reason::Rule, number).word()
    }

    #[test]
    fn a_key_finds_its_interval() {
        let mut image = [0_u64; 64];
        image[0] = Reference::node(16, Dimension::Service, false).word();
        image[16..24].copy_from_slice(&[
            10,
            20,
            30,
            NO_BOUND,
            NO_BOUND,
            NO_BOUND,
            NO_BOUND,
            leaf_control(24),
        ]);
        for child in 0..8 {
            image[24 + child] = rule(child as u32);
        }
        for (key, expected) in
            [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (u64::MAX >> 1, 3)]
        {
            let mut keys = Keys::default();
            keys.set(Dimension::Service, key);
            let found = Walk::from(&image, 0).run(&image, &keys);
            assert_eq!(found.map(Decision::number), Some(expected), "key {key}");
        }
    }

    #[test]
    fn a_pair_tells_the_upper_half_of_the_keys() {
        let mut image = [0_u64; 64];
        image[0] = Reference::node(16, Dimension::RemoteHigh, true).word();
        image[16..24].fill(NO_BOUND);
        image[23] = leaf_control(32);
        image[24..32].fill(NO_BOUND);
        image[24] = 5;
        image[31] = leaf_control(40);
        image[32..40].fill(rule(1));
        image[40] = rule(2);
        image[41..48].fill(rule(3));
        for (key, expected) in [(0, 1), (u64::MAX >> 1, 1), (1 << 63, 2), ((1 << 63) + 5, 3), (u64::MAX, 3)] {
            let mut keys = Keys::default();
            keys.set(Dimension::RemoteHigh, key);
            let found = Walk::from(&image, 0).run(&image, &keys);
            assert_eq!(found.map(Decision::number), Some(expected), "key {key:#x}");
        }
    }

    #[test]
    fn a_small_node_leads_to_what_it_holds() {
        let mut image = [0_u64; 64];
        image[0] = Reference::small(16, Dimension::Service, false).word();
        image[16..24].copy_from_slice(&[10, 20, NO_BOUND, u64::MAX, rule(0), rule(1), rule(2), rule(3)]);
        image[1] = Reference::small(24, Dimension::Service, false).word();
        image[24..32].copy_from_slice(&[10, 20, 30, u64::MAX, rule(0), rule(1), rule(2), rule(3)]);
        for (key, expected) in [
            (0, [0, 0]),
            (9, [0, 0]),
            (10, [1, 1]),
            (19, [1, 1]),
            (20, [2, 2]),
            (30, [2, 3]),
            (u64::MAX >> 1, [2, 3]),
        ] {
            let mut keys = Keys::default();
            keys.set(Dimension::Service, key);
            for (root, expected) in expected.into_iter().enumerate() {
                let found = Walk::from(&image, root).run(&image, &keys);
                assert_eq!(found.map(Decision::number), Some(expected), "key {key} from {root}");
            }
        }
    }

    #[test]
    fn a_pair_of_small_nodes_tells_the_upper_half_of_the_keys() {
        let mut image = [0_u64; 64];
        image[0] = Reference::small(16, Dimension::RemoteHigh, true).word();
        image[16..24].copy_from_slice(&[NO_BOUND, NO_BOUND, NO_BOUND, 0, rule(1), rule(9), rule(9), rule(9)]);
        image[24..32].copy_from_slice(&[5, NO_BOUND, NO_BOUND, 0, rule(2), rule(3), rule(9), rule(9)]);
        for (key, expected) in [(0, 1), (u64::MAX >> 1, 1), (1 << 63, 2), ((1 << 63) + 5, 3), (u64::MAX, 3)] {
            let mut keys = Keys::default();
            keys.set(Dimension::RemoteHigh, key);
            let found = Walk::from(&image, 0).run(&image, &keys);
            assert_eq!(found.map(Decision::number), Some(expected), "key {key:#x}");
        }
    }

    #[test]
    fn a_damaged_image_ends_without_a_decision() {
        let image = [0_u64; 64];
        assert_eq!(Walk::from(&image, 0).run(&image, &Keys::default()), None);
        assert_eq!(Walk::from(&[][..], 0).run(&[][..], &Keys::default()), None);
        assert_eq!(Header::read(&image), None);
        // A control word that is no valid offset.
        for control in [u64::MAX, !LEAF] {
            let mut image = [0_u64; 64];
            image[0] = Reference::node(16, Dimension::Service, false).word();
            image[23] = control;
            assert_eq!(Walk::from(&image, 0).run(&image, &Keys::default()), None);
            assert_eq!(Walk::from(&image[..], 0).run(&image[..], &Keys::default()), None);
        }
    }
}
