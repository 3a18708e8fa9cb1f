//! What comes from the agent and from signals: a thread that looks at counters and flows, one that follows denials, and one that waits
//! for signals. It must never look at what it reads. `mod.rs` starts it; it ends with the process.

use std::{
    collections::BTreeSet,
    io::{self, Write},
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
    client::{Address, Call, Next, http::Client, server::Server},
    failure::Failure,
    names::{Names, Wanted},
    render::Output,
    session::Session,
};

/// Flows that are read at a time: the agent takes a while for more, and nobody looks at them.
const FLOWS: u32 = 20_000;
/// Denials of the last while, to begin with.
const BEFORE: &str = "5m";
/// How long to wait for records, and before the agent is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the feed reads from the agent.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) common: Common,
    /// Only the NIC with this device.
    pub(super) device: Option<String>,
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
    /// The names of groups.
    pub(super) names: Arc<Names>,
}

/// What is read by a thread of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Counters,
    Denials,
}

/// What is new.
#[derive(Clone, Debug)]
pub(super) enum News {
    Sample(Box<Sample>),
    /// Records of what did not pass, and losses.
    Denied(Vec<Record>),
    /// This cannot be read from the agent at the moment, for this reason.
    Trouble(Part, String),
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
fn trouble(part: Part, failure: &Failure) -> News {
    let why = match failure {
        Failure::Input(error)
        | Failure::NotFound(error)
        | Failure::Guarded(error)
        | Failure::Other(error) => format!("{error:#}"),
        Failure::BrokenPipe | Failure::Different => "the connection broke".to_owned(),
    };
    News::Trouble(part, why)
}

fn look(source: &Source, wants_flows: &AtomicBool, news: &Sender<News>) {
    let mut sink = io::sink();
    let mut reader = match Reader::new(source, &mut sink) {
        Ok(reader) => reader,
        Err(failure) => {
            // The other end is gone only when the process ends anyway.
            let _ = news.send(trouble(Part::Counters, &failure));
            return;
        }
    };
    loop {
        let begin = Instant::now();
        let found = reader.sample(wants_flows.load(Ordering::Relaxed)).map_or_else(
            |failure| trouble(Part::Counters, &failure),
            |sample| News::Sample(Box::new(sample)),
        );
        if news.send(found).is_err() {
            return;
        }
        thread::sleep(source.interval.saturating_sub(begin.elapsed()));
    }
}

/// What reads counters and flows.
struct Reader<'a> {
    session: Session<'a>,
    device: Option<&'a String>,
    /// The groups whose names were read.
    groups: BTreeSet<String>,
    names: Arc<Names>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, sink: &'a mut dyn Write) -> Result<Self, Failure> {
        let mut output = Output::new(&source.common.output, sink)?;
        // No progress: it would be written on the screen.
        output.watched = false;
        let session = Session { client: client(&source.common)?, output };
        let device = source.device.as_ref();
        Ok(Self { session, device, groups: BTreeSet::new(), names: Arc::default() })
    }

    fn sample(&mut self, wants_flows: bool) -> Result<Sample, Failure> {
        let Self { session, device, .. } = self;
        let mut status: Status = session.get(Address::of(&["status"]))?;
        status.in_force.retain(|nic| device.is_none_or(|device| nic.device == *device));
        let stats = session.get(Address::of(&["stats"]).with_some("nic", *device))?;
        let flows = Address::of(&["flows"]).with_some("nic", *device).with("limit", FLOWS);
        let flows = if wants_flows { Some(session.get(flows)?) } else { None };
        let at = Instant::now();
        // Only a store has names apart from ids.
        if status.store.is_some() {
            self.learn_names(&status, &stats)?;
        }
        Ok(Sample { at, status, stats, flows, names: Arc::clone(&self.names) })
    }

    /// Reads the names of groups, if there are others than before.
    fn learn_names(&mut self, status: &Status, stats: &Stats) -> Result<(), Failure> {
        let of_nics = status.in_force.iter().flat_map(|nic| &nic.groups);
        let of_rules = stats.rules.iter().map(|rule| &rule.group);
        let of_members = stats.intra_group.iter().map(|row| &row.group);
        let groups: BTreeSet<String> = of_nics.chain(of_rules).chain(of_members).cloned().collect();
        if groups != self.groups {
            let mut wanted = Wanted::default();
            wanted.ids("groups", &groups);
            (self.names, self.groups) = (Arc::new(self.session.names(&wanted)?), groups);
        }
        Ok(())
    }
}

fn follow(source: &Source, news: &Sender<News>) {
    let Source { common, device, interval: _ } = source;
    let address =
        Address::of(&["observe"]).with("follow", true).with("event", "denied").with("event", "lost");
    let address = address.with_some("nic", device.as_ref());
    // What came before is read once: after a break, it would be counted twice.
    let mut since = Some(BEFORE);
    loop {
        let call = Call::get(address.clone().with_some("since", since));
        match client(common).and_then(|mut client| read(&mut client, &call, &mut since, news)) {
            Ok(Ended::Gone) => return,
            Ok(Ended::Agent) => {}
            Err(failure) => {
                if news.send(trouble(Part::Denials, &failure)).is_err() {
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
    let mut lines = client.lines(call)?;
    // Before the first of them, too, it is no trouble any more.
    if news.send(News::Denied(Vec::new())).is_err() {
        return Ok(Ended::Gone);
    }
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
