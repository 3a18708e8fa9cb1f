//! The counters of every rule, default and reason, from the catalog and the counters in the kernel: whether an agent runs or not.
//! It must never change either. The native API and `sgctl stats` call it.

use std::{collections::HashMap, hash::Hash};

use sg_agent::{Catalog, Instance, Outcome, nic_block, read_counters};
use sg_api_types::{Count, DefaultCount, FlowCounts, GroupCount, ReasonCount, RuleCount, Stats};
use sg_common::{
    abi::{self, Counter, reason_counter},
    verdict::Reason,
};
use sg_kernel::KernelError;
use sg_model::whole_group;
use sg_records::{Action, Direction};

use crate::InspectError;

/// The counts of NIC `nic`, by its device, or of all, of what `instance` has in force.
///
/// # Errors
/// If there is no such NIC, or the counters cannot be read.
pub fn stats(instance: &Instance, catalog: &Catalog, nic: Option<&str>) -> Result<Stats, InspectError> {
    if let Some(device) = nic
        && catalog.nic(device).is_none()
    {
        return Err(InspectError::no_nic(device, catalog.nics.iter().map(|nic| nic.device.as_str())));
    }
    let pins = instance.pins();
    let counted = collect(catalog, nic, |numbers| read_counters(&pins, numbers));
    counted.map_err(|source| InspectError::Counters { pins, source })
}

/// The action of a verdict in the catalog.
pub(crate) const fn action(outcome: Outcome) -> Action {
    match outcome {
        Outcome::Accept => Action::Accept,
        Outcome::Drop => Action::Drop,
        Outcome::Reject => Action::Reject,
    }
}

/// A counter as a count.
pub(crate) const fn count(counter: Counter) -> Count {
    Count { packets: counter.packets, bytes: counter.bytes }
}

/// Counts of `nic`, or of all. `read` returns the values of counter numbers, in their order.
fn collect(
    catalog: &Catalog,
    nic: Option<&str>,
    read: impl FnOnce(&[u32]) -> Result<Vec<Counter>, KernelError>,
) -> Result<Stats, KernelError> {
    let (mut stats, mut numbers) = rows(catalog, nic);
    numbers.extend(abi::flows::ALL);
    let mut counters = read(&numbers)?;
    let tables = counters.split_off(numbers.len() - abi::flows::ALL.len());
    if let (None, [_events_lost, replaced, unread, evicted, established, half_open]) = (nic, &tables[..]) {
        stats.flows = Some(FlowCounts {
            established: established.packets,
            max_established: catalog.limits.flows,
            half_open: half_open.packets,
            max_half_open: catalog.limits.half_open(),
            evicted: evicted.packets,
            replaced: replaced.packets,
            unread: unread.packets,
        });
    }
    for (place, counter) in counts(&mut stats).zip(counters) {
        *place = count(counter);
    }
    stats.rules = together(stats.rules, |row| (row.group.clone(), row.rule.clone(), row.direction));
    stats.intra_group = together(stats.intra_group, |row| row.group.clone());
    Ok(stats)
}

/// A row that has a count.
trait Counts {
    fn count(&mut self) -> &mut Count;
}

impl Counts for RuleCount {
    fn count(&mut self) -> &mut Count {
        &mut self.count
    }
}

impl Counts for GroupCount {
    fn count(&mut self) -> &mut Count {
        &mut self.count
    }
}

/// Adds up the rows of one rule or group, of which a policy may have several.
fn together<R: Counts, K: Eq + Hash>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Vec<R> {
    let mut places: HashMap<K, usize> = HashMap::with_capacity(rows.len());
    let mut sums: Vec<R> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let place = *places.entry(key(&row)).or_insert(sums.len());
        match sums.get_mut(place) {
            Some(sum) => {
                let (sum, more) = (sum.count(), *row.count());
                sum.packets = sum.packets.saturating_add(more.packets);
                sum.bytes = sum.bytes.saturating_add(more.bytes);
            }
            None => sums.push(row),
        }
    }
    sums
}

/// Rows without their counts, and the counter number of each, in the order of [`counts`].
fn rows(catalog: &Catalog, only: Option<&str>) -> (Stats, Vec<u32>) {
    let (mut stats, mut numbers, count) = (Stats::default(), Vec::new(), Count::default());
    let nics = || catalog.nics.iter().filter(|nic| only.is_none_or(|only| nic.device == only));
    let groups = || {
        let holds = |name: &String| nics().any(|nic| nic.groups.contains(name));
        catalog.numbers.groups.iter().filter(move |group| only.is_none() || holds(&group.name))
    };
    for group in groups() {
        for direction in Direction::ALL {
            for rule in group.rules(direction.into()) {
                let (group, action) = (whole_group(&group.name).to_owned(), action(rule.action));
                stats.rules.push(RuleCount { group, rule: rule.id.clone(), direction, action, count });
                numbers.push(rule.number);
            }
        }
    }
    for group in groups() {
        if let Some(number) = group.intra_group {
            stats.intra_group.push(GroupCount { group: whole_group(&group.name).to_owned(), count });
            numbers.push(number);
        }
    }
    for nic in nics() {
        for direction in Direction::ALL {
            let verdict = match direction {
                Direction::Ingress => nic.ingress_default,
                Direction::Egress => nic.egress_default,
            };
            let verdict = action(verdict);
            stats.defaults.push(DefaultCount { nic: nic.device.clone(), direction, verdict, count });
            numbers.push(reason_counter(nic_block(nic.slot), direction.into(), Reason::Default));
        }
    }
    for nic in nics() {
        for direction in Direction::ALL {
            for reason in Reason::ALL.into_iter().filter(|&reason| has_own_counter(reason)) {
                let (nic_name, name) = (Some(nic.device.clone()), reason.name().to_owned());
                stats.reasons.push(ReasonCount { nic: nic_name, direction, reason: name, count });
                numbers.push(reason_counter(nic_block(nic.slot), direction.into(), reason));
            }
        }
    }
    for reason in abi::HOST_REASONS.into_iter().filter(|_| only.is_none()) {
        let name = reason.name().to_owned();
        // The packet's direction is not known.
        let direction = Direction::Ingress;
        stats.reasons.push(ReasonCount { nic: None, direction, reason: name, count });
        numbers.push(abi::host_counter(reason));
    }
    (stats, numbers)
}

fn counts(stats: &mut Stats) -> impl Iterator<Item = &mut Count> {
    let Stats { rules, intra_group, defaults, reasons, flows: _ } = stats;
    let rules = rules.iter_mut().map(|row| &mut row.count);
    let groups = intra_group.iter_mut().map(|row| &mut row.count);
    let defaults = defaults.iter_mut().map(|row| &mut row.count);
    let reasons = reasons.iter_mut().map(|row| &mut row.count);
    rules.chain(groups).chain(defaults).chain(reasons)
}

/// Whether packets decided for this reason have a counter by reason: others count for their rule, group or default.
fn has_own_counter(reason: Reason) -> bool {
    !matches!(reason, Reason::Rule | Reason::IntraGroup | Reason::Default)
}

#[cfg(test)]
mod tests;
