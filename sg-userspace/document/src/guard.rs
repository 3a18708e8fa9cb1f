//! What a document says about changes to it: the devices that it may leave unfiltered, the packets that it must go on accepting,
//! and the ports of SSH servers whose connections it must not end. It must never ask a policy: `sg-guard` does. `lower` reads it.

use serde_json::{Map, Number, Value as Json};
use sg_model::Policy;
use sg_probe::{LineReason, Reader};

use super::{
    lowering::Lowering,
    nic::device_name,
    node::{Node, Value},
    problem::Problem,
    read::{Failures, Keys, Read},
};

/// The port of an SSH server.
const SSH: u16 = 22;

/// The fields of a probe, as [`Reader`] reads them.
pub(super) const PROBE_KEYS: Keys = Keys {
    allowed: &[
        "nic",
        "direction",
        "protocol",
        "src",
        "dst",
        "sport",
        "dport",
        "icmp_type",
        "icmp_code",
        "dscp",
    ],
    meant: &[
        ("device", "nic"),
        ("source", "src"),
        ("remote", "src"),
        ("destination", "dst"),
        ("local", "dst"),
        ("port", "dport"),
        ("ports", "dport"),
        ("source_port", "sport"),
    ],
};

const DEVICES: &str = "write a list of network devices, [eth1]";
const PROBES: &str = "write a list of probes, - { nic: eth0, direction: ingress, ... }";
const PROBE: &str = "write a probe, { nic: eth0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 22 }";
const FIELD: &str = "a field of a probe is a text or a number";
const SSH_PORTS: &str = "write false, or a list of the ports of SSH servers, [22]";

/// The longest text in a probe; an IPv6 address has up to 45 letters.
const LONGEST: usize = 64;

/// What a document says about changes to it. A change that does otherwise is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Devices that may exist and be filtered no longer (`allow_unfiltered`).
    pub allow_unfiltered: Vec<String>,
    /// Packets that the policy must accept (`keep`).
    pub keep: Vec<KeptProbe>,
    /// Ports of this host whose established connections from outside must not end (`keep_ssh`); none: they may.
    pub ssh_ports: Vec<u16>,
}

impl Default for Guard {
    /// That of a document that says nothing about it.
    fn default() -> Self {
        Self { allow_unfiltered: Vec::new(), keep: Vec::new(), ssh_ports: vec![SSH] }
    }
}

/// A packet that the policy must accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptProbe {
    /// Its place: `policy.yaml:12:5: keep[0]`.
    pub place: String,
    /// The probe, as [`Reader`] reads it.
    pub line: String,
}

/// The probes of a document before its policy is known, each with its node.
pub(super) type Unread<'d> = Vec<(&'d Node, String)>;

impl<'d> Lowering<'d> {
    /// `allow_unfiltered`.
    pub(super) fn devices(&mut self, node: &'d Node) -> Read<'d, Vec<String>> {
        self.each(node, DEVICES, |_, device| device_name(device).map(str::to_owned))
    }

    /// `keep`.
    pub(super) fn probes(&mut self, node: &'d Node) -> Read<'d, Unread<'d>> {
        self.each(node, PROBES, |me, probe| {
            let mut fields = Map::new();
            let entries = probe.entries(PROBE)?;
            me.fields(probe, &PROBE_KEYS);
            for (key, value) in entries {
                let value = match &value.value {
                    Value::Null => continue,
                    Value::Integer(number) => Json::Number(Number::from(*number)),
                    Value::Text(text) if text.len() <= LONGEST => Json::String(value.visible()?.to_owned()),
                    _ => return Err(value.unfit(FIELD)),
                };
                // What is no text has failed among the fields.
                fields.insert(key.text().unwrap_or_default().to_owned(), value);
            }
            Ok((probe, Json::Object(fields).to_string()))
        })
    }

    /// `keep_ssh`.
    pub(super) fn ssh_ports(&mut self, node: &'d Node) -> Read<'d, Vec<u16>> {
        let port = |node: &'d Node| match node.value {
            Value::Integer(port) => u16::try_from(port).map_err(|_| node.unfit(SSH_PORTS)),
            _ => Err(node.unfit(SSH_PORTS)),
        };
        match node.value {
            Value::Boolean(false) => Ok(Vec::new()),
            Value::Boolean(true) => Ok(vec![SSH]),
            Value::List(_) => self.each(node, SSH_PORTS, |_, item| port(item)),
            _ => Err(node.unfit(SSH_PORTS)),
        }
    }
}

/// Finds the probes that are none, or that are about no NIC of `policy`.
pub(super) fn check<'d>(policy: &Policy, probes: &Unread<'d>, failures: &mut Failures<'d>) {
    let reader = Reader::new(policy);
    for (node, line) in probes {
        let Err(why) = reader.probe(line.as_bytes()) else { continue };
        let (node, why) = match why {
            // The column is one of the line, which nobody has written.
            LineReason::Json { column: _, message } => (*node, message),
            unknown @ LineReason::UnknownNic { .. } => (node.get("nic").unwrap_or(node), unknown.to_string()),
            invalid @ LineReason::Invalid(_) => (*node, invalid.to_string()),
        };
        failures.push(node.fails(Problem::Probe { why }));
    }
}
