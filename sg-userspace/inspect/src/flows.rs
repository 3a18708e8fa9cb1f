//! The flows in the pinned tables, whether an agent runs or not. It deletes flows on demand, and must never change anything else.
//! The native API and `sgctl flows` call it.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use sg_agent::{Catalog, Instance};
use sg_api_types::{FlowFilter, FlowList, FlowProgress, FlowRow};
use sg_common::{
    flow::{FlowEntry, FlowKey, State},
    packet::{Family, Tag, Vlan, ethertype},
    verdict::{Decision, Reason},
};
use sg_kernel::{Flows, KernelError};
use sg_model::whole_group;
use sg_records::Protocol;

use crate::InspectError;

/// The text for no VLAN.
const NO_VLAN: &str = "none";

/// The flows of `instance` that `filter` selects, at most `limit` of them, and their number.
///
/// # Errors
/// If the filter cannot be understood, or the tables cannot be read.
pub fn list(
    instance: &Instance,
    catalog: &Catalog,
    filter: &FlowFilter,
    limit: usize,
) -> Result<FlowList, InspectError> {
    let wanted = Selection::of(filter)?;
    let pins = instance.pins();
    let failed = |source| InspectError::Flows { pins: pins.clone(), source };
    let flows = Flows::open(&pins).map_err(failed)?;
    let names = CatalogNames::of(catalog);
    let mut list = FlowList::default();
    for (key, entry) in flows.list().map_err(failed)? {
        let row = names.row(&key, &entry);
        if wanted.admits(&key, &row) {
            list.total += 1;
            if list.flows.len() < limit {
                list.flows.push(row);
            }
        }
    }
    Ok(list)
}

/// Deletes the flows of `instance` that `filter` selects, and returns how many. An empty filter must be meant: `all`.
///
/// # Errors
/// If the filter cannot be understood, or the kernel refuses; [`InspectError::Partly`] if flows were deleted before.
pub fn delete(
    instance: &Instance,
    catalog: &Catalog,
    filter: &FlowFilter,
    all: bool,
) -> Result<usize, InspectError> {
    if *filter == FlowFilter::default() && !all {
        return Err(InspectError::Everything);
    }
    let wanted = Selection::of(filter)?;
    let pins = instance.pins();
    let failed = |source: KernelError| InspectError::Flows { pins: pins.clone(), source };
    let mut flows = Flows::open(&pins).map_err(failed)?;
    let names = CatalogNames::of(catalog);
    let found = flows.list().map_err(failed)?;
    let found = found.into_iter().filter(|(key, entry)| wanted.admits(key, &names.row(key, entry)));
    let mut deleted = 0;
    for (key, _) in found {
        flows.end_one(&pins, &key).map_err(|source| match deleted {
            0 => failed(source),
            deleted => InspectError::Partly { deleted, pins: pins.clone(), source },
        })?;
        deleted += 1;
    }
    Ok(deleted)
}

/// `none`, `5`, `ad.5`, `ad.5/7`: a network in the form in which [`Vlan`] is displayed, the outer tag first.
///
/// # Errors
/// What is allowed.
pub fn vlan(text: &str) -> Result<Vlan, String> {
    let wrong = || {
        "allowed are none, a number from 1 to 4094, ad. before that of an 802.1ad tag, and two of them such as ad.5/7"
            .to_owned()
    };
    if text == NO_VLAN {
        return Ok(Vlan::NONE);
    }
    let mut vlan = Vlan::NONE;
    for (place, tag) in text.split('/').enumerate() {
        let (kind, number) = match tag.strip_prefix("ad.") {
            Some(number) => (ethertype::SERVICE_VLAN, number),
            None => (ethertype::VLAN, tag),
        };
        let control = number.parse().ok().filter(|number| place < 2 && (1..=4094).contains(number));
        vlan = vlan.behind(Tag { kind, control: control.ok_or_else(wrong)? });
    }
    Ok(vlan)
}

/// A filter that was understood.
struct Selection<'a> {
    nic: Option<&'a str>,
    protocol: Option<Protocol>,
    remote: Option<IpNet>,
    local: Option<IpNet>,
    vlan: Option<Vlan>,
    port: Option<u16>,
    state: Option<FlowProgress>,
    rule: Option<&'a str>,
}

impl<'a> Selection<'a> {
    fn of(filter: &'a FlowFilter) -> Result<Self, InspectError> {
        let FlowFilter { nic, protocol, remote, local, vlan: network, port, state, rule } = filter;
        let prefix = |field, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let allowed = || "an address or prefix of either family, such as 10.0.0.0/8".to_owned();
            let wrong = || InspectError::Filter { field, found: short(text), allowed: allowed() };
            sg_model::net(text).map(Some).ok_or_else(wrong)
        };
        let network = network.as_deref().map(|text| {
            let wrong = |allowed| InspectError::Filter { field: "vlan", found: short(text), allowed };
            vlan(text).map_err(wrong)
        });
        Ok(Self {
            nic: nic.as_deref(),
            protocol: *protocol,
            remote: prefix("remote", remote)?,
            local: prefix("local", local)?,
            vlan: network.transpose()?,
            port: *port,
            state: *state,
            rule: rule.as_deref(),
        })
    }

    fn admits(&self, key: &FlowKey, row: &FlowRow) -> bool {
        let protocol = |wanted| wanted == Protocol::All || wanted == Protocol::Number(key.l4.protocol());
        self.nic.is_none_or(|wanted| row.nic == wanted)
            && self.protocol.is_none_or(protocol)
            && self.vlan.is_none_or(|wanted| key.network() == wanted)
            && self.remote.is_none_or(|wanted| wanted.contains(&row.remote))
            && self.local.is_none_or(|wanted| wanted.contains(&row.local))
            && self.port.is_none_or(|wanted| [row.remote_port, row.local_port].contains(&wanted))
            && self.state.is_none_or(|wanted| row.state == wanted)
            && self.rule.is_none_or(|wanted| row.rule.as_deref() == Some(wanted))
    }
}

/// A text for an error.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The names of numbers in the tables.
pub(crate) struct CatalogNames<'a> {
    nics: HashMap<u16, &'a str>,
    /// Group and rule, by the number of the counter.
    rules: HashMap<u32, (&'a str, Option<&'a str>)>,
}

impl<'a> CatalogNames<'a> {
    pub(crate) fn of(catalog: &'a Catalog) -> Self {
        let nics = catalog.nics.iter().map(|nic| (nic.slot, nic.device.as_str())).collect();
        let mut rules = HashMap::new();
        for group in &catalog.numbers.groups {
            let name = whole_group(&group.name);
            for rule in group.ingress.iter().chain(&group.egress) {
                rules.insert(rule.number, (name, Some(rule.id.as_str())));
            }
            rules.extend(group.intra_group.map(|number| (number, (name, None))));
        }
        Self { nics, rules }
    }

    /// The word of the reason, the group and the rule that decided about a flow.
    pub(crate) fn decided(&self, entry: &FlowEntry) -> (&'static str, Option<&'a str>, Option<&'a str>) {
        let decision = Decision::from_word(entry.decision);
        let decided = decision.and_then(|decision| self.rules.get(&decision.number()));
        let reason = decision.and_then(|decision| decision.reason().ok()).map_or("", Reason::name);
        (reason, decided.map(|(group, _)| *group), decided.and_then(|(_, rule)| *rule))
    }

    pub(crate) fn row(&self, key: &FlowKey, entry: &FlowEntry) -> FlowRow {
        let (reason, group, rule) = self.decided(entry);
        let text = |text: &str| text.to_owned();
        // Of an echo flow, the remote port is its identifier, and the local one says which end sent the request.
        let echo = matches!(key.l4.protocol(), 1 | 58);
        FlowRow {
            nic: self
                .nics
                .get(&key.l4.nic())
                .map_or_else(|| format!("slot {}", key.l4.nic()), |name| text(name)),
            vlan: Some(key.network()).filter(|vlan| !vlan.is_none()).map(|vlan| vlan.to_string()),
            protocol: Protocol::Number(key.l4.protocol()).to_string(),
            direction: entry.direction().into(),
            remote: address(key.l4.family(), key.remote_high, key.remote_low),
            remote_port: if echo { 0 } else { key.l4.remote_port() },
            local: address(key.l4.family(), key.local_high, key.local_low),
            local_port: if echo { 0 } else { key.l4.local_port() },
            state: match entry.state() {
                _ if entry.is_revoked() => FlowProgress::Revoked,
                state if state == State::New as u8 => FlowProgress::HalfOpen,
                state if state == State::Established as u8 => FlowProgress::Established,
                _ => FlowProgress::Closing,
            },
            group: group.map(text),
            rule: rule.map(text),
            reason: text(reason),
            packets: entry.packets,
            bytes: entry.bytes,
        }
    }
}

fn address(family: Family, high: u64, low: u64) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(high as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        let some = |text: &str| Some(text.to_owned());
        for (filter, field) in [
            (FlowFilter { remote: some("10.0.0.0/33"), ..FlowFilter::default() }, "remote"),
            (FlowFilter { local: some("eth0"), ..FlowFilter::default() }, "local"),
            (FlowFilter { vlan: some("4095"), ..FlowFilter::default() }, "vlan"),
        ] {
            let error = Selection::of(&filter).err().unwrap().to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{error}");
        }
        let filter = FlowFilter { remote: some("10.1.2.3/8"), vlan: some(NO_VLAN), ..FlowFilter::default() };
        let wanted = Selection::of(&filter).unwrap();
        assert_eq!((wanted.remote, wanted.vlan), (Some("10.0.0.0/8".parse().unwrap()), Some(Vlan::NONE)));
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        for text in ["1", "4094", "ad.5", "ad.5/7", "5/ad.7"] {
            assert_eq!(vlan(text).unwrap().to_string(), text);
        }
        assert_eq!(vlan(NO_VLAN), Ok(Vlan::NONE));
        for text in ["", "0", "4095", "5/", "1/2/3", "ad", "ad.0", "-1"] {
            vlan(text).unwrap_err();
        }
    }
}
