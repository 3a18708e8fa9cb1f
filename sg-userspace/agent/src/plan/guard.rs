//! The guard of documents: refuses one that would leave a filtered device without a filter, or that would lose what must be kept.
//! It must never change anything, nor refuse what a caller of [`Control`](crate::Control) orders: `sg-service` guards that. Called
//! by `lifecycle` before a document is prepared.

use std::{collections::BTreeSet, sync::Arc};

use sg_document::Guard;
use sg_guard::{Connection, Lost, lost_connection, lost_probe};
use sg_model::Policy;

use super::{
    leaving::{AllowUnfiltered, Leaving, Leavings},
    names::meant,
};
use crate::{error::AgentError, host::devices::Devices, state::records::Records};

/// Refuses a policy that leaves out a device which is filtered and exists. A device that is gone may leave.
pub(crate) fn unfiltered(
    policy: &Policy,
    guard: &Guard,
    allowed: &AllowUnfiltered,
    records: &Records,
    devices: &Devices,
) -> Result<(), AgentError> {
    let AllowUnfiltered::Named(named) = allowed else { return Ok(()) };
    let stays: BTreeSet<&str> = policy.nics().iter().map(|nic| nic.device.as_str()).collect();
    let may = |device: &String| named.contains(device) || guard.allow_unfiltered.contains(device);
    // A device made anew under the same name was never filtered.
    let is_there = |device: &str, index| devices.get(device).is_some_and(|found| Some(found.index) == index);
    let leaving = records.hooked().filter(|nic| {
        !stays.contains(nic.device.as_str()) && is_there(&nic.device, nic.ifindex) && !may(&nic.device)
    });
    let absent: Vec<String> =
        stays.iter().filter(|name| !devices.contains_key(**name)).map(ToString::to_string).collect();
    let leaving: Vec<Leaving> = leaving
        .map(|nic| Leaving { device: nic.device.clone(), instead: meant(&nic.device, &absent) })
        .collect();
    if leaving.is_empty() { Ok(()) } else { Err(AgentError::Unfiltered { leaving: Leavings(leaving) }) }
}

/// Refuses a policy that does not accept a packet which its document keeps. The facts of its devices must be known.
pub(crate) fn probes(policy: &Policy, guard: &Guard) -> Result<(), AgentError> {
    lost_probe(policy, &guard.keep).map_or(Ok(()), |lost| Err(AgentError::LostProbe { lost }))
}

/// Refuses a policy that takes away one of `connections` to an SSH server, each of a device or of the one with its local address. `former` is the policy before, if it
/// is known; otherwise the connections are those that it accepted.
pub(crate) fn ssh<'a>(
    policy: &Policy,
    former: Option<&Arc<Policy>>,
    connections: impl IntoIterator<Item = (Option<&'a str>, Connection)>,
) -> Result<(), AgentError> {
    let lost = lost_connection(policy, || former.cloned(), connections, "the SSH connection");
    lost.map_or(Ok(()), |lost: Lost| Err(AgentError::LostSsh { lost }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::devices::Found, samples::record};

    fn refused(document: &str, allowed: &AllowUnfiltered, devices: &[(&str, u32)]) -> Option<String> {
        let loaded = sg_document::parse("p.yaml", document.as_bytes()).unwrap();
        let found = |&(name, index): &(&str, u32)| (name.to_owned(), Found { index, ..Found::default() });
        let devices: Devices = devices.iter().map(found).collect();
        let records = Records::from_iter([record("eth0", 0, Some(2)), record("tap0", 1, Some(7))]);
        let result = unfiltered(&loaded.policy, &loaded.guard, allowed, &records, &devices);
        result.err().map(|error| error.to_string())
    }

    const BOTH: [(&str, u32); 2] = [("eth0", 2), ("tap0", 7)];
    const TAP: &str = "groups: { g: }\nnics: [ { device: tap0, groups: [g] } ]\n";

    #[test]
    fn a_device_that_is_there_and_filtered_is_not_left_out() {
        let said = refused(TAP, &AllowUnfiltered::default(), &BOTH).unwrap();
        assert!(
            said.starts_with("eth0 is filtered, and the document does not name it: everything would"),
            "{said}"
        );
        assert!(
            said.contains("`allow_unfiltered: [eth0]`") && said.contains("--allow-unfiltered=eth0"),
            "{said}"
        );
        let said = refused("{}", &AllowUnfiltered::default(), &BOTH).unwrap();
        assert!(said.starts_with("eth0, tap0 are filtered") && said.contains("[eth0, tap0]"), "{said}");
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        let document =
            "groups: { g: }\nnics: [ { device: tap0, groups: [g] }, { device: eht0, groups: [g] } ]\n";
        let said = refused(document, &AllowUnfiltered::default(), &BOTH).unwrap();
        assert!(said.contains("this host has no device eht0: is eth0 meant?"), "{said}");
    }

    #[test]
    fn what_is_gone_or_was_made_anew_may_leave() {
        for devices in [&[("tap0", 7)][..], &[("tap0", 7), ("eth0", 3)]] {
            assert_eq!(refused(TAP, &AllowUnfiltered::default(), devices), None);
        }
    }

    #[test]
    fn what_is_allowed_may_leave() {
        let allowed = AllowUnfiltered::Named(["eth0".to_owned()].into());
        assert_eq!(refused(TAP, &allowed, &BOTH), None);
        assert!(refused("{}", &allowed, &BOTH).unwrap().starts_with("tap0 is"), "the other one may not");
        assert_eq!(refused("{}", &AllowUnfiltered::Any, &BOTH), None);
        let said = format!("{TAP}allow_unfiltered: [eth0]\n");
        assert_eq!(refused(&said, &AllowUnfiltered::default(), &BOTH), None);
    }
}
