//! Lines and what decides, in words for people. It must never decide what a line has. `sgctl` and the API print them.

use ipnet::IpNet;
use sg_common::packet::protocol;
use sg_model::{Direction, Family, FamilyName, ProtocolName, shortest, text::escaped};

use super::{
    compare::Undecided,
    decider::{By, Named},
    line::{Effect, Line, Outcome, Span},
    nets::{Nets, all_but},
};

/// Prefixes or ranges that are shown of a list.
const OF_A_LIST: usize = 6;

/// What a group or rule is called, by its name in the policy; `None`: as that. A store has ids there.
pub type Called<'n> = &'n dyn Fn(&str) -> Option<String>;

/// The policy's own names.
pub const AS_WRITTEN: Called<'static> = &|_| None;

impl Line<'_> {
    /// The line for people, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        let sign = match self.effect() {
            Effect::OpensToAny | Effect::Opens => '+',
            Effect::Closes => '-',
            Effect::Refuses => '~',
            Effect::Attributes => '=',
        };
        let [before, after] = [&self.before, &self.after].map(|outcome| outcome.words(called));
        format!("{sign} {}: {before} -> {after}", self.packets(called))
    }

    /// Its packets for people, escaped.
    #[must_use]
    pub fn packets(&self, called: Called<'_>) -> String {
        packets(self, called)
    }
}

impl Outcome<'_> {
    /// The verdict and who decides, for people, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        outcome(self, called)
    }
}

impl By<'_> {
    /// Who decides, for people, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> String {
        let name = |name: &str| {
            called(name).map_or_else(|| escaped(name).to_string(), |other| escaped(&other).to_string())
        };
        match *self {
            By::Reason(reason) => reason.name().to_owned(),
            By::Group(group) => format!("inner access of group {}", name(group)),
            By::Rule { group, rule } => format!("rule {} of group {}", name(rule), name(group)),
            By::Default => "default".to_owned(),
            By::Unfiltered => "no filter".to_owned(),
        }
    }
}

impl Undecided<'_> {
    /// What has changed, each once in a row, for people, escaped.
    #[must_use]
    pub fn words(&self, called: Called<'_>) -> Vec<String> {
        let mut words: Vec<String> = self.changed.iter().map(|by| by.words(called)).collect();
        words.dedup();
        if words.is_empty() { vec!["whatever has changed".to_owned()] } else { words }
    }
}

fn packets(line: &Line<'_>, called: Called<'_>) -> String {
    let Line {
        nic,
        direction,
        family,
        remote,
        local,
        protocols,
        ports,
        source_ports,
        icmp,
        dscp,
        before,
        after,
    } = line;
    let (towards, own) = match direction {
        Direction::Ingress => ("from", "to"),
        Direction::Egress => ("to", "from"),
    };
    let mut text = format!("{} {} {}:", escaped(nic), direction.name(), FamilyName(*family));
    let mut add = |name: &str, list: Option<String>| {
        if let Some(list) = list {
            text.extend([" ", name, " ", &list]);
        }
    };
    add("packets of", Some(services(protocols.as_ref(), *family)));
    add("to port", ports.as_ref().map(|list| spans(list)));
    add("from port", source_ports.as_ref().map(|list| spans(list)));
    add(
        "type/code",
        icmp.as_ref()
            .map(|list| short(list.iter().map(|[kinds, codes]| format!("{}/{}", span(kinds), span(codes))))),
    );
    add("DSCP", dscp.as_ref().map(|list| spans(list)));
    add(towards, Some(remote.as_ref().map_or_else(|| "any".to_owned(), |nets| addresses(nets, *family))));
    let name_of = |name: &str| escaped(&called(name).unwrap_or_else(|| name.to_owned())).to_string();
    let named = [after, before].into_iter().find_map(|outcome| outcome.named);
    if remote.is_some() {
        add(
            "of",
            named.map(|named| match named {
                Named::Group(name) => format!("group {}", name_of(name)),
                Named::PrefixList(name) => format!("prefix list {}", name_of(name)),
            }),
        );
    }
    add(own, local.as_ref().map(|nets| addresses(nets, *family)));
    text
}

fn services(protocols: Option<&Vec<Span<u8>>>, family: Family) -> String {
    let Some(list) = protocols else { return "any protocol".to_owned() };
    short(list.iter().map(|(first, last)| {
        let is_foreign = *first == protocol::ICMP && family == Family::V6;
        if first == last && !is_foreign {
            ProtocolName(*first).to_string()
        } else {
            format!("protocols {first}-{last}")
        }
    }))
}

fn span<T: PartialEq + ToString>((first, last): &Span<T>) -> String {
    if first == last { first.to_string() } else { format!("{}-{}", first.to_string(), last.to_string()) }
}

fn spans<T: PartialEq + ToString>(list: &[Span<T>]) -> String {
    short(list.iter().map(span))
}

/// Prefixes, or those that are left out of the shortest that has them all, where these are fewer.
fn addresses(nets: &Nets, family: Family) -> String {
    let nets: Vec<IpNet> = nets.iter().collect();
    let whole = nets.first().zip(nets.last()).map(|(first, last)| common(*first, *last));
    if let Some(whole) = whole {
        let others: Vec<_> = all_but(&nets, family).into_iter().filter(|net| whole.contains(net)).collect();
        if !others.is_empty() && others.len() < nets.len() {
            let whole = if whole.prefix_len() == 0 { "any".to_owned() } else { shortest(whole) };
            return format!("{whole} but {}", short(others.iter().map(|net| shortest(*net))));
        }
    }
    short(nets.iter().map(|net| shortest(*net)))
}

/// The longest prefix that has both, which are of one family.
fn common(one: IpNet, other: IpNet) -> IpNet {
    let mut net = one;
    while !net.contains(&other) {
        match net.supernet() {
            Some(wider) => net = wider,
            None => break,
        }
    }
    net
}

/// The first of a list.
fn short(list: impl ExactSizeIterator<Item = String>) -> String {
    let more = list.len().saturating_sub(OF_A_LIST);
    let shown: Vec<_> = list.take(OF_A_LIST).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(","))
}

fn outcome(outcome: &Outcome<'_>, called: Called<'_>) -> String {
    format!("{} by {}", outcome.verdict.name(), outcome.by.words(called))
}
