//! Compiles the effective policy of a NIC into a policy image: pure, deterministic (the same input gives the same bytes), with a
//! size budget. It must never touch the kernel. The agent and `sg-check` call it.
//!
//! | file | owns |
//! |---|---|
//! | `lowered_rule` | everything that can decide, in order, as ranges of keys |
//! | `source` | where the remote addresses of a rule come from |
//! | `ranges` | sets of keys as sorted, disjoint ranges |
//! | `tree` | lowered rules → a decision tree of splits, equal parts stored once |
//! | `candidate` | lowered rules that can still match, and the conditions each has left |
//! | `interval` | keys of one dimension that lead to the same place |
//! | `sweep_line` | where along one dimension which candidates can match |
//! | `dimensions` | a set of dimensions |
//! | `partition` | how many decision trees, and which lowered rules go into which |
//! | `layout` | the decision tree → words that `sg_common::image` reads |
//! | `affected` | the remote addresses that a change of members and lists affects |
//! | `patch` | such a change as a few more words in a published image |

mod affected;
mod candidate;
pub mod diff;
mod dimensions;
mod interval;
mod layout;
mod lowered_rule;
mod partition;
mod patch;
mod ranges;
mod source;
mod sweep_line;
#[cfg(test)]
mod tests;
mod tree;

use sg_common::{
    flow::{self, Direction},
    image::{CLASS_WORDS, Header, MAX_STEPS, VERSION, flags, header},
    packet::Family,
    verdict::{Decision, Reason, Verdict},
};
use thiserror::Error;

pub use self::patch::{Patch, Patchable};
use self::{
    layout::Layout,
    lowered_rule::{LoweredRule, Resolver},
    tree::{DecisionTree, Order},
};
use sg_model::{
    Decider, Established, Hook, Ipsec, MAX_ETHERTYPES, Mac, MidStream, NamedTakeover, Nic, Policy, Role,
    Takeover,
};

/// Properties of an image beyond the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// The number of the NIC's policy version.
    pub generation: u32,
    /// The first of the NIC's own counters ([`sg_common::abi::NIC_COUNTERS`] of them).
    pub counters: u32,
    /// The maximum size of the image in words; at most the largest of [`CLASS_WORDS`].
    pub budget_words: usize,
}

/// The size of the largest possible image, in words.
pub const LARGEST_WORDS: usize = CLASS_WORDS[CLASS_WORDS.len() - 1];

/// A compiled policy of one NIC: words for `sg_common::image` to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    words: Vec<u64>,
    /// An upper bound of the longest walk, in nodes.
    steps: u32,
}

impl Image {
    /// The words of the image, header first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether another image decides the same: equal except for the generation.
    #[must_use]
    pub fn same_policy(&self, other: &Self) -> bool {
        const GENERATION: u64 = 0xffff_ffff;
        let differs = |(index, (a, b)): (usize, (&u64, &u64))| {
            let mask = if index == header::GENERATION_FLAGS { !GENERATION } else { u64::MAX };
            a & mask != b & mask
        };
        self.words.len() == other.words.len() && !self.words.iter().zip(&other.words).enumerate().any(differs)
    }

    /// The same policy with another generation.
    #[must_use]
    pub fn with_generation(mut self, generation: u32) -> Self {
        self.set_generation(generation);
        self
    }

    /// Sets the generation, in the header; the policy stays the same.
    pub fn set_generation(&mut self, generation: u32) {
        let word = &mut self.words[header::GENERATION_FLAGS];
        *word = *word & !0xffff_ffff | u64::from(generation);
    }

    /// Sets the id of the change that publishes the image, if it is to be confirmed, see [`sg_common::pending`]; else zero. The
    /// policy stays the same.
    pub fn set_pending(&mut self, id: u32) {
        self.words[header::PENDING] = u64::from(id);
    }

    /// Says whether what the rules decide is also asked of a candidate, see [`sg_common::candidate`]. The policy stays the same.
    pub fn set_candidate(&mut self, has_candidate: bool) {
        const CANDIDATE: u64 = (flags::CANDIDATE as u64) << 32;
        let word = &mut self.words[header::GENERATION_FLAGS];
        *word = *word & !CANDIDATE | if has_candidate { CANDIDATE } else { 0 };
    }

    /// An image under which everything passes, for a NIC that was not filtered before: counted as its default, by the counters
    /// that begin at `counters`.
    #[must_use]
    pub fn unfiltered(role: Role, counters: u32) -> Self {
        let mut words = vec![0; header::WORDS];
        words[header::MAGIC_VERSION] = Header::unfiltered();
        words[header::COUNTERS] = u64::from(counters);
        if role == Role::Guest {
            words[header::GENERATION_FLAGS] = u64::from(flags::GUEST) << 32;
        }
        Self { words, steps: 0 }
    }
}

/// Why a policy cannot be compiled into an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// The image would exceed the budget.
    #[error(
        "NIC {device}: the policy image would need more than the budget of {budget_bytes} bytes; the rules that \
         cost most: {}. Give them fewer prefixes or ports, or raise --image-budget (at most 64 MiB)",
        costliest.join(", ")
    )]
    OverBudget {
        /// The NIC's device.
        device: String,
        budget_bytes: usize,
        /// The rules with the most combinations of prefixes and ports, largest first.
        costliest: Vec<String>,
    },
    /// A walk through the image would be too long for the program.
    #[error(
        "NIC {device}: a packet would need {steps} steps through the policy image, {MAX_STEPS} are the most"
    )]
    TooDeep {
        /// The NIC's device.
        device: String,
        /// The length of the longest walk, in nodes.
        steps: u32,
    },
}

/// Compiles the NICs of one policy; what they have in common is resolved once.
#[derive(Debug)]
pub struct Compiler<'a> {
    policy: &'a Policy,
    resolver: Resolver<'a>,
}

impl<'a> Compiler<'a> {
    /// Creates a compiler of `policy`.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, resolver: Resolver::new(policy) }
    }

    /// Compiles the policy of `nic`, as [`compile`] does.
    ///
    /// # Errors
    /// If the image would exceed the budget, or a walk through it would be too long.
    pub fn compile(
        &mut self,
        nic: &Nic,
        options: &ImageOptions,
        number: &mut dyn FnMut(Decider) -> u32,
    ) -> Result<Image, CompileError> {
        image(self.policy, &mut self.resolver, nic, options, number)
    }
}

/// Compiles the policy of `nic`. `number` returns the counter number of a decider; it is called once for each, including
/// defaults.
///
/// # Errors
/// If the image would exceed the budget, or a walk through it would be too long.
pub fn compile(
    policy: &Policy,
    nic: &Nic,
    options: &ImageOptions,
    number: &mut dyn FnMut(Decider) -> u32,
) -> Result<Image, CompileError> {
    Compiler::new(policy).compile(nic, options, number)
}

fn image(
    policy: &Policy,
    resolver: &mut Resolver<'_>,
    nic: &Nic,
    options: &ImageOptions,
    number: &mut dyn FnMut(Decider) -> u32,
) -> Result<Image, CompileError> {
    let budget_words = options.budget_words.min(LARGEST_WORDS);
    let mut layout = Layout::new(header::WORDS, budget_words);
    let over_budget = |resolver: &mut Resolver<'_>| CompileError::OverBudget {
        device: nic.device.clone(),
        budget_bytes: budget_words * size_of::<u64>(),
        costliest: resolver.costliest(nic),
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        let decisions = decisions(policy, nic, direction, number);
        for (family, lowered_rules) in resolver.lowered_rules(nic, direction, &decisions, options.counters) {
            let root = partition::plant(&lowered_rules, family, budget_words)
                .and_then(|trees| layout.plant(&trees))
                .ok_or_else(|| over_budget(resolver))?;
            layout.words[header::ROOTS + direction as usize * 2 + family as usize] = root;
        }
    }
    let mut place = |lowered_rules: &[LoweredRule], family| {
        DecisionTree::build(lowered_rules, family, Order::AddressFirst, partition::limits(budget_words))
            .and_then(|tree| layout.place(&tree))
            .ok_or_else(|| over_budget(resolver))
    };
    let mut facts = Vec::new();
    for family in [Family::V4, Family::V6] {
        facts.push((header::OWN + family as usize, place(&LoweredRule::own_addresses(nic, family), family)?));
        facts.push((
            header::NO_REJECT + family as usize,
            place(&LoweredRule::no_reject(nic, family), family)?,
        ));
        facts.push((
            header::ALLOWED_SOURCES + family as usize,
            place(&LoweredRule::allowed_sources(nic, family), family)?,
        ));
        facts.push((
            header::DHCP_SERVERS + family as usize,
            place(&LoweredRule::dhcp_servers(nic, family), family)?,
        ));
    }
    for (word, root) in facts {
        layout.words[word] = root;
    }
    if layout.steps > MAX_STEPS {
        return Err(CompileError::TooDeep { device: nic.device.clone(), steps: layout.steps });
    }
    let mut words = layout.words;
    words[header::MAGIC_VERSION] = Header::magic_version();
    words[header::GENERATION_FLAGS] = u64::from(image_flags(nic)) << 32 | u64::from(options.generation);
    words[header::MAC] = nic.mac().map_or(0, Mac::key);
    words[header::COUNTERS] = u64::from(options.counters);
    words[header::TAKEOVER] = u64::from(takeover(nic));
    words[header::ETHERTYPES..][..2].copy_from_slice(&ethertypes(nic));
    const { assert!(VERSION == 5) };
    Ok(Image { words, steps: layout.steps })
}

fn image_flags(nic: &Nic) -> u32 {
    let flag = |condition, flag| if condition { flag } else { 0 };
    flag(nic.role == Role::Guest, flags::GUEST)
        | flag(nic.established == Established::Revalidate, flags::REVALIDATE)
        | flag(nic.anti_spoofing(), flags::ANTI_SPOOFING)
        | flag(nic.senders.mac.is_some(), flags::MAC)
        | flag(nic.mid_stream == MidStream::Strict, flags::STRICT)
        | flag(nic.hook == Hook::Xdp, flags::XDP)
        | flag(nic.role == Role::Host && nic.ipsec() == Ipsec::Pass, flags::PASS_DECRYPTED)
        | flag(nic.device_facts.is_layer_3, flags::LAYER_3)
        | flag(!nic.ethertypes.is_empty() && !nic.device_facts.is_layer_3, flags::ETHERTYPES)
}

/// See [`header::ETHERTYPES`].
fn ethertypes(nic: &Nic) -> [u64; 2] {
    let mut words = [0; 2];
    for (place, ethertype) in nic.ethertypes.iter().take(MAX_ETHERTYPES).enumerate() {
        words[place / 4] |= u64::from(ethertype.number()) << (place % 4 * 16);
    }
    words
}

/// See [`header::TAKEOVER`].
fn takeover(nic: &Nic) -> u32 {
    match nic.takeover {
        // Nobody waits longer than this.
        Takeover::Seconds(seconds) => seconds.min(flow::AS_ESTABLISHED - 1),
        Takeover::Named(NamedTakeover::Established) => flow::AS_ESTABLISHED,
        Takeover::Named(NamedTakeover::Forever) => flow::FOREVER,
    }
}

/// Everything that can decide in one direction, in order, each with its decision.
fn decisions(
    policy: &Policy,
    nic: &Nic,
    direction: Direction,
    number: &mut dyn FnMut(Decider) -> u32,
) -> Vec<(Decider, Decision)> {
    let effective = policy.effective(nic, direction);
    let intra_groups = effective
        .intra_groups
        .iter()
        .map(|&group| (Decider::IntraGroup(group), Verdict::Accept, Reason::IntraGroup));
    let rules =
        effective.rules.iter().map(|&(index, rule)| (Decider::Rule(index), rule.action.into(), Reason::Rule));
    let default = (Decider::Default(direction), effective.default.into(), Reason::Default);
    intra_groups
        .chain(rules)
        .chain([default])
        .map(|(decider, verdict, reason)| (decider, Decision::new(verdict, reason, number(decider))))
        .collect()
}
