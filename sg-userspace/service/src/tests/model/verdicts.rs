//! The verdicts of the model and of the oracle.

use sg_model::HeaderNumbers;
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts};
use sg_records::RuleId;

use super::{
    Both, NICS,
    expected::{ip, member_address, names, nic_address},
};
use crate::policy_for;

impl Both {
    /// Compares what decides packets of every NIC.
    pub(super) fn compare(&self) -> Result<(), String> {
        for nic in (0..NICS).filter(|&nic| self.model.nics[nic].is_some()) {
            let record = self.world.tx.find_nic(&Self::nic_name(nic)).unwrap();
            let held: Vec<String> = record
                .groups
                .iter()
                .map(|group| self.world.tx.group(group).unwrap().label.name.clone())
                .collect();
            let expected = names(self.model.nics[nic].as_ref().unwrap());
            if held != expected {
                return Err(format!("NIC {nic} holds {held:?}, expected {expected:?}"));
            }
            let policy = policy_for(&self.world.tx, record, |_| sg_model::DeviceFacts::default()).unwrap();
            let mut oracle = Oracle::new(&policy);
            let nics = (0..NICS).map(nic_address);
            let remotes: Vec<[u8; 4]> =
                nics.chain((0..6).map(member_address)).chain([[10, 0, 1, 7], [9, 9, 9, 9]]).collect();
            for remote in remotes.into_iter().filter(|&remote| remote != nic_address(nic)) {
                for (ingress, port) in [(true, 80), (true, 81), (false, 80), (false, 81)] {
                    let (local, far) = (ip(nic_address(nic)), ip(remote));
                    let (source, destination) = if ingress { (far, local) } else { (local, far) };
                    let probe = Probe::new(ProbeParts {
                        nic: 0,
                        direction: if ingress {
                            sg_model::Direction::Ingress
                        } else {
                            sg_model::Direction::Egress
                        },
                        protocol: 6,
                        source,
                        destination,
                        source_port: None,
                        destination_port: Some(port),
                        numbers: HeaderNumbers::NONE,
                    })
                    .unwrap();
                    let result = oracle.judge(&probe).written(&policy);
                    let (accept, rule) = self.model.decide(nic, ingress, remote, port);
                    let same = (result.verdict == "accept") == accept
                        && result.rule == rule.as_ref().map(RuleId::as_str);
                    if !same {
                        return Err(format!("{probe:?}: {result:?}, expected {accept} by {rule:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}
