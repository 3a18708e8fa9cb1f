//! What a policy would lose, and what decides it; and the packets that a document keeps.

use std::fmt;

use sg_common::verdict::Verdict;
use sg_document::KeptProbe;
use sg_model::Policy;
use sg_oracle::Oracle;
use sg_probe::{Probe, Reader};

/// Something that a policy would no longer accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What would be lost: `policy.yaml:12:5: keep[0]`, or `the SSH connection from 192.0.2.7 port 50000 to 10.0.0.5 port 22`.
    pub what: String,
    /// The NIC's device; empty if there is no such NIC.
    pub device: String,
    /// The verdict and what decides it, `drop by rule no-ssh of group web`; or why there is none.
    pub by: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, device, by } = self;
        if device.is_empty() {
            return write!(f, "{what}: {by}");
        }
        write!(f, "{what}: NIC {device} would not accept it, {by}")
    }
}

/// The first of `keep` that `policy` does not accept. The facts of its devices must be known.
#[must_use]
pub fn lost_probe(policy: &Policy, keep: &[KeptProbe]) -> Option<Lost> {
    let (reader, mut oracle) = (Reader::new(policy), Oracle::new(policy));
    keep.iter().find_map(|KeptProbe { place, line }| {
        let probe = match reader.probe(line.as_bytes()) {
            Ok(probe) => probe,
            // A document's probes are about its own NICs, so this is about a policy that has others.
            Err(error) => {
                return Some(Lost { what: place.clone(), device: String::new(), by: error.to_string() });
            }
        };
        judged(policy, &mut oracle, &probe, || place.clone())
    })
}

/// The loss, if `policy` does not accept `probe`.
pub(super) fn judged(
    policy: &Policy,
    oracle: &mut Oracle<'_>,
    probe: &Probe,
    what: impl FnOnce() -> String,
) -> Option<Lost> {
    let result = oracle.judge(probe);
    if result.verdict == Verdict::Accept {
        return None;
    }
    let device = policy.nics().get(probe.nic()).map(|nic| nic.device.clone()).unwrap_or_default();
    Some(Lost { what: what(), device, by: result.written(policy).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
groups:
  web:
    ingress:
      - { id: office, protocol: tcp, ports: 22, remote: 192.0.2.0/24 }
      - { id: nobody, action: reject, priority: 2, protocol: tcp, ports: 22 }
nics: [ { device: eth0, groups: [web] } ]
keep:
  - { nic: eth0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 22 }
";

    fn lost(document: &str) -> Option<String> {
        let loaded = sg_document::parse("p.yaml", document.as_bytes()).unwrap();
        lost_probe(&loaded.policy, &loaded.guard.keep).map(|lost| lost.to_string())
    }

    #[test]
    fn what_is_accepted_is_kept() {
        assert_eq!(lost(POLICY), None);
    }

    #[test]
    fn a_loss_names_its_place_and_the_rule_that_decides() {
        let place = "p.yaml:9:5: keep[0]: NIC eth0 would not accept it,";
        let by_rule = format!("{place} reject by rule nobody of group web");
        assert_eq!(lost(&POLICY.replace("192.0.2.0/24", "198.51.100.0/24")), Some(by_rule));
        let default = format!("{place} drop by default");
        assert_eq!(lost(&POLICY.replace("protocol: tcp, ports", "protocol: udp, ports")), Some(default));
    }

    #[test]
    fn a_probe_of_another_policy_is_a_loss() {
        let loaded = sg_document::parse("p.yaml", POLICY.as_bytes()).unwrap();
        let other = POLICY.replace("eth0", "eth1");
        let other = sg_document::parse("p.yaml", other.as_bytes()).unwrap().policy;
        let said = lost_probe(&other, &loaded.guard.keep).unwrap().to_string();
        assert_eq!(said, "p.yaml:9:5: keep[0]: nic \"eth0\" is not in the policy: its NICs are eth1");
    }
}
