//! What comes from the agent and from signals: a thread that looks at counters and flows, one that follows denials, and one that waits
//! for signals. It must never look at what it reads. `mod.rs` starts it; it ends with the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use sg_api_types::{FlowList, Stats, Status};
use sg_observe::record::Record;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{
    args::Common,
    client::{Address, Call, ClientError, Next, http::Client, server::Server},
    failure::Failure,
};

/// Flows that are read at a time: the agent takes a while for more, and nobody looks at them.
const MOST_FLOWS: u32 = 20_000;
/// Denials of the last while, to begin with.
const BEFORE: &str = "5m";
/// How long to wait for records, and before the agent is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the feed reads from the agent.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) common: Common,
    pub(super) nic: Option<String>,
    pub(super) interval: Duration,
}

/// Counters and flows of one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) status: Status,
    pub(super) stats: Stats,
    /// None: nobody looks at them.
    pub(super) flows: Option<FlowList>,
}

/// What is new.
#[derive(Clone, Debug)]
pub(super) enum News {
    Sample(Box<Sample>),
    /// Records of what did not pass, and losses.
    Denied(Vec<Record>),
    /// The agent cannot be read at the moment, for this reason.
    Trouble(String),
    /// The process is to end.
    Signal,
}

/// Starts the threads. Returns the switch for flows.
pub(super) fn start(source: Source, news: &Sender<News>) -> Result<Arc<AtomicBool>, Failure> {
    let wants_flows = Arc::new(AtomicBool::new(true));
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(Failure::other)
    };
    let signals = news.clone();
    spawn("signals", Box::new(move || wait_for_signals(&signals)))?;
    let (denials, of_denials) = (news.clone(), source.clone());
    spawn("denials", Box::new(move || follow(&of_denials, &denials)))?;
    let (samples, wanted) = (news.clone(), Arc::clone(&wants_flows));
    spawn("samples", Box::new(move || look(&source, &wanted, &samples)))?;
    Ok(wants_flows)
}

fn wait_for_signals(news: &Sender<News>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    });
    // The other end is gone only when the process ends anyway.
    let _ = news.send(News::Signal);
}

fn client(common: &Common) -> Result<Client, Failure> {
    let timeout = Duration::from_secs(u64::from(common.timeout));
    Ok(Client::new(Server::of(common)?, timeout)?)
}

/// What to show of a failure.
fn trouble(failure: &Failure) -> News {
    News::Trouble(match failure {
        Failure::Input(error) | Failure::NotFound(error) | Failure::Other(error) => format!("{error:#}"),
        Failure::BrokenPipe => "the connection broke".to_owned(),
    })
}

fn look(source: &Source, wants_flows: &AtomicBool, news: &Sender<News>) {
    let Source { common, nic, interval } = source;
    let mut client = None;
    loop {
        let begin = Instant::now();
        let found = match &mut client {
            Some(client) => sample(client, nic.as_ref(), wants_flows.load(Ordering::Relaxed)),
            None => match self::client(common) {
                Ok(new) => sample(client.insert(new), nic.as_ref(), wants_flows.load(Ordering::Relaxed)),
                Err(failure) => Err(failure),
            },
        };
        let found = found.map_or_else(|failure| trouble(&failure), |sample| News::Sample(Box::new(sample)));
        if news.send(found).is_err() {
            return;
        }
        thread::sleep(interval.saturating_sub(begin.elapsed()));
    }
}

fn sample(client: &mut Client, nic: Option<&String>, wants_flows: bool) -> Result<Sample, Failure> {
    let status = client.call(&Call::get(Address::of(&["status"])))?;
    let stats = client.call(&Call::get(Address::of(&["stats"]).with_some("nic", nic)))?;
    let flows = Address::of(&["flows"]).with_some("nic", nic).with("limit", MOST_FLOWS);
    let flows = if wants_flows { Some(client.call(&Call::get(flows))?) } else { None };
    Ok(Sample { at: Instant::now(), status, stats, flows })
}

fn follow(source: &Source, news: &Sender<News>) {
    let Source { common, nic, interval: _ } = source;
    let address =
        Address::of(&["observe"]).with("follow", true).with("event", "denied").with("event", "lost");
    let address = address.with_some("nic", nic.as_ref());
    // What came before is read once: after a break, it would be counted twice.
    let mut since = Some(BEFORE);
    loop {
        let call = Call::get(address.clone().with_some("since", since));
        match client(common).and_then(|mut client| read(&mut client, &call, &mut since, news)) {
            Ok(Ended::Gone) => return,
            Ok(Ended::Agent) => {}
            Err(failure) => {
                if news.send(trouble(&failure)).is_err() {
                    return;
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Who has ended the records.
enum Ended {
    Agent,
    /// This process.
    Gone,
}

fn read(
    client: &mut Client,
    call: &Call,
    since: &mut Option<&'static str>,
    news: &Sender<News>,
) -> Result<Ended, Failure> {
    let mut lines = client.lines(call).map_err(|error: ClientError| Failure::from(error))?;
    loop {
        match lines.next(PAUSE)? {
            Next::Lines(lines) => {
                *since = None;
                let lines = lines.split(|byte| *byte == b'\n');
                let records = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
                if news.send(News::Denied(records)).is_err() {
                    return Ok(Ended::Gone);
                }
            }
            Next::Quiet => {}
            Next::End => return Ok(Ended::Agent),
            Next::Interrupted => return Ok(Ended::Gone),
        }
    }
}
