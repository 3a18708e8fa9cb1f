//! Connectivity checks: the verdict on one packet, and what decided it.
//!
//! The oracle explains the verdict and the image, which real packets meet, must agree with it. A check changes nothing. The
//! native API calls it.

use std::net::IpAddr;

use sg_api_types::{CheckPacket, Checked, CommonCheck, Concerned, Evaluated};
use sg_check::{Engine as _, ImageEngine};
use sg_model::{DeviceFacts, Policy, RuleIndex};
use sg_oracle::{Oracle, Step};
use sg_probe::Probe;
use sg_records::{GroupId, Protocol, Rule, RuleId};

use super::{Field, Refusal, State, group_of, policy_for};

/// The verdict on a packet, and what decided it. `facts` returns the facts about a device of this host.
///
/// # Errors
/// If there is no such NIC, or the fields do not form a packet.
pub fn check_packet(
    state: &State,
    packet: &CheckPacket,
    facts: impl Fn(&str) -> DeviceFacts,
) -> Result<Checked, Refusal> {
    let policy = judges(state, &packet.nic, facts)?;
    let probe = probe(packet, &policy)?;
    check_probe(state, &policy, &mut ImageEngine::new(&policy), &probe)
}

fn judges(state: &State, nic: &str, facts: impl Fn(&str) -> DeviceFacts) -> Result<Policy, Refusal> {
    let nic = state.find_target(nic)?;
    policy_for(state, nic, facts).map_err(|error| Refusal::Unenforceable { reason: error.to_string() })
}

/// Fields of a probe, and their names in [`CheckPacket`].
const WORDS: [(&str, &str); 2] = [("dport", "port"), ("sport", "source_port")];

fn probe(packet: &CheckPacket, policy: &Policy) -> Result<Probe, Refusal> {
    let Protocol::Number(protocol) = packet.protocol else {
        let allowed = "a packet has one protocol: tcp, udp, icmp … or 0 to 255";
        return Err(Refusal::invalid(Field::Protocol, packet.protocol, allowed));
    };
    let own = policy.nics().first().map(|nic| nic.addresses.clone()).unwrap_or_default();
    let own = own.into_iter().find(|address| address.is_ipv4() == packet.remote.is_ipv4());
    let Some(local) = packet.local.or(own) else {
        let allowed = "the NIC has no address of the remote's family: say the local address".to_owned();
        return Err(Refusal::Missing { field: Field::Local, allowed });
    };
    Probe::new(packet.parts(0, protocol, local))
        .map_err(|error| error.in_words(&WORDS))
        .map_err(|error| Refusal::invalid(Field::Protocol, packet.protocol, error.to_string()))
}

fn check_probe(
    state: &State,
    policy: &Policy,
    tables: &mut ImageEngine<'_>,
    probe: &Probe,
) -> Result<Checked, Refusal> {
    let explanation = Oracle::new(policy).explain(probe);
    // The tables that packets meet must agree with the rules as written.
    let broken = |reason: String| Refusal::Unenforceable { reason };
    let compiled = tables.check(probe).map_err(|error| broken(error.to_string()))?;
    if compiled != explanation.result {
        return Err(broken("the compiled tables and the rules do not agree; please report this".to_owned()));
    }
    let written = explanation.result.written(policy);
    let group = written.group.map(group_of);
    let named =
        |group: &GroupId| state.group(group).map(|group| group.label.name.clone()).unwrap_or_default();
    let rule_of = |index: RuleIndex| state.rule(&RuleId::from(policy.rule(index).id.as_str()));
    let evaluated = explanation.evaluated.iter().map(|step| match *step {
        Step::NoMember(group) => Evaluated {
            rule: None,
            group: group_of(&policy.group(group).name),
            because: "the remote is no member".to_owned(),
        },
        Step::NoMatch(rule, mismatch) => Evaluated {
            rule: Some(RuleId::from(policy.rule(rule).id.as_str())),
            group: group_of(&policy.group(rule.group).name),
            because: mismatch.to_string(),
        },
    });
    let shadowed = explanation.shadowed.iter().filter_map(|&index| rule_of(index)).map(|rule| Concerned {
        group: rule.group.clone(),
        group_name: named(&rule.group),
        rule: Rule::clone(rule),
    });
    Ok(Checked {
        verdict: written.verdict.to_owned(),
        reason: written.reason.to_owned(),
        group_name: group.as_ref().map(named),
        group,
        rule: explanation.result.rule.and_then(rule_of).map(|rule| Rule::clone(rule)),
        evaluated: evaluated.collect(),
        shadowed: shadowed.collect(),
    })
}

/// The common checks: TCP ports 22, 80, 443, 3389 and 8080, and ping, inbound from `remote`.
///
/// # Errors
/// Like [`check_packet`].
pub fn check_common(
    state: &State,
    nic: &str,
    remote: IpAddr,
    facts: impl Fn(&str) -> DeviceFacts,
) -> Result<Vec<CommonCheck>, Refusal> {
    const TCP: [(u16, &str); 5] =
        [(22, "22 SSH"), (80, "80 HTTP"), (443, "443 HTTPS"), (3389, "3389 RDP"), (8080, "8080 HTTP")];
    let packet = |protocol, port| CheckPacket::inbound(nic, protocol, remote, port);
    // Six checks, one policy: compiled once.
    let policy = judges(state, nic, facts)?;
    let mut tables = ImageEngine::new(&policy);
    let tcp = TCP.into_iter().map(|(port, name)| (name, packet(6, Some(port))));
    let ping = ("ICMP echo", packet(if remote.is_ipv4() { 1 } else { 58 }, None));
    tcp.chain([ping])
        .map(|(name, packet)| {
            let checked = check_probe(state, &policy, &mut tables, &probe(&packet, &policy)?)?;
            Ok(CommonCheck { name: name.to_owned(), checked })
        })
        .collect()
}
