//! `sgd serve`: what is started in which order, and ended in which.
//!
//! ```text
//! store ─► agent (thread) ─► service (writer thread) ─► listeners     and back at the end
//! ```
//!
//! No response goes out before what is stored is in force; no operation is interrupted on the way out.

use std::{
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use jiff::Timestamp;
use sg_agent::{AgentThread, Measure};
use sg_api::{
    clock::system_clock,
    ecs::{self, Ecs, Nonces, Region},
    huawei::{self, Huawei, Tokens},
    keys::{AccessKeys, KnownKey, Secret},
    listen::{Exposure, Limits, Listener},
    native::{self, Caller, Native},
};
use sg_inspect::last_hits::LastHits;
use sg_metrics::{Measured, Sources};
use sg_records::AccessKeyId;
use sg_service::Service;
use sg_store::RedbStore;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use super::{
    AgentArguments, lines,
    observe::StoredLabels,
    recorded::{RecordArguments, Recorded},
    socket::SocketArguments,
};

/// Where the vendor's clients are served, unless somebody says otherwise.
const ECS: &str = "127.0.0.1:8750";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Directory of the store, of the audit trail, and of the last hits of rules; created if missing.
    #[arg(long, value_name = "DIR", default_value = sg_audit::STATE)]
    state: PathBuf,
    #[command(flatten)]
    socket: SocketArguments,
    /// Also serve the native API on this TCP address, to requests signed with an access key.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// TCP address of the ECS-compatible API; `none` disables it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ECS)]
    ecs: Place,
    /// Also serve the Huawei-Cloud-compatible API on this TCP address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    huawei: Option<SocketAddr>,
    /// Region that APIs list first, whose project new access keys name, and which the Huawei-Cloud-compatible API takes if a
    /// request names no project.
    #[arg(long, value_name = "REGION", default_value = "local")]
    region: String,
    /// Allow TCP addresses that other hosts can reach. Traffic is not encrypted: put a TLS proxy in front.
    #[arg(long)]
    expose: bool,
    #[command(flatten)]
    record: RecordArguments,
    #[command(flatten)]
    pub(super) agent: AgentArguments,
}

/// An address, or nowhere.
#[derive(Clone, Copy, Debug)]
struct Place(Option<SocketAddr>);

impl FromStr for Place {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

/// The access keys of the service.
struct StoredAccessKeys(Service);

impl AccessKeys for StoredAccessKeys {
    fn find(&self, id: &str) -> Option<KnownKey> {
        let state = self.0.snapshot();
        let key = state.access_key(&AccessKeyId::from(id))?;
        Some(KnownKey { secret: Secret::new(key.secret.as_bytes()), role: key.role })
    }
}

/// Serves until a signal.
pub(super) fn serve(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.agent.options()?;
    let metrics = &arguments.agent.metrics;
    let measured = metrics.are_wanted().then(Measured::default);
    options.measure = measured.clone().map(|measured| Arc::new(measured) as Arc<dyn Measure>);
    let prepared = arguments.agent.observe.prepare(&mut options, metrics.are_wanted())?;
    let store = RedbStore::open(&arguments.state)?;
    let instance = options.instance.clone();
    // Behind the store, whose directory it checks and makes.
    let recorded = Recorded::start(&arguments.record, &arguments.state)?;
    options.trail = recorded.recording().trail;
    let agent = AgentThread::spawn(options)?;
    let labels = StoredLabels::default();
    let traffic = prepared.start(agent.in_force(), Some(labels.clone()))?;
    let file = LastHits::file_in(&arguments.state, &instance);
    let (hits, observer) = LastHits::observe(&instance, agent.in_force(), file)?;
    let started = Service::start(Box::new(store), agent.control());
    let (service, writer) = match started {
        Ok(started) => started,
        Err(error) => {
            agent.stop("what is stored cannot be put in force")?;
            return Err(error.into());
        }
    };
    labels.lend(Some(service.clone()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (observed, recording) = (traffic.observed(), recorded.measured(measured.as_ref()));
    let sources = measured.map(|measured| metrics.sources(&hits, &traffic, &measured, Some(labels.clone())));
    let native = Native {
        service: Some(service.clone()),
        instance,
        region: arguments.region.as_str().into(),
        hits,
        observed,
        places: Arc::default(),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: Some(agent.control()),
        documents: None,
        recording,
    };
    let listened = listen(arguments, &service, native, sources);
    let served = runtime.block_on(listened);
    // Handlers hold handles of the service: with the runtime they are gone, and the writer ends with the last.
    drop(runtime);
    drop(service);
    labels.lend(None);
    let _ = writer.join();
    // Behind the writer, whose last operations it still records.
    recorded.end();
    let ended = agent.stop(served.as_ref().copied().unwrap_or("it cannot listen"));
    let _ = observer.join();
    traffic.join();
    ended?;
    served.map(drop)
}

/// Listens and serves until a signal; returns its name.
async fn listen(
    arguments: &Arguments,
    service: &Service,
    native: Native,
    sources: Option<Sources>,
) -> Result<&'static str> {
    let face_of = |caller| native::router(Native { caller, ..native.clone() });
    let (stop, stopped) = watch::channel(false);
    let mut faces = JoinSet::new();
    let mut limited = |listener: Listener, router, limits| {
        let mut stopped = stopped.clone();
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        faces.spawn(listener.serve(router, limits, stop));
    };
    let exposure =
        if arguments.expose { Exposure::Anywhere } else { Exposure::Loopback { flag: "--expose" } };

    if let (Some(listener), Some(sources)) = (arguments.agent.metrics.listen(exposure)?, sources) {
        limited(listener, sg_metrics::router(sources), sg_metrics::limits());
    }
    let mut face = |listener, router| limited(listener, router, Limits::default());
    if let Some((listener, path)) =
        arguments.socket.listen(&native.instance, arguments.socket.access()?).await?
    {
        face(listener, face_of(Caller::Socket));
        lines::print(&format!("listening api={}", path.display()));
    }
    if let Some(address) = arguments.listen {
        let listener = Listener::tcp(address, exposure, "--listen")?;
        let address = listener.address().unwrap_or(address);
        face(listener, face_of(Caller::AccessKey));
        lines::print(&format!("listening api=http://{address}"));
    }
    if let Some(address) = arguments.ecs.0 {
        let listener = Listener::tcp(address, exposure, "--ecs (`--ecs none`: nowhere)")?;
        let address = listener.address().unwrap_or(address);
        let region = Region {
            id: arguments.region.clone(),
            name: arguments.region.clone(),
            endpoint: address.to_string(),
        };
        let ecs = Ecs {
            service: service.clone(),
            keys: Arc::new(StoredAccessKeys(service.clone())),
            clock: system_clock(),
            attempts: Arc::clone(&native.attempts),
            recording: native.recording.clone(),
            // What a process before this one has seen is not known.
            nonces: Mutex::new(Nonces::default().since(Timestamp::now())),
            reports: Mutex::default(),
            regions: vec![region],
        };
        face(listener, ecs::router(ecs));
        lines::print(&format!("listening ecs=http://{address}"));
    }
    if let Some(address) = arguments.huawei {
        let listener = Listener::tcp(address, exposure, "--huawei")?;
        let address = listener.address().unwrap_or(address);
        let huawei = Huawei {
            service: service.clone(),
            keys: Arc::new(StoredAccessKeys(service.clone())),
            clock: system_clock(),
            attempts: Arc::clone(&native.attempts),
            recording: native.recording.clone(),
            tokens: Tokens::default(),
            region: arguments.region.clone(),
        };
        face(listener, huawei::router(huawei));
        lines::print(&format!("listening huawei=http://{address}"));
    }
    lines::print("serving");
    let signal = ended().await?;
    stop.send_replace(true);
    native.observed.end();
    while faces.join_next().await.is_some() {}
    Ok(signal)
}

/// Waits for a signal that says stop.
async fn ended() -> Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
