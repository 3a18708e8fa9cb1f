//! `sgd run`: an agent that follows a document, and beside it the part of the native API that shows what is in force.
//!
//! ```text
//! agent (thread): document, devices, signals ─► what is in force ─► listeners, last hits (thread)    end with the agent
//! ```
//!
//! Enforcement comes first: without a socket, or without a place for last hits, the policy is in force all the same.

use std::{future::pending, path::PathBuf, sync::Arc};

use anyhow::Result;
use sg_agent::{AgentThread, ConfirmChanges, Instance, Measure};
use sg_api::{
    listen::{Access, Exposure, Limits, ListenError},
    native::{self, Caller, Native},
    recording::Recording,
};
use sg_inspect::last_hits::LastHits;
use sg_metrics::Measured;
use sg_model::confirm_seconds;
use sg_observe::history::Observed;

use super::{
    AgentArguments,
    recorded::{RecordArguments, Recorded},
    socket::SocketArguments,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Policy document; reapplied whenever it changes.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(super) policy: PathBuf,
    /// Directory for the audit trail and the last hits of rules; created if missing. Default: /var/lib/sgd/INSTANCE.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Take each change of the document back after this time, such as `60s` or `10m`, unless `sgctl confirm` keeps it. 5 seconds to a
    /// day. The document that was confirmed last is kept in --state.
    #[arg(long, value_name = "TIME", value_parser = confirm_seconds)]
    confirm_changes: Option<u32>,
    #[command(flatten)]
    record: RecordArguments,
    #[command(flatten)]
    socket: SocketArguments,
    /// Allow a --metrics address that other hosts can reach. Traffic is not encrypted: put a TLS proxy in front.
    #[arg(long, requires = "metrics")]
    expose: bool,
    #[command(flatten)]
    pub(super) agent: AgentArguments,
}

/// Runs the agent until a signal.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.agent.options()?;
    let metrics = &arguments.agent.metrics;
    let measured = metrics.are_wanted().then(Measured::default);
    options.measure = measured.clone().map(|measured| Arc::new(measured) as Arc<dyn Measure>);
    // One thread: requests are few, and what takes time is done aside.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exposure =
        if arguments.expose { Exposure::Anywhere } else { Exposure::Loopback { flag: "--expose" } };
    let listener = {
        let _inside = runtime.enter();
        match metrics.listen(exposure) {
            Err(error @ ListenError::NotLoopback { .. }) => return Err(error.into()),
            listener => listener,
        }
    };
    let prepared = arguments.agent.observe.prepare(&mut options, metrics.are_wanted())?;
    let access = arguments.socket.access()?;
    let instance = options.instance.clone();
    let state = arguments.state.clone().unwrap_or_else(|| sg_audit::default_directory(instance.name()));
    options.confirm =
        arguments.confirm_changes.map(|seconds| ConfirmChanges { seconds, directory: state.clone() });
    let recorded = Recorded::start(&arguments.record, &state)?;
    options.trail = recorded.recording().trail;
    let mut agent = match AgentThread::follow(arguments.policy.clone(), options) {
        Ok(agent) => agent,
        Err(error) => {
            // That the document was refused is recorded.
            recorded.end();
            return Err(error.into());
        }
    };
    let traffic = prepared.start(agent.in_force(), None)?;
    let file = LastHits::file_in(&state, &instance);
    let (hits, observer) = LastHits::observe(&instance, agent.in_force(), file)?;
    match (listener, &measured) {
        (Ok(Some(listener)), Some(measured)) => {
            let sources = metrics.sources(&hits, &traffic, measured, None);
            // Until the runtime ends.
            let served = listener.serve(sg_metrics::router(sources), sg_metrics::limits(), pending());
            runtime.spawn(served);
        }
        (Err(error), _) => tracing::error!("what is in force is enforced, and there are no metrics: {error}"),
        (Ok(_), _) => {}
    }
    let (recording, observed) = (recorded.measured(measured.as_ref()), traffic.observed());
    runtime.block_on(serve(arguments, &instance, access, hits, observed, recording, &mut agent));
    drop(runtime);
    let ended = agent.join();
    traffic.join();
    recorded.end();
    let _ = observer.join();
    Ok(ended?)
}

/// Serves what is in force until the agent ends. The socket is there before the agent says that it is ready.
async fn serve(
    arguments: &Arguments,
    instance: &Instance,
    access: Access,
    hits: LastHits,
    observed: Arc<Observed>,
    recording: Recording,
    agent: &mut AgentThread,
) {
    let listening = arguments.socket.listen(instance, access).await;
    let mut in_force = agent.in_force();
    agent.begin();
    let ended = async move { while in_force.changed().await.is_ok() {} };
    match listening {
        Ok(Some((listener, path))) => {
            tracing::info!("what is in force is served at {}", path.display());
            let native = Native {
                service: None,
                instance: instance.clone(),
                hits,
                observed,
                places: Arc::default(),
                caller: Caller::Socket,
                attempts: Arc::default(),
                control: Some(agent.control()),
                recording,
            };
            listener.serve(native::router(native), Limits::default(), ended).await;
        }
        Ok(None) => ended.await,
        Err(error) => {
            tracing::error!("what is in force is enforced, and not served: {error:#}");
            ended.await;
        }
    }
}
