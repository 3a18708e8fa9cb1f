//! What the policy of each NIC says of some packets, next to what the model says. It must never compare what an API shows.

use sg_model::{Bounded, DeviceFacts, HeaderNumbers};
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts};
use sg_records::NicId;
use sg_service::policy_for;

use super::{both::Both, verdicts::Packet};

/// Ends of flows: members, and others that entries of lists have or do not have.
const REMOTES: [&str; 9] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "192.0.2.200",
    "198.51.100.7",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::3",
    "2001:db8:9::9",
];

/// Protocol, source port, port, and type and code of ICMP.
type Flow = (u8, Option<u16>, Option<u16>, Option<(u8, u8)>);
const FLOWS: [Flow; 4] = [
    (6, Some(40_000), Some(22), None),
    (6, Some(1500), Some(80), None),
    (17, Some(1500), Some(53), None),
    (47, None, None, None),
];

fn flows(is_v4: bool) -> impl Iterator<Item = Flow> {
    let echo = if is_v4 { (1, None, None, Some((8, 0))) } else { (58, None, None, Some((128, 0))) };
    FLOWS.into_iter().chain([echo])
}

impl Both {
    /// Compares the verdicts on packets of every NIC.
    pub(super) fn compare_packets(&self) -> Result<(), String> {
        let state = self.faces.service.snapshot();
        for nic in &self.model.nics {
            let record = state.nic(&NicId::from(nic.ids.id.as_str())).unwrap();
            let policy = policy_for(&state, record, |_| DeviceFacts::default()).unwrap();
            let mut oracle = Oracle::new(&policy);
            for remote in REMOTES.map(|text| text.parse().unwrap()) {
                if [nic.v4, nic.v6].contains(&remote) {
                    continue;
                }
                let local = if remote.is_ipv4() { nic.v4 } else { nic.v6 };
                for (protocol, source_port, port, icmp) in flows(remote.is_ipv4()) {
                    for ingress in [true, false] {
                        let (source, destination) = if ingress { (remote, local) } else { (local, remote) };
                        let number = |number: u8| Some(Bounded::from(number));
                        let numbers = icmp.map_or(HeaderNumbers::NONE, |(kind, code)| HeaderNumbers {
                            icmp_type: number(kind),
                            icmp_code: number(code),
                            ..HeaderNumbers::NONE
                        });
                        let direction =
                            if ingress { sg_model::Direction::Ingress } else { sg_model::Direction::Egress };
                        let probe = Probe::new(ProbeParts {
                            nic: 0,
                            direction,
                            protocol,
                            source,
                            destination,
                            source_port,
                            destination_port: port,
                            numbers,
                        })
                        .unwrap();
                        let found = oracle.judge(&probe).written(&policy);
                        let packet = Packet { ingress, protocol, remote, source_port, port, icmp };
                        let (verdict, rule) = self.model.verdict(nic, &packet);
                        if (found.verdict, found.rule) != (verdict, rule.as_deref()) {
                            let name = &nic.ids.id;
                            return Err(format!(
                                "{name} {packet:?}: {found:?}, expected {verdict} by {rule:?}"
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
