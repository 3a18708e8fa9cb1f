//! `sgd serve`: what is started in which order, and ended in which.
//!
//! ```text
//! store ─► agent (thread) ─► service (writer thread) ─► listeners     and back at the end
//! ```
//!
//! No response goes out before what is stored is in force; no operation is interrupted on the way out.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use nix::unistd::Group;
use sg_agent::{AgentThread, Instance};
use sg_api::{
    attempts::Attempts,
    ecs::{self, AccessKeys, Ecs, KnownKey, Nonces, Region, Secret},
    listen::{Access, Exposure, Limits, Listener},
    native::{self, Caller, Native},
    recording::Recording,
};
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
    recorded::{AccessPlace, Recorded, TrailArguments},
};

/// Where the vendor's clients are served, unless somebody says otherwise.
const ECS: &str = "127.0.0.1:8750";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Directory of the store; created if missing.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/sgd")]
    state: PathBuf,
    /// Socket of the native API. Default: /run/sgd/INSTANCE/api.sock.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Unix group whose members can use the socket, besides root and the user that sgd runs as.
    #[arg(long, value_name = "GROUP")]
    socket_group: Option<String>,
    /// Also serve the native API on this TCP address, to requests signed with an access key.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// TCP address of the ECS-compatible API; `none` disables it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ECS)]
    ecs: Place,
    /// Region that the ECS-compatible API lists first.
    #[arg(long, value_name = "REGION", default_value = "local")]
    region: String,
    /// Allow TCP addresses that other hosts can reach. Traffic is not encrypted: put a TLS proxy in front.
    #[arg(long)]
    expose: bool,
    /// Log each request to an API, with its operation, status, duration and caller: `log` adds lines to the log, FILE gets lines of
    /// JSON. Default: off.
    #[arg(long, value_name = "FILE|log")]
    access_log: Option<AccessPlace>,
    #[command(flatten)]
    trail: TrailArguments,
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
    let options = arguments.agent.options()?;
    let store = RedbStore::open(&arguments.state)?;
    let instance = options.instance.clone();
    let socket = arguments.socket.clone().unwrap_or_else(|| instance.socket());
    // Behind the store, whose directory it checks and makes.
    let recorded = Recorded::start(arguments.trail.start(&arguments.state)?, arguments.access_log.as_ref())?;
    let agent = AgentThread::spawn(options)?;
    let started = Service::start(Box::new(store), agent.control());
    let (service, writer) = match started {
        Ok(started) => started,
        Err(error) => {
            agent.stop("what is stored cannot be put in force")?;
            return Err(error.into());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(listen(arguments, &service, &instance, &socket, &recorded.recording()));
    // Handlers hold handles of the service: with the runtime they are gone, and the writer ends with the last.
    drop(runtime);
    drop(service);
    let _ = writer.join();
    // Behind the writer, whose last operations it still records.
    recorded.end();
    agent.stop(served.as_ref().copied().unwrap_or("it cannot listen"))?;
    served.map(drop)
}

/// Listens and serves until a signal; returns its name.
async fn listen(
    arguments: &Arguments,
    service: &Service,
    instance: &Instance,
    socket: &Path,
    recording: &Recording,
) -> Result<&'static str> {
    let attempts = Arc::<Attempts>::default();
    let native = |caller| {
        let (service, instance, attempts) = (service.clone(), instance.clone(), Arc::clone(&attempts));
        native::router(Native { service, instance, caller, attempts, recording: recording.clone() })
    };
    let (stop, stopped) = watch::channel(false);
    let mut faces = JoinSet::new();
    let mut face = |listener: Listener, router| {
        let mut stopped = stopped.clone();
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        faces.spawn(listener.serve(router, Limits::default(), stop));
    };
    let exposure =
        if arguments.expose { Exposure::Anywhere } else { Exposure::Loopback { flag: "--expose" } };

    let mut access = Access::default();
    if let Some(name) = &arguments.socket_group {
        let group =
            Group::from_name(name)?.with_context(|| format!("there is no group {name:?} on this host"))?;
        access.group = Some(group.gid.as_raw());
        if *socket == instance.socket() {
            instance.admit(group.gid.as_raw())?;
        }
    }
    face(Listener::unix(socket, access).await?, native(Caller::Socket));
    lines::print(&format!("listening api={}", socket.display()));
    if let Some(address) = arguments.listen {
        let listener = Listener::tcp(address, exposure, "--listen")?;
        let address = listener.address().unwrap_or(address);
        face(listener, native(Caller::AccessKey));
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
            clock: ecs::system_clock(),
            attempts: Arc::clone(&attempts),
            recording: recording.clone(),
            // What a process before this one has seen is not known.
            nonces: Mutex::new(Nonces::default().since(Timestamp::now())),
            regions: vec![region],
        };
        face(listener, ecs::router(ecs));
        lines::print(&format!("listening ecs=http://{address}"));
    }
    lines::print("serving");
    let signal = ended().await?;
    stop.send_replace(true);
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
