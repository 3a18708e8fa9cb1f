//! Patches an image in use with a few more words when few members change: the cost of a member of a group of 100,000 is then that
//! of the member, not that of the group.
//!
//! The array behind an image has free room. For each range of remote addresses that the policy now decides differently, a small
//! decision tree is compiled from the rules for that range, and appended; before it goes a node of the remote dimension that
//! leads to this tree inside the range, and to where the image led before outside of it. Then **one word** is replaced: the
//! reference that all packets from the range follow.
//!
//! ```text
//! root ─► … ─► word ─► what was there          root ─► … ─► word ─► node [a, b] ─┬─► what was there
//!                                                                  (new)        └─► the new decision tree
//! ```
//!
//! The word is found from a root through nodes that test the remote address only, so the remote address alone decides whether a
//! packet follows it. If a root tests something else first, or is a partition, the word is the root itself. Nodes hold absolute
//! bounds, so what a word leads to may be replaced wherever it is read within one root's decision tree. Two roots must not share
//! words: [`Layout`] writes each decision tree anew.
//!
//! It must never touch the kernel: it only determines which words go where, and in which order they must be written ([`Patch`]).
//! `state/images.rs` of the agent calls it.

use std::{collections::BTreeMap, mem::take};

use sg_common::{
    flow::Direction,
    image::{
        CLASS_WORDS, Dimension, FANOUT, MAX_STEPS, NO_BOUND, NODE_WORDS, Reference, SMALL_FANOUT, header,
        inner_control, leaf_control,
    },
    packet::Family,
};
use sg_model::{Decider, Nic, Policy};

use super::{
    Image, ImageOptions,
    affected::{AffectedRanges, changed},
    decisions,
    layout::Layout,
    lowered_rule::{LoweredRule, Resolver},
    partition,
    ranges::Range,
    tree::DecisionTree,
};

/// Approximate maximum of the words compiled for one range.
const MOST_WORDS: usize = 1 << 13;

/// The maximum number of an image's words that one patch replaces.
const MOST_REPLACED: usize = 256;

/// Free words reserved at a time.
const ROOM: usize = 1 << 13;

/// A published image that can be patched.
#[derive(Clone, Debug)]
pub struct Patchable {
    image: Image,
    /// The number of compiled words; all after them were added by patches.
    compiled: usize,
    /// The longest walk through an added decision tree.
    added_steps: u32,
}

/// Words to append to an image, and words of it to replace. They must be written in this order: first the appended ones, which no
/// packet reads yet; then the replaced ones, each word atomically; then the header's, after which flows are revalidated.
///
/// A packet reads the header before a root. So between these writes
/// - each root that it reads is the old or the new one, never a mixture: a root is changed word by word, but each word covers
///   remote addresses of its own. (A packet of a flow in the other direction reads two roots: either may be the older.)
/// - a flow that it creates or revalidates has the generation of the old image, whichever reference it followed, and is
///   revalidated by its next packet;
/// - none has the new generation by an old reference, as long as the first write is seen first: see `kernel::images`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The length of the image so far, in words: the appended words go there.
    pub at: usize,
    /// The words to append.
    pub appended: Vec<u64>,
    /// The words to replace: offset and new value.
    pub replaced: Vec<(usize, u64)>,
    /// The header's word with the generation of the image that this patch applies to.
    pub before: u64,
    /// The same word after the patch.
    pub after: u64,
    added_steps: u32,
}

impl Patch {
    /// Whether the image already decides as it should.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replaced.is_empty()
    }

    /// Sets the generation of the patched image.
    pub fn set_generation(&mut self, generation: u32) {
        self.after = self.before & !0xffff_ffff | u64::from(generation);
    }
}

/// The word that packets of some remote addresses follow.
struct Place {
    word: usize,
    /// The range of upper halves of remote addresses.
    interval: Range,
    /// Compiled nodes before it.
    compiled: u32,
    /// Added nodes before it.
    added: u32,
}

impl Place {
    const fn steps(&self) -> u32 {
        self.compiled + self.added
    }

    const fn pass(&mut self, compiled: bool) {
        if compiled {
            self.compiled += 1;
        } else {
            self.added += 1;
        }
    }
}

impl Patchable {
    /// Wraps a freshly compiled image.
    #[must_use]
    pub const fn new(image: Image) -> Self {
        let compiled = image.words.len();
        Self { image, compiled, added_steps: 0 }
    }

    /// The image, with all patches applied.
    #[must_use]
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// The memory it takes, in words.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.image.words.capacity()
    }

    /// Sets the generation of the image.
    pub fn set_generation(&mut self, generation: u32) {
        self.image.set_generation(generation);
    }

    /// Sets the id of the change that publishes the image, see [`Image::set_pending`].
    pub fn set_pending(&mut self, id: u32) {
        self.image.set_pending(id);
    }

    /// Computes the patch from the policy `before`, which this image is compiled from, to `after`. `nic` is of `after`; `options`
    /// and `number` are as in [`super::compile`], except that the generation is the one the image has. `None` if it takes a full
    /// compilation: more changed than members and entries of prefix lists, too many of those changed, or the image has no room
    /// left.
    pub fn patch(
        &mut self,
        (before, after): (&Policy, &Policy),
        nic: &Nic,
        options: &ImageOptions,
        number: &mut dyn FnMut(Decider) -> u32,
    ) -> Option<Patch> {
        let changed = changed(before, after, nic)?;
        let size = CLASS_WORDS.into_iter().find(|&size| self.image.words.len() <= size)?;
        let at = self.image.words.len();
        if self.image.words.capacity() - at < ROOM / 2 {
            self.image.words.reserve_exact(ROOM);
        }
        // Beyond a quarter of the compiled words, compiling again is as good.
        let most = at + (self.compiled / 4).max(MOST_WORDS);
        let mut writing = Writing {
            layout: Layout::new(0, size.min(options.budget_words).min(most)),
            replaced: BTreeMap::new(),
            at,
            compiled: self.compiled,
            compiled_steps: self.image.steps,
            added_steps: self.added_steps,
        };
        writing.layout.words = take(&mut self.image.words);
        let mut done = Some(());
        for direction in [Direction::Ingress, Direction::Egress] {
            let affected = &changed[direction as usize];
            let decisions = decisions(after, nic, direction, number);
            if [Family::V4, Family::V6].iter().all(|&family| affected.ranges(family).is_empty()) {
                continue;
            }
            let mut resolver = Resolver::of(after, affected);
            for (family, lowered_rules) in
                resolver.lowered_rules(nic, direction, &decisions, options.counters)
            {
                let root = header::ROOTS + direction as usize * 2 + family as usize;
                done = done.and_then(|()| writing.root(root, family, affected, &lowered_rules));
            }
        }
        let (before, added_steps) = (writing.layout.words[header::GENERATION_FLAGS], writing.added_steps);
        let words = &mut writing.layout.words;
        let replaced = writing.replaced.iter().map(|(&place, _)| (place, words[place])).collect();
        let appended = words.split_off(at);
        // Nothing is done yet: others decide whether this patch is ever applied.
        for (place, was) in writing.replaced {
            words[place] = was;
        }
        self.image.words = take(words);
        if done.is_none() {
            self.image.words.shrink_to(at + ROOM);
        }
        done.map(|()| Patch { at, appended, replaced, before, after: before, added_steps })
    }

    /// Applies a patch that was computed for this image.
    pub fn apply(&mut self, patch: &Patch) {
        let words = &mut self.image.words;
        debug_assert_eq!((words.len(), words[header::GENERATION_FLAGS]), (patch.at, patch.before));
        words.extend_from_slice(&patch.appended);
        for &(place, word) in &patch.replaced {
            words[place] = word;
        }
        words[header::GENERATION_FLAGS] = patch.after;
        self.added_steps = patch.added_steps;
    }
}

/// An image while a patch is computed.
struct Writing {
    layout: Layout,
    /// Replaced words that the image had before, with their old values.
    replaced: BTreeMap<usize, u64>,
    /// The number of words the image had before.
    at: usize,
    compiled: usize,
    compiled_steps: u32,
    added_steps: u32,
}

impl Writing {
    /// Makes a root decide as `lowered rules` do for the addresses that are `affected`.
    fn root(
        &mut self,
        root: usize,
        family: Family,
        affected: &AffectedRanges,
        lowered_rules: &[LoweredRule],
    ) -> Option<()> {
        for &range in affected.ranges(family) {
            let within = |lowered_rule: &LoweredRule| {
                let remote = lowered_rule.remote.within(range)?;
                Some(LoweredRule { remote, ..lowered_rule.clone() })
            };
            let lowered_rules: Vec<LoweredRule> = lowered_rules.iter().filter_map(within).collect();
            let trees = partition::plant(&lowered_rules, family, MOST_WORDS)?;
            self.lead(root, family, range, &trees)?;
        }
        Some(())
    }

    /// Leads packets from `range` to `trees`.
    fn lead(&mut self, root: usize, family: Family, range: Range, trees: &[DecisionTree]) -> Option<()> {
        let mut first = range.first;
        loop {
            let place = self.find(root, family, first)?;
            let last = range.last.min(place.interval.last);
            let part = Range { first, last };
            let was = self.layout.words[place.word];
            // Written anew for each part, so that exactly one path leads to each added word.
            let reference = self.layout.plant(trees)?;
            self.added_steps = self.added_steps.max(self.layout.steps);
            // Compiled words may be read for other addresses too, because equal parts are stored once.
            let whole = place.interval == part && place.word >= self.compiled;
            let steps = self.compiled_steps.max(place.compiled + self.added_steps) + place.added;
            if was != reference {
                let next = if whole { reference } else { self.node(family, part, was, reference)? };
                if steps + u32::from(!whole) > MAX_STEPS {
                    return None;
                }
                self.replace(place.word, next)?;
            }
            if last == range.last {
                return Some(());
            }
            first = last + 1;
        }
    }

    fn replace(&mut self, place: usize, word: u64) -> Option<()> {
        let words = &mut self.layout.words;
        // No packet reads the words appended by this patch yet.
        if place < self.at {
            self.replaced.entry(place).or_insert(words[place]);
        }
        words[place] = word;
        (self.replaced.len() <= MOST_REPLACED).then_some(())
    }

    /// Writes the node that leads to `inside` for keys in `range` and to `outside` for others.
    fn node(&mut self, family: Family, range: Range, outside: u64, inside: u64) -> Option<u64> {
        let key = |key: u64| key & (NO_BOUND - 1);
        // The range lies in one half of the keys. A bound beyond all keys of that half means no bound.
        let end = if key(range.last) == NO_BOUND - 1 { NO_BOUND } else { key(range.last) + 1 };
        let tell = [key(range.first), end, NO_BOUND, NO_BOUND, outside, inside, outside, outside];
        let words = &mut self.layout.words;
        let offset = words.len() as u32;
        match family {
            Family::V4 => words.extend_from_slice(&tell),
            Family::V6 => {
                let [none, other] = [[NO_BOUND; SMALL_FANOUT], [outside; SMALL_FANOUT]];
                let other = [none, other].concat();
                let pair = if range.first < NO_BOUND { [&tell[..], &other] } else { [&other, &tell[..]] };
                words.extend(pair.concat());
            }
        }
        let found = Reference::small(offset, Dimension::RemoteHigh, family == Family::V6);
        self.layout.is_within_budget().then(|| found.word())
    }

    /// The last word on the path of a packet from `key` that is reached by the remote address alone. `None` if the image is
    /// damaged.
    fn find(&self, root: usize, family: Family, key: u64) -> Option<Place> {
        let words = &self.layout.words;
        // A node of 64-bit keys is a pair of nodes with 63 bits each; here, a word that both halves read is treated as read by
        // one half.
        let (half, last) = match family {
            Family::V4 => (0, u64::from(u32::MAX)),
            Family::V6 => (key & NO_BOUND, key | (NO_BOUND - 1)),
        };
        let mut place = Place { word: root, interval: Range { first: half, last }, compiled: 0, added: 0 };
        let narrow = |interval: &mut Range, first: u64, last: u64| {
            interval.first = interval.first.max(first);
            interval.last = interval.last.min(last);
        };
        while place.steps() <= MAX_STEPS {
            let reference = *words.get(place.word)?;
            if let Some((offset, shift, bits)) = directory(reference) {
                let index = (key >> shift) & ((1 << bits) - 1);
                place.pass(offset < self.compiled);
                place.word = offset + index as usize;
                narrow(&mut place.interval, index << shift, (index << shift) + ((1 << shift) - 1));
                continue;
            }
            let Some(Node { offset, paired, small }) = node(reference) else { return Some(place) };
            if paired != (family == Family::V6) {
                return None;
            }
            let mut at = if half == 0 { offset } else { offset + NODE_WORDS };
            loop {
                place.pass(at < self.compiled);
                let node = words.get(at..at + NODE_WORDS)?;
                let bounds = &node[..if small { SMALL_FANOUT } else { FANOUT } - 1];
                let child = bounds.iter().filter(|&&bound| bound <= key & (NO_BOUND - 1)).count();
                let first = child.checked_sub(1).map_or(half, |before| half | bounds[before]);
                let end = bounds.get(child).copied().filter(|&bound| bound < NO_BOUND);
                narrow(&mut place.interval, first, end.map_or(u64::MAX, |end| (half | end) - 1));
                if small {
                    place.word = at + NODE_WORDS - SMALL_FANOUT + child;
                    break;
                }
                let control = node[FANOUT - 1];
                let below = control as u32;
                if control == leaf_control(below) {
                    place.word = below as usize + child;
                    break;
                }
                if control != inner_control(below) || place.steps() > MAX_STEPS {
                    return None;
                }
                at = below as usize + child * NODE_WORDS;
            }
        }
        None
    }
}

/// Offset, shift and bits of a reference to a directory of remote addresses.
fn directory(reference: u64) -> Option<(usize, u32, u32)> {
    let (shift, bits) = ((reference >> 40) as u32 & 63, (reference >> 48) as u32 & 31);
    let known = Reference::directory(reference as u32, Dimension::RemoteHigh, shift, bits);
    (known.word() == reference).then_some((reference as u32 as usize, shift, bits))
}

/// A reference to a node of remote addresses.
struct Node {
    offset: usize,
    /// It is a pair of nodes.
    paired: bool,
    small: bool,
}

fn node(reference: u64) -> Option<Node> {
    let (offset, dimension) = (reference as u32, Dimension::RemoteHigh);
    [false, true].into_iter().find_map(|paired| {
        let small = Reference::small(offset, dimension, paired).word() == reference;
        let is_node = small || Reference::node(offset, dimension, paired).word() == reference;
        is_node.then_some(Node { offset: offset as usize, paired, small })
    })
}

#[cfg(test)]
mod tests;
