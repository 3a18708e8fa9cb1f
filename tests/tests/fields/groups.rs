//! Groups: who belongs, whom a rule may name, which order they have, and what holds where no rule does.

use anyhow::{Context as _, Result};
use sg_tests::lab::{Attach, Family, Lab, Outcome, Question, Service, answer};

use crate::support::{
    scene::{
        Role,
        Who::{Client, Server, Stranger},
        counts, filtered, question,
    },
    suite::Suite,
};

const WEB: Service = Service::Tcp(80);

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("members_talk", members_talk);
    suite.each("a_rule_names_a_group", |lab, attach| names(lab, attach, NAMES_A_GROUP));
    suite.each("a_rule_names_a_prefix_list", |lab, attach| names(lab, attach, NAMES_A_PREFIX_LIST));
    suite.each("a_rule_names_a_port_list", a_rule_names_a_port_list);
    suite.each("types_have_their_defaults", types_have_their_defaults);
    suite.each("orders_differ", orders_differ);
    suite.each("a_guest_speaks_for_itself", a_guest_speaks_for_itself);
}

const MEMBERS: &str = "
members: { web: [10.77.0.2, \"fd77::2\"] }
groups:
  web: { inner_access: ACCESS }
";

fn members_talk(lab: Lab, attach: Attach) -> Result<()> {
    let accept = Role::Host.policy("web", &MEMBERS.replace("ACCESS", "accept"));
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &accept)?;
    for family in Family::ALL {
        for service in crate::lab::baseline::SERVICES {
            counts(
                &agent,
                "members of web",
                |stats| stats.intra_group("web"),
                2..,
                || scene.asks(Client, Server, family, service, Outcome::Answered),
            )?;
        }
        scene.asks(Stranger, Server, family, WEB, Outcome::Silent).context("a stranger")?;
    }
    agent.apply(&Role::Host.policy("web", &MEMBERS.replace("ACCESS", "drop")))?;
    for family in Family::ALL {
        scene.asks(Client, Server, family, WEB, Outcome::Silent).context("with inner_access: drop")?;
    }
    Ok(())
}

const NAMES_A_GROUP: &str = "
members: { ops: [10.77.0.2, \"fd77::2\"] }
groups:
  ops: {}
  web:
    ingress:
      - { id: named, protocol: tcp, ports: 80, remote: { group: ops } }
";
const NAMES_A_PREFIX_LIST: &str = "
prefix_lists: { office: [10.77.0.2/31, \"fd77::2/127\"] }
groups:
  web:
    ingress:
      - { action: drop, protocol: all, remote: 10.77.0.3 }
      - { action: drop, protocol: all, remote: \"fd77::3\" }
      - { id: named, protocol: tcp, ports: 80, priority: 2, remote: { prefix_list: office } }
";

fn names(lab: Lab, attach: Attach, policy: &str) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &Role::Host.policy("web", policy))?;
    for family in Family::ALL {
        counts(
            &agent,
            "named",
            |stats| stats.rule("named"),
            5..,
            || scene.asks(Client, Server, family, WEB, Outcome::Answered),
        )?;
        scene.asks(Stranger, Server, family, WEB, Outcome::Silent)?;
    }
    Ok(())
}

fn a_rule_names_a_port_list(lab: Lab, attach: Attach) -> Result<()> {
    let policy = "
port_lists: { web: [80, 443, 8080-8090] }
groups:
  web:
    ingress:
      - { protocol: tcp, ports: { port_list: web } }
      - { protocol: udp, ports: \"5000-5010,5353\", source_ports: 53 }
";
    let (scene, _agent) = filtered(lab, attach, Role::Host, &Role::Host.policy("web", policy))?;
    for family in Family::ALL {
        for port in [80, 443, 8080, 8085, 8090] {
            scene.asks(Client, Server, family, Service::Tcp(port), Outcome::Answered)?;
        }
        for port in [79, 81, 8079, 8091] {
            scene.asks(Client, Server, family, Service::Tcp(port), Outcome::Silent)?;
        }
        let cases = [
            (53, 5000, Outcome::Answered),
            (53, 5353, Outcome::Answered),
            (53, 5011, Outcome::Silent),
            (54, 5001, Outcome::Silent),
        ];
        for (source_port, port, expected) in cases {
            let service = Service::Udp(port);
            let _answering = answer(scene.host(Server), Server.address(family), service)?;
            let asked = Question { source_port, ..question(Client, Server, family, service) };
            scene.puts(Client, &asked, expected)?;
        }
    }
    Ok(())
}

fn types_have_their_defaults(lab: Lab, attach: Attach) -> Result<()> {
    let policy = |kind| Role::Host.policy("web", &format!("groups: {{ web: {{ type: {kind} }} }}"));
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy("basic"))?;
    for (kind, outbound) in [("basic", Outcome::Answered), ("enterprise", Outcome::Silent)] {
        if kind != "basic" {
            agent.apply(&policy(kind))?;
        }
        for family in Family::ALL {
            counts(
                &agent,
                "default of ingress",
                |stats| stats.default_of("ingress"),
                1..=1,
                || scene.asks(Client, Server, family, WEB, Outcome::Silent),
            )?;
            counts(
                &agent,
                "default of egress",
                |stats| stats.default_of("egress"),
                1..,
                || scene.asks(Server, Client, family, WEB, outbound),
            )
            .context(kind)?;
        }
    }
    Ok(())
}

/// The documented difference: an accept of priority 100 in the first group against a drop of priority 1 in the
/// second. By sequence the first group decides, merged the better priority does.
fn orders_differ(lab: Lab, attach: Attach) -> Result<()> {
    let policy = |precedence| {
        Role::Host.policy(
            "first, second",
            &format!(
                "
precedence: {precedence}
groups:
  first: {{ ingress: [{{ action: accept, protocol: tcp, ports: 80, priority: 100 }}] }}
  second: {{ ingress: [{{ action: drop, protocol: tcp, ports: 80, priority: 1 }}] }}
"
            ),
        )
    };
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy("sequence"))?;
    for family in Family::ALL {
        counts(
            &agent,
            "first",
            |stats| stats.rule("first/ingress/0"),
            5..,
            || scene.asks(Client, Server, family, WEB, Outcome::Answered),
        )?;
    }
    agent.apply(&policy("merged"))?;
    for family in Family::ALL {
        counts(
            &agent,
            "second",
            |stats| stats.rule("second/ingress/0"),
            1..=1,
            || scene.asks(Client, Server, family, WEB, Outcome::Silent),
        )?;
    }
    Ok(())
}

fn a_guest_speaks_for_itself(lab: Lab, attach: Attach) -> Result<()> {
    let policy = Role::Guest.policy("web", "groups: { web: {} }");
    let trusting = policy.replace("role: guest", "role: guest, anti_spoofing: false");
    let (scene, mut agent) = filtered(lab, attach, Role::Guest, &policy)?;
    scene.host(Server).address("eth0", &["10.77.0.66/24", "fd77::66/64"])?;
    for family in Family::ALL {
        let forged = match family {
            Family::V4 => "10.77.0.66".parse()?,
            Family::V6 => "fd77::66".parse()?,
        };
        let asked = Question::new(forged, Client.address(family), WEB);
        let _answering = answer(scene.host(Client), Client.address(family), WEB)?;
        // What it may not say begins with the question for its neighbour.
        counts(
            &agent,
            "anti-spoofing",
            |stats| stats.reason("anti-spoofing") + stats.reason("neighbour-spoofing"),
            1..=4,
            || scene.puts(Server, &asked, Outcome::Silent),
        )?;
        agent.apply(&trusting)?;
        scene.puts(Server, &asked, Outcome::Answered).context("with anti_spoofing: false")?;
        agent.apply(&policy)?;
    }
    Ok(())
}
