//! Compares two policies: each NIC, direction and family, NICs that are alike once. It must never know what the lists of deciders
//! mean. `sgctl` and the API call it.

use std::time::{Duration, Instant};

use sg_model::{Direction, Family, Nic, Policy};

use super::{
    align::align,
    cell::Cell,
    decider::{By, Decider, Deciders, Dimension},
    line::{Line, Outcome},
    lists::{Lists, Sought},
    rest::Bounds,
    set::Sets,
};

/// How two policies are compared.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// Whether packets with the same verdict differ if another rule decides them.
    pub attribution: bool,
    /// How long it may take, over all NICs. What is found out until then is exact.
    pub time: Duration,
    /// Only the NIC with this device.
    pub nic: Option<&'o str>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { attribution: false, time: Duration::from_secs(3), nic: None }
    }
}

/// What two policies judge differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Disjoint lines, in the order of NICs.
    pub lines: Vec<Line<'a>>,
    /// Where there was no time to find out.
    pub undecided: Vec<Undecided<'a>>,
}

/// Rules of a NIC whose effect is not known: there was no time to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided<'a> {
    /// The device.
    pub nic: &'a str,
    /// The direction.
    pub direction: Direction,
    /// The family.
    pub family: Family,
    /// What has changed and could decide there; nothing if not even that was found out.
    pub changed: Vec<By<'a>>,
}

/// The most bytes for what is remembered and for lines, as far as they are counted.
pub(super) const MEMORY: usize = 144 << 20;

/// What a line takes with its cell, about, but for sets.
pub(super) const LINE_BYTES: usize = size_of::<Line<'_>>() + 256;

/// Compares `before` with `after`. The rules of either may come from anywhere; NICs are the same if they have the same device. A
/// NIC that only one of them has is not filtered under the other.
#[must_use]
pub fn compare<'a>(before: &'a Policy, after: &'a Policy, options: Options<'_>) -> Difference<'a> {
    // A tenth is for writing lines.
    let until = Instant::now() + options.time.mul_f32(0.9);
    let mut pairs: Vec<[Option<&'a Nic>; 2]> =
        before.nics().iter().map(|nic| [Some(nic), after.nic(&nic.device)]).collect();
    let added = after.nics().iter().filter(|nic| before.nic(&nic.device).is_none());
    pairs.extend(added.map(|nic| [None, Some(nic)]));
    if let Some(only) = options.nic {
        pairs.retain(|pair| pair.iter().flatten().any(|nic| nic.device == only));
    }
    // Those that are alike have one result.
    let mut kinds: Vec<([Option<&'a Nic>; 2], Vec<&'a str>)> = Vec::new();
    for pair in pairs {
        let Some(device) = pair.into_iter().flatten().next().map(|nic| nic.device.as_str()) else { continue };
        match kinds
            .iter_mut()
            .find(|(known, _)| known.iter().zip(pair).all(|(one, other)| is_alike(*one, other)))
        {
            Some((_, devices)) => devices.push(device),
            None => kinds.push((pair, vec![device])),
        }
    }
    let mut difference = Difference::default();
    // Lines keep their sets.
    let mut kept = 0;
    for family in [Family::V4, Family::V6] {
        let mut sets = Sets::new();
        let mut deciders = [before, after].map(|policy| Deciders::new(policy, family));
        for direction in [Direction::Ingress, Direction::Egress] {
            for (pair, devices) in &kinds {
                if Instant::now() >= until {
                    let of = |nic: &&'a str| Undecided { nic, direction, family, changed: Vec::new() };
                    difference.undecided.extend(devices.iter().map(of));
                    continue;
                }
                let mut lists = [Vec::new(), Vec::new()];
                for ((list, deciders), nic) in lists.iter_mut().zip(&mut deciders).zip(pair) {
                    *list = match nic {
                        Some(nic) => deciders.of(nic, direction, &mut sets),
                        None => vec![Decider::UNFILTERED],
                    };
                }
                let top = Dimension::Remote.top(family);
                let lists = align(lists, options.attribution, top, &mut sets);
                if lists.iter().flatten().all(|entry| !entry.is_changed) {
                    continue;
                }
                let tops = Dimension::ALL.map(|dimension| dimension.top(family));
                let lists = Lists::new(lists, &sets, tops);
                let sought = if options.attribution { Sought::OtherDecider } else { Sought::OtherVerdict };
                let (mut cells, mut undecided): (Vec<Cell>, Vec<u32>) =
                    (Vec::new(), lists.changed().collect());
                // First, none takes so long that there is no time for the others; what is left is for those that need more.
                for share in [4, 1] {
                    undecided.retain(|&focus| {
                        let (now, from) = (Instant::now(), cells.len());
                        let lines = difference.lines.len() + from * devices.len();
                        let bounds = Bounds {
                            until: now + until.saturating_duration_since(now) / share,
                            memory: MEMORY.saturating_sub(kept + lines * LINE_BYTES),
                        };
                        let found = lists.around(focus, sought, &mut sets, bounds, &mut cells);
                        // Each NIC gets lines of its own.
                        let lines = difference.lines.len() + cells.len() * devices.len();
                        let is_too_much = lines * LINE_BYTES > MEMORY;
                        if is_too_much || found.is_err() && share > 1 {
                            cells.truncate(from);
                        }
                        is_too_much || found.is_err()
                    });
                }
                difference.add((&lists, &sets), &cells, &undecided, devices, (direction, family));
            }
        }
        kept += sets.bytes();
    }
    difference.lines.sort_by_cached_key(Line::effect);
    difference
}

impl<'a> Difference<'a> {
    fn add(
        &mut self,
        (lists, sets): (&Lists<'a>, &Sets),
        cells: &[Cell],
        undecided: &[u32],
        devices: &[&'a str],
        (direction, family): (Direction, Family),
    ) {
        let outcome = |number| {
            let decider = &lists.entry(number)?.decider;
            Some(Outcome { verdict: decider.verdict, by: decider.by, named: decider.named })
        };
        for nic in devices.iter().copied() {
            for cell in cells {
                if let (Some(before), Some(after)) = (outcome(cell.before), outcome(cell.after)) {
                    self.lines.extend(Line::of(nic, direction, family, &cell.keys, sets, [before, after]));
                }
            }
            if !undecided.is_empty() {
                let of = |&number: &u32| lists.entry(number).map(|entry| entry.decider.by);
                let changed = undecided.iter().filter_map(of).collect();
                self.undecided.push(Undecided { nic, direction, family, changed });
            }
        }
    }
}

/// Whether packets of both are judged by the same groups and settings.
pub(super) fn is_alike(one: Option<&Nic>, other: Option<&Nic>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let Nic {
                // What it is called, and what does not judge the first packet of a flow.
                device: _,
                hook: _,
                ethertypes: _,
                ipsec_written: _,
                established: _,
                mid_stream: _,
                takeover: _,
                role,
                addresses,
                addresses_from_device,
                device_facts,
                anti_spoofing_written: _,
                dhcp_servers,
                accept_own_source,
                senders,
                precedence,
                default,
                groups,
            } = one;
            *role == other.role
                && *addresses == other.addresses
                && *addresses_from_device == other.addresses_from_device
                && *device_facts == other.device_facts
                && one.anti_spoofing() == other.anti_spoofing()
                && *dhcp_servers == other.dhcp_servers
                && *accept_own_source == other.accept_own_source
                && *senders == other.senders
                && *precedence == other.precedence
                && *default == other.default
                && *groups == other.groups
        }
        (None, None) => true,
        _ => false,
    }
}
