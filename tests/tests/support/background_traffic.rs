//! Traffic that goes on while something happens to the agent, and what became of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{
    Datagrams, End, Family, Host, Outcome, PATIENCE, Pair as _, Question, SILENCE, Service, Streams, answer,
    ask,
};

use crate::support::scene::{Client, Scene, Server, question};

/// Every policy of these tests accepts it inbound, and nothing outbound: answers pass because their flow is known.
pub(crate) const OPEN: u16 = 80;
/// No policy accepts it.
pub(crate) const SHUT: u16 = 22;
/// How long a connection to a closed port waits.
const KNOCK: Duration = Duration::from_millis(30);

/// Traffic to the server: what is accepted, and what never is.
pub(crate) struct Meanwhile {
    wanted: Arc<AtomicBool>,
    talk: JoinHandle<Result<Talked>>,
    knocks: JoinHandle<Result<u64>>,
}

/// What the traffic came to.
#[derive(Debug)]
pub(crate) struct Talked {
    pub(crate) messages: u64,
    pub(crate) knocks: u64,
}

impl fmt::Display for Talked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages, none lost; {} knocks at closed ports, none let in",
            self.messages, self.knocks
        )
    }
}

impl Meanwhile {
    /// Begins. The filter must be in force.
    pub(crate) fn begin(scene: &Scene) -> Result<Self> {
        let (client, server) = (scene.host(Client).clone(), scene.host(Server).clone());
        let wanted = Arc::new(AtomicBool::new(true));
        let asked = |service| question(Client, Server, Family::V4, service);
        let both = Streams::open(&client, &server, &asked(Service::Tcp(OPEN)))?;
        let open = Service::Udp(OPEN);
        let mut flows = Flows {
            both,
            datagrams: Datagrams::open(&client, &server, &asked(open))?,
            answers: Datagrams::open(&client, &server, &question(Client, Server, Family::V6, open))?,
            shut: Datagrams::open(&client, &server, &asked(Service::Udp(SHUT)))?,
            messages: 0,
        };
        // From now on only the server speaks in it: a flow that is forgotten once stays forgotten.
        flows.answers.send(End::Asker)?;
        ensure!(flows.answers.arrives(End::Answerer, PATIENCE)?, "the first message was lost");
        let knocking = (wanted.clone(), asked(Service::Tcp(SHUT)));
        let knocks = thread::spawn(move || knock(&knocking.0, &client, &server, &knocking.1));
        let talking = wanted.clone();
        let talk = thread::spawn(move || flows.talk(&talking));
        Ok(Self { wanted, talk, knocks })
    }

    /// Ends, and says what it came to.
    pub(crate) fn end(self) -> Result<Talked> {
        self.wanted.store(false, Ordering::Relaxed);
        let mut talked = self.talk.join().map_err(|_| anyhow!("the talk panicked"))??;
        talked.knocks += self.knocks.join().map_err(|_| anyhow!("the knocks panicked"))??;
        Ok(talked)
    }
}

struct Flows {
    both: Streams,
    datagrams: Datagrams,
    answers: Datagrams,
    shut: Datagrams,
    messages: u64,
}

impl Flows {
    fn talk(mut self, wanted: &AtomicBool) -> Result<Talked> {
        while wanted.load(Ordering::Relaxed) {
            self.answers.send(End::Answerer)?;
            ensure!(
                self.answers.arrives(End::Asker, SILENCE)?,
                "a datagram of a known flow was lost after {} messages",
                self.messages
            );
            for end in [End::Answerer, End::Asker] {
                self.both.send(end)?;
                self.datagrams.send(end)?;
                ensure!(self.both.arrives(end.other(), PATIENCE)?, "the connection was lost: {end:?}");
                self.datagrams.arrives(end.other(), SILENCE)?;
            }
            self.shut.send(End::Asker)?;
            self.messages += 5;
            thread::sleep(Duration::from_millis(1));
        }
        // What was sent last is on its way; nothing of it may come.
        self.shut.arrives(End::Answerer, SILENCE)?;
        // The server's first datagram comes before any of the client's, where no flow is known yet.
        let lost = End::ALL.map(|end| self.datagrams.lost(end));
        ensure!(lost[0] <= 1 && lost[1] == 0, "{lost:?} datagrams were lost");
        let knocks = self.messages / 5;
        let lost = self.shut.lost(End::Answerer) as u64;
        ensure!(lost == knocks, "{} datagrams got in at the closed port {SHUT}", knocks - lost);
        Ok(Talked { messages: self.messages, knocks })
    }
}

/// Tries to connect to a closed port, again and again.
fn knock(wanted: &AtomicBool, client: &Host, server: &Host, question: &Question) -> Result<u64> {
    let _answering = answer(server, question.to, question.service)?;
    let mut knocks = 0;
    while wanted.load(Ordering::Relaxed) {
        let outcome = ask(client, question, KNOCK).context("knocking")?;
        ensure!(outcome == Outcome::Silent, "knock {knocks} at {}: {outcome}", question.service);
        knocks += 1;
    }
    Ok(knocks)
}
