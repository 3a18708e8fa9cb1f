//! An agent from start to end. [`run`] takes its policies from a file and ends with a signal, [`serve`] takes them from a
//! [`Control`] and ends on its order; everything else is the same. It owns the order of things and must never do
//! the work of another file of this crate. Called by `sgd`.

use std::{path::Path, sync::mpsc::sync_channel, thread};

use sg_kernel::bpffs;

use super::{
    session::{Policies, Session},
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
};

/// Keeps the policy of the document `policy` in force until SIGTERM or SIGINT; SIGHUP reads it again.
///
/// # Errors
/// If it cannot start. Once it runs, errors are logged and retried.
pub async fn run(policy: &Path, options: &AgentOptions) -> Result<(), AgentError> {
    let (sender, mut events) = channel();
    // The document first, because it can be checked without root. It is watched before it is read, as devices are before they are
    // scanned: a change in between is an event.
    let mut file = PolicyFile::watch(policy, sender.clone())?;
    let policy = file.load()?;
    let lock = options.instance.lock()?;
    sources::spawn_signals(&sender)?;
    sources::spawn(&sender)?;
    let mut session = Session::new(start(options)?, options.instance.name());
    session.prepare(policy)?;
    session.begin()?;
    let why = session.serve(&mut Policies::File(file), &mut events).await;
    drop(session);
    end(options, why)?;
    drop(lock);
    Ok(())
}

/// Executes `orders` until one says stop, or no handle is left. `started` is called when the agent is ready to serve. Until the
/// first policy is put in force, what an earlier agent left stays as it is.
///
/// # Errors
/// If it cannot start, or if something that it was to detach at its end stays. Once it runs, errors are responses to orders or
/// are logged, and are retried.
pub async fn serve(options: &AgentOptions, orders: Orders, started: impl FnOnce()) -> Result<(), AgentError> {
    let (sender, mut events) = channel();
    let lock = options.instance.lock()?;
    sources::spawn(&sender)?;
    let mut session = Session::new(start(options)?, options.instance.name());
    started();
    let why = session.serve(&mut Policies::Control(orders), &mut events).await;
    drop(session);
    end(options, why)?;
    drop(lock);
    Ok(())
}

/// An agent that serves on a thread of its own. If dropped, it runs on as long as there is a [`Control`] of it.
#[derive(Debug)]
pub struct AgentThread {
    control: Control,
    thread: thread::JoinHandle<Result<(), AgentError>>,
}

impl AgentThread {
    /// Starts the agent. It handles no signals: that is up to the process.
    ///
    /// # Errors
    /// If it cannot start, see [`serve`].
    pub fn spawn(options: AgentOptions) -> Result<Self, AgentError> {
        let (control, orders) = control();
        let (started, has_started) = sync_channel::<()>(1);
        let body = move || {
            // One thread: the agent does one thing at a time, and sleeps between two events.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| AgentError::Thread { source })?;
            let told = move || {
                // `spawn` waits for it.
                let _ = started.send(());
            };
            runtime.block_on(serve(&options, orders, told))
        };
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(body);
        let agent = Self { control, thread: thread.map_err(|source| AgentError::Thread { source })? };
        match has_started.recv() {
            Ok(()) => Ok(agent),
            // The agent ended before it was ready, and reports why.
            Err(_) => Err(agent.join().err().unwrap_or(AgentError::Stopped)),
        }
    }

    /// A handle for giving it orders.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
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

    fn join(self) -> Result<(), AgentError> {
        let Self { control, thread } = self;
        // The agent would wait for further orders from this handle.
        drop(control);
        thread.join().unwrap_or(Err(AgentError::Stopped))
    }
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
