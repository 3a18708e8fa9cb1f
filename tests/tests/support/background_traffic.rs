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
    Datagrams, End, Family, Host, Outcome, PATIENCE, Pair as _, Question, SILENCE, Service, Streams, ask,
    respond,
};

use crate::support::scene::{Client, Scene, Server, question};

/// Every policy of these tests accepts it inbound, and nothing outbound: replies pass because their flow is known.
pub(crate) const OPEN: u16 = 80;
/// No policy accepts it.
pub(crate) const SHUT: u16 = 22;
/// How long a connection to a closed port waits.
const KNOCK: Duration = Duration::from_millis(30);

/// Traffic to the server: what is accepted, and what never is.
pub(crate) struct BackgroundTraffic {
    wanted: Arc<AtomicBool>,
    exchange: JoinHandle<Result<Exchanged>>,
    knocks: JoinHandle<Result<u64>>,
}

/// What the traffic came to.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) messages: u64,
    pub(crate) knocks: u64,
}

impl fmt::Display for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages, none lost; {} knocks at closed ports, none let in",
            self.messages, self.knocks
        )
    }
}

impl BackgroundTraffic {
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
            replies_only: Datagrams::open(&client, &server, &question(Client, Server, Family::V6, open))?,
            shut: Datagrams::open(&client, &server, &asked(Service::Udp(SHUT)))?,
            messages: 0,
        };
        // From now on only the server speaks in it: a flow that is forgotten once stays forgotten.
        flows.replies_only.send(End::Initiator)?;
        ensure!(flows.replies_only.arrives(End::Responder, PATIENCE)?, "the first message was lost");
        let knocking = (wanted.clone(), asked(Service::Tcp(SHUT)));
        let knocks = thread::spawn(move || knock(&knocking.0, &client, &server, &knocking.1));
        let goes_on = wanted.clone();
        let exchange = thread::spawn(move || flows.exchange(&goes_on));
        Ok(Self { wanted, exchange, knocks })
    }

    /// Ends, and says what it came to.
    pub(crate) fn end(self) -> Result<Exchanged> {
        self.wanted.store(false, Ordering::Relaxed);
        let mut exchanged = self.exchange.join().map_err(|_| anyhow!("the exchange panicked"))??;
        exchanged.knocks += self.knocks.join().map_err(|_| anyhow!("the knocks panicked"))??;
        Ok(exchanged)
    }
}

struct Flows {
    both: Streams,
    datagrams: Datagrams,
    replies_only: Datagrams,
    shut: Datagrams,
    messages: u64,
}

impl Flows {
    fn exchange(mut self, wanted: &AtomicBool) -> Result<Exchanged> {
        while wanted.load(Ordering::Relaxed) {
            self.replies_only.send(End::Responder)?;
            ensure!(
                self.replies_only.arrives(End::Initiator, SILENCE)?,
                "a datagram of a known flow was lost after {} messages",
                self.messages
            );
            for end in [End::Responder, End::Initiator] {
                self.both.send(end)?;
                self.datagrams.send(end)?;
                ensure!(self.both.arrives(end.other(), PATIENCE)?, "the connection was lost: {end:?}");
                self.datagrams.arrives(end.other(), SILENCE)?;
            }
            self.shut.send(End::Initiator)?;
            self.messages += 5;
            thread::sleep(Duration::from_millis(1));
        }
        // What was sent last is on its way; nothing of it may come.
        self.shut.arrives(End::Responder, SILENCE)?;
        // The server's first datagram comes before any of the client's, where no flow is known yet.
        let lost = End::ALL.map(|end| self.datagrams.lost(end));
        ensure!(lost[0] <= 1 && lost[1] == 0, "{lost:?} datagrams were lost");
        let knocks = self.messages / 5;
        let lost = self.shut.lost(End::Responder) as u64;
        ensure!(lost == knocks, "{} datagrams got in at the closed port {SHUT}", knocks - lost);
        Ok(Exchanged { messages: self.messages, knocks })
    }
}

/// Tries to connect to a closed port, again and again.
fn knock(wanted: &AtomicBool, client: &Host, server: &Host, question: &Question) -> Result<u64> {
    let _responder = respond(server, question.to, question.service)?;
    let mut knocks = 0;
    while wanted.load(Ordering::Relaxed) {
        let outcome = ask(client, question, KNOCK).context("knocking")?;
        ensure!(outcome == Outcome::Silent, "knock {knocks} at {}: {outcome}", question.service);
        knocks += 1;
    }
    Ok(knocks)
}
