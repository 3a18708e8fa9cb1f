//! Tests of a policy by themselves, and what a document demands of every later change: its tests, and the packets that it keeps.
//!
//! They refer to groups and lists by id; in a request it may be a name. This file must never ask whether a test holds. The store
//! keeps demands, the APIs list, replace and run tests.

use std::fmt;

use serde::{Deserialize, Serialize};
use sg_model::{End, Expectation, Indices, Over, Packets, Resolve, flat, schema_of};
use utoipa::ToSchema;

use super::{Action, Direction, GroupId, Ids, Match, OnlyFamily, Ports, Protocol, Remote};

/// What must happen to every packet that starts a flow and is of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct PolicyTest {
    /// The NIC. Excludes `group`.
    pub nic: Option<String>,
    /// NICs that hold this group. Excludes `nic`.
    pub group: Option<GroupId>,
    /// The direction.
    pub direction: Direction,
    /// Sources; none: any.
    pub from: Vec<Remote>,
    /// Destinations; none: any.
    pub to: Vec<Remote>,
    /// Protocol, ports, ICMP message, DSCP and family. What it says about ends does not count.
    pub service: Match,
    /// What must happen.
    pub expect: Action,
    /// The name or id of the rule that must decide.
    pub rule: Option<String>,
    /// Description; may be empty.
    pub description: String,
}

// `PolicyTest` as JSON has it: with the keys of a document.
flat! {
    of packets;
    /// A test of a policy: what must happen to every packet that starts a flow and is of a set.
    struct Written as
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename = "PolicyTest", deny_unknown_fields)]
    Flat {
        /// The NIC: its device or, in a store, its id or name. Required unless there is `group`.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        nic: Option<String>,
        /// Every NIC that holds this group, with all that these NICs hold: its id or name. Excludes `nic`.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupId>,
        /// Direction, as seen by the NIC's owner. Required.
        direction: Direction,
        /// Sources: addresses, prefixes, `{"group": …}` or `{"prefix_list": …}`. Default: any.
        @[serde(default, skip_serializing_if = "Vec::is_empty")]
        from: Vec<Remote>,
        /// Destinations, written like `from`. Default: any.
        @[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<Remote>,
        /// Protocol: `all`, a name such as `tcp`, or a number from 0 to 255. Required.
        protocol: Protocol,
        /// Destination ports. Default: any.
        @[serde(default, skip_serializing_if = "Ports::is_any")]
        ports: Ports,
        /// Source ports. Default: any.
        @[serde(default, skip_serializing_if = "Ports::is_any")]
        source_ports: Ports,
    } ..numbers {
        /// Address family: `ipv4` or `ipv6`. Default: both, as far as the other fields have both.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        family: Option<OnlyFamily>,
        /// What must happen to each of the packets: `accept`, `drop` or `reject`. Required.
        expect: Action,
        /// The rule that must decide each of them: its name in a document, or its id.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// Description. Default: empty.
        @[serde(default, skip_serializing_if = "String::is_empty")]
        description: String,
    }
}
schema_of! { PolicyTest: Flat }

impl From<Flat> for PolicyTest {
    fn from(flat: Flat) -> Self {
        let Written {
            nic,
            group,
            direction,
            from,
            to,
            protocol,
            ports,
            source_ports,
            numbers,
            family,
            expect,
            rule,
            description,
        } = flat.into();
        let service = Match { ports, source_ports, numbers, family, ..Match::of(protocol) };
        Self { nic, group, direction, from, to, service, expect, rule, description }
    }
}

impl From<PolicyTest> for Flat {
    fn from(test: PolicyTest) -> Self {
        let PolicyTest { nic, group, direction, from, to, service, expect, rule, description } = test;
        let Match { protocol, ports, source_ports, numbers, family, remote: _, local: _ } = service;
        let written = Written {
            nic,
            group,
            direction,
            from,
            to,
            protocol,
            ports,
            source_ports,
            numbers,
            family,
            expect,
            rule,
            description,
        };
        written.into()
    }
}

impl PolicyTest {
    /// The test of a document, with its references found by `to`.
    ///
    /// # Errors
    /// The first reference that `to` does not find.
    pub fn of<E>(test: &Expectation, to: &mut impl Resolve<Indices, Ids, Error = E>) -> Result<Self, E> {
        let Expectation { packets, action, rule } = test;
        let Packets { over, direction, family: _, remote, local, services } = packets;
        let (nic, group) = match over {
            Over::Every => (None, None),
            Over::Device(device) => (Some(device.clone()), None),
            Over::Group(group) => (None, Some(to.group(group)?)),
        };
        let direction = direction.map_or(Direction::Ingress, Direction::from);
        let mut end =
            |end: &End| end.of.iter().map(|remote| remote.try_map(to)).collect::<Result<Vec<_>, E>>();
        let (remote, local) = (end(remote)?, end(local)?);
        let (from, to_) = match direction {
            Direction::Ingress => (remote, local),
            Direction::Egress => (local, remote),
        };
        let service = services.first().map_or_else(|| Ok(Match::of(Protocol::All)), |one| one.try_map(to))?;
        let (expect, rule, description) = (*action, rule.clone(), String::new());
        Ok(Self { nic, group, direction, from, to: to_, service, expect, rule, description })
    }

    /// The test in a policy, over some of its NICs, with its references found by `to`.
    ///
    /// # Errors
    /// The first reference that `to` does not find.
    pub fn expectation<E>(
        &self,
        over: Over,
        to: &mut impl Resolve<Ids, Indices, Error = E>,
    ) -> Result<Expectation, E> {
        let Self { nic: _, group: _, direction, from, to: to_, service, expect, rule, description: _ } = self;
        let mut end = |of: &[Remote]| {
            let of = of.iter().map(|remote| remote.try_map(to)).collect::<Result<Vec<_>, E>>()?;
            let is_any = of.contains(&sg_model::Remote::Any);
            Ok(End { of: if is_any { Vec::new() } else { of }, not_of: Vec::new() })
        };
        let (from, to_) = (end(from)?, end(to_)?);
        let (remote, local) = match direction {
            Direction::Ingress => (from, to_),
            Direction::Egress => (to_, from),
        };
        let services = vec![service.try_map(to)?];
        let direction = Some((*direction).into());
        let packets = Packets { over, direction, family: None, remote, local, services };
        Ok(Expectation { packets, action: *expect, rule: rule.clone() })
    }
}

/// The name of a document; empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentName(pub String);

impl From<&str> for DocumentName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for DocumentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What every later change must keep: the tests and the packets of a document, or tests that were set by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands {
    /// The name of the document; empty: they were set by themselves.
    pub document: DocumentName,
    /// Its tests.
    pub tests: Vec<DemandedTest>,
    /// Packets that the policy must accept.
    pub keep: Vec<DemandedPacket>,
}

impl Demands {
    /// Whether nothing is demanded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.keep.is_empty()
    }
}

/// A test that every later change is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandedTest {
    /// Where it is written: `policy.yaml:12:5: tests[2]`.
    pub place: String,
    /// The test.
    pub test: PolicyTest,
}

/// A packet that every later change must accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandedPacket {
    /// Where it is written: `policy.yaml:12:5: keep[0]`.
    pub place: String,
    /// The probe, as a line of JSON.
    pub probe: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_has_the_keys_of_a_document() {
        let written = json!({
            "group": "web", "direction": "ingress", "from": ["10.0.0.0/8", {"prefix_list": "office"}], "protocol": "tcp",
            "ports": "22", "dscp": 7, "expect": "drop", "rule": "ssh",
        });
        let test: PolicyTest = serde_json::from_value(written.clone()).unwrap();
        assert_eq!((test.from.len(), test.expect), (2, Action::Drop));
        assert_eq!(serde_json::to_value(&test).unwrap(), written);
        let unknown =
            json!({"nic": "eth0", "direction": "ingress", "protocol": "tcp", "expect": "drop", "port": "1"});
        assert!(serde_json::from_value::<PolicyTest>(unknown).unwrap_err().to_string().contains("port"));
    }
}
