//! An agent from start to end. [`run`] takes its policies from a file and ends with a signal, [`serve`] takes them from a
//! [`Control`] and ends on its order; everything else is the same. Both hand out a reader of what is in force. It owns the order of things and must never do
//! the work of another file of this crate. Called by `sgd`.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use sg_kernel::bpffs;

use super::{
    document_trail::{self, Reading},
    publisher::InForceReader,
    session::{Policies, Session, Then},
    start::{AgentOptions, start},
};
use crate::{
    apply::report::{StatusEvent, emit},
    error::AgentError,
    host::pins::{Removed, teardown},
    input::{
        control::{Control, Orders, control},
        events::channel,
        policy_file::PolicyFile,
        sources,
    },
    state::{Cause, Filtered, Origin},
};

/// Keeps the policy of the document `policy` in force until SIGTERM or SIGINT; SIGHUP reads it again. `orders` settle changes that are
/// to be confirmed. `started` is called once
/// nothing refuses the document, right before it is put in force for the first time, which waits until the call returns.
///
/// # Errors
/// If it cannot start. Once it runs, errors are logged and retried.
pub async fn run(
    policy: &Path,
    options: &AgentOptions,
    orders: Orders,
    started: impl FnOnce(InForceReader),
) -> Result<(), AgentError> {
    let (sender, mut events) = channel();
    // The document first, because it can be checked without root. It is watched before it is read, as devices are before they are
    // scanned: a change in between is an event.
    let mut file = PolicyFile::watch(policy, sender.clone())?;
    let recorded = |file: &PolicyFile, error| {
        let reading = Reading { path: file.path(), owner: file.owner(), cause: Cause::Start };
        document_trail::refused(&options.trail, reading, &error);
        error
    };
    let document = file.load().map_err(|error| recorded(&file, error))?;
    let lock = options.instance.lock()?;
    sources::spawn_signals(&sender)?;
    sources::spawn(&sender)?;
    let origin = Origin::Document { path: file.path().to_owned(), owner: file.owner() };
    let session = Session::new(start(options)?, options.instance.name(), origin);
    let mut session = session.observed(options.traffic.as_ref()).measured(options.measure.as_ref());
    session.record(options.trail.clone(), options.history.clone());
    session.guarded(options.allow_unfiltered.clone(), options.instance.pins(), options.started_over);
    session.confirming(options.confirm.as_ref());
    let then = session.prepare_first(&file, document).map_err(|error| recorded(&file, error))?;
    started(session.reader());
    let (path, owner) = match &then {
        Then::GoneBack { path, .. } => (path.as_path(), None),
        _ => (file.path(), file.owner()),
    };
    let text = session.first_text(&file, &then);
    session.begin(path, owner, &text).map_err(|error| recorded(&file, error))?;
    session.after_first(&file, &then);
    let why = session.serve(&mut Policies::File { file, orders }, &mut events).await;
    drop(session);
    end(options, why)?;
    drop(lock);
    Ok(())
}

/// Executes `orders` until one says stop, or no handle is left. `started` is called when the agent is ready to serve, with a reader
/// of what is in force. Until the first policy is put in force, what an earlier agent left stays as it is.
///
/// # Errors
/// If it cannot start, or if something that it was to detach at its end stays. Once it runs, errors are responses to orders or
/// are logged, and are retried.
pub async fn serve(
    options: &AgentOptions,
    orders: Orders,
    started: impl FnOnce(InForceReader),
) -> Result<(), AgentError> {
    let (sender, mut events) = channel();
    let lock = options.instance.lock()?;
    sources::spawn(&sender)?;
    let session = Session::new(start(options)?, options.instance.name(), Origin::Store);
    let mut session = session.observed(options.traffic.as_ref()).measured(options.measure.as_ref());
    started(session.reader());
    let why = session.serve(&mut Policies::Control(orders), &mut events).await;
    drop(session);
    end(options, why)?;
    drop(lock);
    Ok(())
}

/// An agent on a thread of its own. If dropped, it runs on: one that serves as long as there is a [`Control`] of it.
#[derive(Debug)]
pub struct AgentThread {
    /// Gives it orders; one that follows a document takes only those that settle a change of it.
    control: Control,
    in_force: InForceReader,
    /// Lets an agent that follows a document begin.
    begin: Option<SyncSender<()>>,
    thread: thread::JoinHandle<Result<(), AgentError>>,
}

impl AgentThread {
    /// Starts an agent that executes orders. It handles no signals: that is up to the process.
    ///
    /// # Errors
    /// If it cannot start, see [`serve`].
    pub fn spawn(options: AgentOptions) -> Result<Self, AgentError> {
        let (control, orders) = control();
        let (started, has_started) = sync_channel(1);
        let told = move |in_force| {
            // `spawn` waits for it.
            let _ = started.send(in_force);
        };
        let thread = on_a_thread(move || async move { serve(&options, orders, told).await })?;
        let Ok(in_force) = has_started.recv() else { return Err(why_it_ended(thread)) };
        let control = control.with(Filtered::Agent(InForceReader::clone(&in_force)));
        Ok(Self { control, in_force, begin: None, thread })
    }

    /// Starts an agent that follows the document `policy`, and handles the signals of the process. It puts nothing in force before
    /// [`Self::begin`].
    ///
    /// # Errors
    /// If it cannot start, or refuses the document; see [`run`].
    pub fn follow(policy: PathBuf, options: AgentOptions) -> Result<Self, AgentError> {
        let (started, has_started) = sync_channel(1);
        let (begin, begins) = sync_channel(1);
        let (control, orders) = control();
        let told = move |in_force| {
            // `follow` waits for it; whoever drops the handle does not want to wait.
            let _ = started.send(in_force);
            let _ = begins.recv();
        };
        let thread = on_a_thread(move || async move { run(&policy, &options, orders, told).await })?;
        let Ok(in_force) = has_started.recv() else { return Err(why_it_ended(thread)) };
        Ok(Self { control, in_force, begin: Some(begin), thread })
    }

    /// Lets an agent that follows a document put it in force. Any other has begun already.
    pub fn begin(&mut self) {
        self.begin = None;
    }

    /// A handle for giving it orders. An agent that follows a document takes only those that settle a change of it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// A reader of what is in force. Its sender is gone once the agent has ended.
    #[must_use]
    pub fn in_force(&self) -> InForceReader {
        self.in_force.clone()
    }

    /// Whether it has ended; `stop` returns why.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Tells the agent to end and waits until it has.
    ///
    /// # Errors
    /// What failed while it ended.
    pub fn stop(self, why: &'static str) -> Result<(), AgentError> {
        self.control.stop(why);
        self.join()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// What failed while it ended.
    pub fn join(self) -> Result<(), AgentError> {
        let Self { control, in_force: _, begin, thread } = self;
        // The agent would wait for further orders from this handle, or for its word to begin.
        drop((control, begin));
        thread.join().unwrap_or(Err(AgentError::Stopped))
    }
}

/// The error of an agent that ended before it was ready.
fn why_it_ended(agent: thread::JoinHandle<Result<(), AgentError>>) -> AgentError {
    agent.join().unwrap_or(Err(AgentError::Stopped)).err().unwrap_or(AgentError::Stopped)
}

/// Runs an agent on a thread of its own. One thread: the agent does one thing at a time, and sleeps between two events.
fn on_a_thread<F: Future<Output = Result<(), AgentError>>>(
    agent: impl FnOnce() -> F + Send + 'static,
) -> Result<thread::JoinHandle<Result<(), AgentError>>, AgentError> {
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| AgentError::Thread { source })?;
        runtime.block_on(agent())
    };
    let thread = thread::Builder::new().name("agent".to_owned()).spawn(body);
    thread.map_err(|source| AgentError::Thread { source })
}

fn end(options: &AgentOptions, why: &str) -> Result<(), AgentError> {
    let name = options.instance.name();
    if !options.detach_on_exit {
        match bpffs::lasts().warning() {
            None => tracing::info!(
                "{why}: the agent ends, the filter stays in force; `sgctl detach --instance {name}` removes it"
            ),
            Some(warning) => {
                tracing::warn!("{why}: the agent ends, and the filter may end with it: {warning}");
            }
        }
        return Ok(());
    }
    if let Removed::Filter { devices } = teardown(&options.instance)? {
        for device in devices {
            emit(&StatusEvent::Detached { device });
        }
    }
    tracing::info!("{why}: the agent ends and so does the filter (--detach-on-exit)");
    Ok(())
}
