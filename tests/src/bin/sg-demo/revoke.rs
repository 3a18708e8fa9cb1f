//! A rule is revoked while a connection that it accepted is open.

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, End, Family, Outcome, PATIENCE, Pair as _, SILENCE, Service, Streams};

use crate::{
    network::{
        Network,
        Who::{ClientB, Server},
    },
    sending::{Decided, Sending, happened},
    table::Row,
};

const REVOKED: &str = "revoked";

/// Opens a connection from client-b to the server, edits the policy, and sends on from both ends.
pub(crate) fn while_connected(network: &Network, agent: &mut Agent, policy: &str) -> Result<Row> {
    let sending = Sending {
        from: ClientB,
        to: Server,
        family: Family::V4,
        service: Service::Tcp(80),
        expected: Outcome::Silent,
    };
    let question = sending.question();
    let mut streams = Streams::open(network.host(ClientB), &network.server, &question)?;
    for end in End::ALL {
        streams.send(end)?;
        ensure!(streams.arrives(end.other(), PATIENCE)?, "the connection does not work");
    }

    agent.apply(&edited(policy).context("the policy has no `ingress:` below `web:` to edit")?)?;
    let before = agent.stats()?;
    let mut outcome = Outcome::Silent;
    for end in End::ALL {
        streams.send(end)?;
        if streams.arrives(end.other(), SILENCE)? {
            outcome = Outcome::Reply;
        }
    }
    let decided = Decided::between(&before, &agent.stats()?);
    Ok(Row {
        sending,
        happened: match outcome {
            Outcome::Silent => "revoked".into(),
            other => happened(other).into(),
        },
        decided: decided.names(),
        counted: decided.counts(),
        // It is about new flows only.
        check: "-".into(),
        as_expected: outcome == sending.expected && decided.names().contains(REVOKED),
    })
}

/// The policy with one rule more, as the first of `web`'s inbound ones.
fn edited(policy: &str) -> Option<String> {
    let web = policy.find("\n  web:")?;
    let ingress = web + policy[web..].find("ingress:\n")? + "ingress:\n".len();
    let (before, after) = policy.split_at(ingress);
    let rule = format!("{{ id: {REVOKED}, action: drop, protocol: tcp, ports: 80, remote: 10.77.0.3 }}");
    Some(format!("{before}      - {rule}\n{after}"))
}
