//! `sgd run`: an agent that follows a document, and beside it the part of the native API that shows what is in force.
//!
//! ```text
//! agent (thread): document, devices, signals ─► what is in force ─► listeners, last hits (thread)    end with the agent
//! ```
//!
//! Enforcement comes first: without a socket, or without a place for last hits, the policy is in force all the same.

use std::{future::pending, path::PathBuf, sync::Arc};

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use sg_agent::{AgentThread, AllowUnfiltered, ConfirmChanges, DocumentHistory, Measure};
use sg_api::{
    listen::{Access, Exposure, Limits, ListenError},
    native::{self, Caller, Documents, Native},
};
use sg_host::ssh_session;
use sg_inspect::last_hits::LastHits;
use sg_metrics::Measured;
use sg_model::confirm_seconds;

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
    /// Let the document leave out devices that exist and are filtered: these, or without a value all. Otherwise such a document
    /// is refused, unless it names them under `allow_unfiltered`.
    #[arg(
        long,
        value_name = "DEVICE,...",
        num_args = 0..,
        require_equals = true,
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    allow_unfiltered: Option<Vec<String>>,
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

impl Arguments {
    fn allow_unfiltered(&self) -> AllowUnfiltered {
        match &self.allow_unfiltered {
            None => AllowUnfiltered::default(),
            Some(devices) if devices.is_empty() => AllowUnfiltered::Any,
            Some(devices) => AllowUnfiltered::Named(devices.iter().cloned().collect()),
        }
    }
}

/// Runs the agent until a signal.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.agent.options()?;
    options.allow_unfiltered = arguments.allow_unfiltered();
    options.started_over = ssh_session::connection().and_then(|own| own.parse().ok());
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
    options.confirm = Some(ConfirmChanges { seconds: arguments.confirm_changes, directory: state.clone() });
    let recorded = Recorded::start(&arguments.record, &state)?;
    options.trail = recorded.recording().trail;
    let kept = DocumentHistory::start(&state);
    let kept =
        kept.inspect_err(|error| tracing::error!("no documents are kept for the history: {error}")).ok();
    let (history, writer) = kept.unzip();
    options.history.clone_from(&history);
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
    let native = Native {
        service: None,
        instance: instance.clone(),
        region: sg_service::DEFAULT_REGION.into(),
        hits,
        observed,
        places: Arc::default(),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: Some(agent.control()),
        documents: history.clone().map(Documents::of),
        recording,
    };
    runtime.block_on(serve(arguments, access, native, &mut agent));
    drop(runtime);
    let ended = agent.join();
    traffic.join();
    recorded.end();
    if let (Some(history), Some(writer)) = (history, writer) {
        history.end();
        let _ = writer.join();
    }
    let _ = observer.join();
    Ok(ended?)
}

/// Serves what is in force until the agent ends. The socket is there before the agent says that it is ready.
async fn serve(arguments: &Arguments, access: Access, native: Native, agent: &mut AgentThread) {
    let listening = arguments.socket.listen(&native.instance, access).await;
    let mut in_force = agent.in_force();
    agent.begin();
    let ended = async move { while in_force.changed().await.is_ok() {} };
    match listening {
        Ok(Some((listener, path))) => {
            tracing::info!("what is in force is served at {}", path.display());
            listener.serve(native::router(native), Limits::default(), ended).await;
        }
        Ok(None) => ended.await,
        Err(error) => {
            tracing::error!("what is in force is enforced, and not served: {error:#}");
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn devices_that_may_be_left_out_are_named_or_all() {
        let read = |more: &[&str]| {
            let all = ["sgd", "--policy", "p.yaml"].iter().chain(more);
            Command::try_parse_from(all).map(|command| command.arguments.allow_unfiltered())
        };
        let named = |devices: &[&str]| {
            AllowUnfiltered::Named(devices.iter().map(|&device| device.to_owned()).collect())
        };
        assert_eq!(read(&[]).unwrap(), named(&[]));
        assert_eq!(read(&["--allow-unfiltered"]).unwrap(), AllowUnfiltered::Any);
        assert_eq!(read(&["--allow-unfiltered=tap0,eth1"]).unwrap(), named(&["eth1", "tap0"]));
        assert!(read(&["--allow-unfiltered="]).is_err() && read(&["--allow-unfiltered", "eth1"]).is_err());
    }
}
