//! What is sent, and what became of it.

use std::{thread, time::Duration};

use anyhow::Result;
use sg_tests::lab::{
    Agent, Counter, Family, Outcome, PATIENCE, Question, SILENCE, Service, Stats, ask, respond,
};

use crate::{
    check::Foretold,
    network::{
        Network,
        Who::{self, ClientA, ClientB, Server},
    },
    table::Row,
};

/// How long a connection may take to close, so that its last packets are counted before the next one opens.
const CLOSING: Duration = Duration::from_millis(50);

/// Somebody asks somebody for something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    pub(crate) from: Who,
    pub(crate) to: Who,
    pub(crate) family: Family,
    pub(crate) service: Service,
    pub(crate) expected: Outcome,
}

/// Everything that is sent, over both families.
pub(crate) fn all() -> Vec<Sending> {
    use Outcome::{Reply, Silent};
    use Service::{Echo, Tcp, Udp};
    let asked = [
        (ClientA, Server, Tcp(80), Reply),
        (ClientB, Server, Tcp(80), Reply),
        (ClientA, Server, Udp(53), Reply),
        (ClientB, Server, Udp(53), Silent),
        (ClientA, Server, Echo, Reply),
        (ClientB, Server, Echo, Silent),
        (ClientA, Server, Tcp(22), Reply),
        (ClientB, Server, Tcp(22), Silent),
        (ClientA, Server, Tcp(8080), Silent),
        (ClientB, Server, Tcp(8080), Silent),
        (ClientA, Server, Tcp(443), Silent),
        (Server, ClientA, Tcp(443), Reply),
        (Server, ClientB, Tcp(25), Silent),
        (Server, ClientB, Udp(53), Reply),
        (Server, ClientB, Echo, Reply),
    ];
    let over = |family| {
        asked.into_iter().map(move |(from, to, service, expected)| Sending {
            from,
            to,
            family,
            service,
            expected,
        })
    };
    Family::ALL.into_iter().flat_map(over).collect()
}

impl Sending {
    pub(crate) fn question(self) -> Question {
        Question::new(self.from.address(self.family), self.to.address(self.family), self.service)
    }
}

/// Sends it, and tells what became of it.
pub(crate) fn send(network: &Network, agent: &Agent, sending: Sending, foretold: &Foretold) -> Result<Row> {
    let _responder = respond(network.host(sending.to), sending.to.address(sending.family), sending.service)?;
    let before = agent.stats()?;
    let patience = if sending.expected == Outcome::Silent { SILENCE } else { PATIENCE };
    let outcome = ask(network.host(sending.from), &sending.question(), patience)?;
    thread::sleep(CLOSING);
    let decided = Decided::between(&before, &agent.stats()?);

    let agrees = foretold.accepts() == (outcome == Outcome::Reply)
        && decided.counter().is_some_and(|counter| foretold.names(counter));
    Ok(Row {
        sending,
        happened: happened(outcome).into(),
        decided: decided.names(),
        counted: decided.counts(),
        check: if agrees { "agrees".into() } else { format!("says {foretold}") },
        as_expected: outcome == sending.expected && agrees,
    })
}

pub(crate) fn happened(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reply => "reply",
        Outcome::Refused => "refused",
        Outcome::Prohibited => "rejected",
        Outcome::Silent => "dropped",
    }
}

/// The counters of rules and defaults that moved, each with by how much.
pub(crate) struct Decided(Vec<(Counter, u64)>);

impl Decided {
    pub(crate) fn between(before: &Stats, after: &Stats) -> Self {
        let moved = after.moved_since(before).into_iter();
        Self(moved.filter(|(counter, _)| !matches!(counter, Counter::Reason { .. })).collect())
    }

    /// Who decided, where it was one.
    pub(crate) fn counter(&self) -> Option<&Counter> {
        match &self.0[..] {
            [(counter, ..)] => Some(counter),
            _ => None,
        }
    }

    pub(crate) fn names(&self) -> String {
        let name = |(counter, _): &(Counter, u64)| match counter {
            Counter::Rule { group, rule } => format!("{group}: {rule}"),
            other => other.to_string(),
        };
        self.0.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// By how much each moved.
    pub(crate) fn counts(&self) -> String {
        let count = |(_, by): &(Counter, u64)| format!("+{by}");
        self.0.iter().map(count).collect::<Vec<_>>().join(", ")
    }
}
