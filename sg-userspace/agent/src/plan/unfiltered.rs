//! Devices that may seem to be filtered and are not: those that left the policy and still exist, and those that the policy names
//! and that do not exist, perhaps because of a typo. It must never change what is wanted. `apply` calls it at each
//! reconciliation, and reports the result.

use std::collections::{BTreeSet, HashSet};

use super::{
    names::{few, meant},
    prepare::Prepared,
};
use crate::{
    host::{
        catalog::{Catalog, Left},
        devices::Devices,
    },
    state::records::Records,
};

/// The result of one look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfiltered {
    /// Devices that left, now and before.
    left: Vec<Left>,
    /// Devices of the policy that do not exist, each with one that may be meant.
    absent: Vec<(String, Option<String>)>,
    /// Devices that no NIC of the policy names.
    others: Vec<String>,
}

/// Whether one of the devices that left has changed.
pub(crate) fn is_stale(left: &[Left], devices: &Devices) -> bool {
    left.iter().any(|left| devices.get(&left.device).is_none_or(|found| found.index != left.ifindex))
}

impl Unfiltered {
    /// Finds the devices. `waiting` are already known not to exist.
    pub(crate) fn look(
        prepared: &Prepared,
        records: &Records,
        catalog: &Catalog,
        waiting: &BTreeSet<String>,
        devices: &Devices,
    ) -> Self {
        let stays = |slot: u16, device: &str| prepared.fresh_at(slot).is_some_and(|nic| nic.device == device);
        let leaves = records
            .iter()
            .map(|record| &record.nic)
            .filter(|record| record.ifindex.is_some() && !stays(record.slot, &record.device))
            .filter_map(|record| {
                let found = devices.get(&record.device)?;
                Some(Left { device: record.device.clone(), ifindex: found.index })
            });
        let mut left: Vec<Left> = catalog.left.iter().cloned().chain(leaves).collect();
        let absent: Vec<&str> = prepared
            .wanted
            .iter()
            .filter(|nic| nic.index.is_none() && !waiting.contains(&nic.device))
            .map(|nic| nic.device.as_str())
            .collect();
        if left.is_empty() && absent.is_empty() {
            return Self::default();
        }
        let wanted: HashSet<&str> = prepared.wanted.iter().map(|nic| nic.device.as_str()).collect();
        left.retain(|left| {
            let is_there = devices.get(&left.device).is_some_and(|found| found.index == left.ifindex);
            is_there && !wanted.contains(left.device.as_str())
        });
        let others = devices.keys().filter(|name| *name != "lo" && !wanted.contains(name.as_str()));
        let others: Vec<String> = if absent.is_empty() { Vec::new() } else { others.cloned().collect() };
        let absent = absent.into_iter().map(|name| (name.to_owned(), meant(name, &others)));
        Self { absent: absent.collect(), left, others }
    }

    /// The devices that left and are no longer filtered according to `records`, and warnings about those not yet in `known`.
    /// Devices in `gone` were filtered until now and need no warning.
    pub(crate) fn tell(
        self,
        records: &Records,
        known: &[Left],
        gone: &BTreeSet<String>,
    ) -> (Vec<Left>, Vec<String>) {
        let Self { mut left, absent, others } = self;
        if !left.is_empty() {
            let filtered: HashSet<&str> = records.hooked().map(|nic| nic.device.as_str()).collect();
            left.retain(|left| !filtered.contains(left.device.as_str()));
        }
        let mut warnings = Vec::new();
        let new = left.iter().filter(|left| !known.contains(left)).map(|left| left.device.clone());
        let new: Vec<String> = new.collect();
        if !new.is_empty() {
            warnings.push(format!(
                "the policy does not name {} any more, which {} still there: not filtered now, everything passes",
                few(&new),
                if new.len() == 1 { "is" } else { "are" }
            ));
        }
        let absent: Vec<String> = absent
            .into_iter()
            .filter(|(device, _)| !gone.contains(device))
            .map(|(device, meant)| match meant {
                Some(meant) => format!("{device} (did you mean {meant}?)"),
                None => device,
            })
            .collect();
        if !absent.is_empty() {
            let others = if others.is_empty() {
                String::new()
            } else {
                format!("; devices that no NIC of it is about, and that are not filtered: {}", few(&others))
            };
            warnings.push(format!(
                "this host has no device {}: nothing is filtered for that part of the policy until one of that name \
                 comes{others}",
                few(&absent)
            ));
        }
        (left, warnings)
    }
}
