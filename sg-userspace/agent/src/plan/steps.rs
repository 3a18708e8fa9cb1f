//! The plan: the steps from what is in force to what the policy wants, as data.
//!
//! The order closes windows:
//! 1. programs are detached from NICs that leave, and from devices that were deleted or recreated;
//! 2. state of former owners of a slot or number is cleared;
//! 3. the catalog is written, so that no number or generation is ever in force that is not on record;
//! 4. images are published;
//! 5. programs are attached, to devices whose image is published already: no packet meets a NIC without a policy.
//!
//! Pure: it must never touch the kernel. `apply` passes in both states and executes the steps.

use std::{collections::HashMap, fmt};

use sg_kernel::Device;
use sg_model::Hook;

use crate::state::records::{NicState, Records};

/// A NIC as the policy and the host want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) device: String,
    pub(crate) slot: u16,
    /// The index of the device, if it exists.
    pub(crate) index: Option<u32>,
    /// The hook of the receive side.
    pub(crate) hook: Hook,
    /// The fingerprint of its image without the generation.
    pub(crate) fingerprint: u64,
}

/// One step. Those of one slot depend on each other: when one fails, the later ones are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Detach the program.
    Detach { slot: u16, device: Device },
    /// Remove the image and forget the NIC.
    Withdraw { slot: u16, device: String },
    /// Register a new NIC; its slot may have had another owner.
    Claim { slot: u16, device: String },
    /// Delete flows: the NIC now has another device.
    ForgetFlows { slot: u16, device: String },
    /// Reset numbers that are given to other rules.
    ResetCounters { numbers: Vec<u32> },
    /// Increment the generation.
    Stamp { slot: u16, device: String },
    /// Write the catalog.
    Record,
    /// Publish the compiled image.
    Publish { slot: u16, device: String },
    /// Attach the program.
    Attach { slot: u16, device: Device, hook: Hook },
}

impl Step {
    /// The NIC the step is about.
    pub(crate) fn device(&self) -> Option<&str> {
        match self {
            Self::Withdraw { device, .. }
            | Self::Claim { device, .. }
            | Self::ForgetFlows { device, .. }
            | Self::Stamp { device, .. }
            | Self::Publish { device, .. } => Some(device),
            Self::Detach { device, .. } | Self::Attach { device, .. } => Some(&device.name),
            Self::ResetCounters { .. } | Self::Record => None,
        }
    }

    pub(crate) fn is_publish(&self) -> bool {
        matches!(self, Self::Publish { .. })
    }

    pub(crate) fn slot(&self) -> Option<u16> {
        match self {
            Self::Detach { slot, .. }
            | Self::Withdraw { slot, .. }
            | Self::Claim { slot, .. }
            | Self::ForgetFlows { slot, .. }
            | Self::Stamp { slot, .. }
            | Self::Publish { slot, .. }
            | Self::Attach { slot, .. } => Some(*slot),
            Self::ResetCounters { .. } | Self::Record => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detach { device, .. } => write!(f, "take the program off {}", device.name),
            Self::Withdraw { device, .. } => write!(f, "withdraw the policy of {device}"),
            Self::Claim { device, .. } => write!(f, "clear the slot for {device}"),
            Self::ForgetFlows { device, .. } => write!(f, "forget the flows of {device}"),
            Self::ResetCounters { numbers } => write!(f, "set {} counters to zero", numbers.len()),
            Self::Stamp { device, .. } => write!(f, "count the policy of {device}"),
            Self::Record => f.write_str("write the catalog"),
            Self::Publish { device, .. } => write!(f, "publish the policy of {device}"),
            Self::Attach { device, .. } => write!(f, "attach the program to {}", device.name),
        }
    }
}

/// The steps from `actual` to `wanted`, in order. `reused` are numbers that change their owner. With `goes_back`, NICs that leave keep
/// enforcing until it is certain that they do.
pub(crate) fn plan(wanted: &[Wanted], actual: &Records, reused: Vec<u32>, goes_back: bool) -> Vec<Step> {
    let by_device: HashMap<&str, &Wanted> = wanted.iter().map(|nic| (nic.device.as_str(), nic)).collect();
    let record_of = |nic: &Wanted| actual.of(nic.slot, &nic.device);
    let mut steps = Vec::new();

    for NicState { nic: record, .. } in actual.iter() {
        let nic = by_device.get(record.device.as_str()).copied();
        let (slot, device) = (record.slot, record.device.clone());
        if nic.is_none() && goes_back {
            continue;
        }
        if let Some(index) = record.ifindex
            && nic.is_none_or(|nic| nic.index != Some(index))
        {
            let hooked = Device { name: device.clone(), index };
            steps.push(Step::Detach { slot, device: hooked });
            if nic.is_some() {
                steps.push(Step::ForgetFlows { slot, device: device.clone() });
            }
        }
        if nic.is_none() {
            steps.push(Step::Withdraw { slot, device });
        }
    }
    for nic in wanted.iter().filter(|nic| record_of(nic).is_none()) {
        steps.push(Step::Claim { slot: nic.slot, device: nic.device.clone() });
    }
    if !reused.is_empty() {
        steps.push(Step::ResetCounters { numbers: reused });
    }

    let exists = |nic: &&Wanted| nic.index.is_some();
    let is_stale =
        |nic: &&Wanted| record_of(nic).is_none_or(|record| record.published != Some(nic.fingerprint));
    let publish: Vec<&Wanted> = wanted.iter().filter(exists).filter(is_stale).collect();
    for nic in &publish {
        steps.push(Step::Stamp { slot: nic.slot, device: nic.device.clone() });
    }
    if !steps.is_empty() {
        steps.push(Step::Record);
    }
    for nic in &publish {
        steps.push(Step::Publish { slot: nic.slot, device: nic.device.clone() });
    }
    for nic in wanted {
        let Some(index) = nic.index else { continue };
        let is_hooked = |record: &NicState| record.nic.ifindex == Some(index) && record.nic.hook == nic.hook;
        if record_of(nic).is_none_or(|record| !is_hooked(record) || !record.current) {
            let device = Device { name: nic.device.clone(), index };
            steps.push(Step::Attach { slot: nic.slot, device, hook: nic.hook });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::record;

    fn wanted(device: &str, slot: u16, index: Option<u32>) -> Wanted {
        Wanted { device: device.into(), slot, index, hook: Hook::Tc, fingerprint: 1 }
    }

    /// A NIC in force, by this process, with the image that `wanted` wants.
    fn in_force(device: &str, slot: u16, ifindex: u32) -> NicState {
        NicState { published: Some(1), current: true, ..record(device, slot, Some(ifindex)) }
    }

    fn steps(wanted: &[Wanted], actual: &[NicState]) -> Vec<String> {
        plan(wanted, &actual.iter().cloned().collect(), Vec::new(), false)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_is_in_force_needs_nothing() {
        assert!(steps(&[wanted("eth0", 0, Some(2))], &[in_force("eth0", 0, 2)]).is_empty());
    }

    #[test]
    fn a_new_nic_has_its_policy_on_record_and_published_before_it_is_attached() {
        assert_eq!(
            steps(&[wanted("eth0", 0, Some(2))], &[]),
            [
                "clear the slot for eth0",
                "count the policy of eth0",
                "write the catalog",
                "publish the policy of eth0",
                "attach the program to eth0"
            ]
        );
    }

    #[test]
    fn a_nic_without_a_device_only_has_its_slot() {
        assert_eq!(steps(&[wanted("eth0", 0, None)], &[]), ["clear the slot for eth0", "write the catalog"]);
        assert!(steps(&[wanted("eth0", 0, None)], &[record("eth0", 0, None)]).is_empty());
    }

    #[test]
    fn a_nic_that_leaves_is_taken_off_before_its_policy() {
        assert_eq!(
            steps(&[], &[in_force("eth0", 0, 2)]),
            ["take the program off eth0", "withdraw the policy of eth0", "write the catalog"]
        );
    }

    #[test]
    fn a_nic_that_may_come_back_keeps_enforcing() {
        let actual = Records::from_iter([in_force("eth0", 0, 2)]);
        assert!(plan(&[], &actual, Vec::new(), true).is_empty());
    }

    #[test]
    fn a_device_that_is_gone_keeps_slot_and_policy_but_no_flows() {
        assert_eq!(
            steps(&[wanted("eth0", 0, None)], &[in_force("eth0", 0, 2)]),
            ["take the program off eth0", "forget the flows of eth0", "write the catalog"]
        );
    }

    #[test]
    fn a_device_made_anew_is_attached_again() {
        let actual = Records::from_iter([in_force("eth0", 0, 2)]);
        let steps = plan(&[wanted("eth0", 0, Some(9))], &actual, Vec::new(), false);
        assert!(matches!(&steps[0], Step::Detach { device, .. } if device.index == 2));
        assert!(matches!(&steps[1], Step::ForgetFlows { .. }));
        assert_eq!(steps[2], Step::Record);
        assert!(matches!(&steps[3], Step::Attach { device, .. } if device.index == 9));
        assert_eq!(steps.len(), 4, "its image is in force already");
    }

    #[test]
    fn what_an_earlier_agent_left_is_published_and_attached_anew() {
        assert_eq!(
            steps(&[wanted("eth0", 0, Some(2))], &[record("eth0", 0, Some(2))]),
            [
                "count the policy of eth0",
                "write the catalog",
                "publish the policy of eth0",
                "attach the program to eth0"
            ]
        );
    }

    #[test]
    fn a_changed_policy_is_published_and_nothing_is_attached() {
        let changed = Wanted { fingerprint: 2, ..wanted("eth0", 0, Some(2)) };
        assert_eq!(
            steps(&[changed], &[in_force("eth0", 0, 2)]),
            ["count the policy of eth0", "write the catalog", "publish the policy of eth0"]
        );
    }

    #[test]
    fn another_hook_is_attached_and_nothing_is_taken_off_before() {
        let wanted = Wanted { hook: Hook::Xdp, ..wanted("eth0", 0, Some(2)) };
        let actual = in_force("eth0", 0, 2);
        assert_eq!(
            steps(std::slice::from_ref(&wanted), std::slice::from_ref(&actual)),
            ["attach the program to eth0"]
        );
        let mut at_xdp = actual;
        at_xdp.nic.hook = Hook::Xdp;
        assert!(steps(&[wanted], &[at_xdp]).is_empty());
    }

    #[test]
    fn a_slot_changes_its_owner_only_when_it_is_empty() {
        let steps = steps(&[wanted("new", 0, Some(3))], &[in_force("old", 0, 2)]);
        let at = |text: &str| steps.iter().position(|step| step == text).unwrap();
        assert!(at("withdraw the policy of old") < at("clear the slot for new"));
        assert!(at("clear the slot for new") < at("write the catalog"));
    }

    #[test]
    fn a_renamed_device_is_taken_off_as_one_nic_before_it_is_attached_as_another() {
        let steps = steps(
            &[wanted("old", 0, None), wanted("new", 1, Some(2))],
            &[in_force("old", 0, 2), record("new", 1, None)],
        );
        let at = |text: &str| steps.iter().position(|step| step == text).unwrap();
        assert!(at("take the program off old") < at("attach the program to new"));
    }

    #[test]
    fn reused_numbers_are_zero_before_anything_counts_there() {
        let steps = plan(
            &[Wanted { fingerprint: 2, ..wanted("eth0", 0, Some(2)) }],
            &Records::from_iter([in_force("eth0", 0, 2)]),
            vec![200],
            false,
        );
        let reset = steps.iter().position(|step| matches!(step, Step::ResetCounters { .. })).unwrap();
        let publish = steps.iter().position(|step| matches!(step, Step::Publish { .. })).unwrap();
        assert!(reset < publish);
    }
}
