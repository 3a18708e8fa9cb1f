//! The start: continues what an earlier agent left, or replaces it and says so. It must never mix the two: maps of one layout
//! with a catalog of another would attribute one rule's packets to another. What is replaced stays in force until the new program
//! is in its place. Called once, by `run`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sg_audit::Trail;
use sg_common::abi;
use sg_guard::Connection;
use sg_kernel::{
    Attachment, Datapath, FlowOptions, KernelError, Limits, Options, RejectRate, TcxOrder, bpffs,
    pins::{self, Moved},
};

use super::{
    capabilities,
    confirmed::ConfirmChanges,
    document_history::DocumentHistory,
    measure::Measure,
    traffic::{Loaded, TrafficSender},
};
use crate::{
    apply::agent::Agent,
    error::AgentError,
    host::{
        catalog::{Catalog, CatalogError},
        instance::Instance,
        pins::{remove_pins, set_aside},
    },
    plan::leaving::AllowUnfiltered,
};

/// How often the program's own log is forwarded, if it is on.
const PROGRAM_LOG_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The instance, which determines files and pins.
    pub instance: Instance,
    /// How programs are attached to devices.
    pub attachment: Attachment,
    /// The position among other TCX programs; `None`: last on first attach, unchanged on restart.
    pub order: Option<TcxOrder>,
    /// Whether the filter ends with the agent.
    pub detach_on_exit: bool,
    /// Whether to refuse to start if the filter may not outlive the agent.
    pub require_pinned: bool,
    /// The program's own log level: 0 off, 1 error … 5 trace.
    pub program_log: u8,
    /// The maximum size of an image in words.
    pub budget_words: usize,
    /// The sizes of tables, when they are created.
    pub limits: Limits,
    /// Timeouts and quotas of flows.
    pub flows: FlowOptions,
    /// How many rejects are sent.
    pub rejects: RejectRate,
    /// Where what is read about traffic goes; `None`: nobody observes it.
    pub traffic: Option<TrafficSender>,
    /// The devices that documents may leave unfiltered.
    pub allow_unfiltered: AllowUnfiltered,
    /// The SSH connection of whoever starts the agent: a document that it begins with must not take it away.
    pub started_over: Option<Connection>,
    /// The audit trail, for documents.
    pub trail: Trail,
    /// Where documents that were in force are kept; `None`: nowhere.
    pub history: Option<DocumentHistory>,
    /// Who gets figures of the agent's work; `None`: nobody.
    pub measure: Option<Arc<dyn Measure>>,
    /// How changes of the document are confirmed; `None`: there is no document.
    pub confirm: Option<ConfirmChanges>,
}

#[derive(Debug)]
enum StartMode {
    /// Nothing is there.
    Fresh,
    /// Flows, counters, slots, numbers and generations continue, as far as `layout` has what this one has.
    Adopt {
        /// The catalog, converted to this version.
        catalog: Box<Catalog>,
        /// The layout of what is in force.
        layout: u32,
    },
    /// Something is there that cannot be continued.
    Takeover { why: String },
}

/// Examines the host and returns an agent that knows what is in force. The agent loads the program for its first policy; until
/// then nothing is created or removed.
pub(crate) fn start(options: &AgentOptions) -> Result<Agent<Datapath>, AgentError> {
    capabilities::check()?;
    let pinned = bpffs::lasts();
    match pinned.warning() {
        Some(why) if options.require_pinned => return Err(AgentError::NotPinned { why }),
        Some(warning) if !options.detach_on_exit => tracing::warn!("{warning}"),
        _ => {}
    }
    let beginning = beginning(&options.instance)?;
    let catalog = match &beginning {
        StartMode::Fresh | StartMode::Takeover { .. } => Catalog::new(options.limits, options.attachment),
        StartMode::Adopt { catalog, layout } => {
            let continued =
                if *layout == abi::VERSION { String::new() } else { format!(", of layout {layout}") };
            tracing::info!("adopting what an earlier agent (pid {}) left in force{continued}", catalog.pid);
            if catalog.limits != options.limits {
                let Limits { nics, flows, counters, denied } = catalog.limits;
                tracing::warn!(
                    "the tables keep the sizes they were made with ({nics} NICs, {flows} flows, {counters} \
                     counters, {denied} denied); `sgctl detach` first to change them"
                );
            }
            for Moved { device, now } in pins::moved(&options.instance.pins()) {
                tracing::warn!(
                    "device {device} was moved to another network namespace while no agent ran, where it is device \
                     {now}: the filter stayed on it, under the policy of what is device {now} here. It is taken off \
                     now; filter the device by an agent in its own namespace"
                );
            }
            // Hooks of the other kind are detached once those of this kind are attached.
            Catalog { attachment: options.attachment, ..Catalog::clone(catalog) }
        }
    };
    let catalog = Catalog { pinned, ..catalog };
    let (path, budget_words, options) = (options.instance.catalog(), options.budget_words, options.clone());
    let load = move |catalog: &Catalog| {
        let older = older(&options.instance, &beginning)?;
        load(&options, catalog, older)
    };
    Ok(Agent::new(Box::new(load), catalog, path, budget_words))
}

/// Makes room for the tables of this layout, and returns the pins to be replaced. May be called again if a later step failed.
fn older(instance: &Instance, beginning: &StartMode) -> Result<Option<Vec<PathBuf>>, AgentError> {
    let own = instance.pins();
    match beginning {
        StartMode::Fresh => return Ok(None),
        StartMode::Adopt { layout, .. } => {
            if *layout != abi::VERSION {
                // From a start that ended before it wrote its catalog, and so before it attached anything.
                remove_pins(&own, &[])?;
            }
        }
        StartMode::Takeover { why } => {
            tracing::warn!(
                "starting afresh: {why}. The old filter stays until the new one is in its place; flows and counts \
                 are lost"
            );
            for pins in instance.pinned().iter().filter(|path| pins::layout_of(path).is_some()) {
                // Filters of a clsact qdisc hold what they need, and a failed start left tables only.
                if pins::hold_links(pins) { set_aside(pins)? } else { remove_pins(pins, &[])? }
            }
        }
    }
    let older: Vec<PathBuf> = instance.pinned().into_iter().filter(|path| *path != own).collect();
    Ok(if older.is_empty() && matches!(beginning, StartMode::Adopt { .. }) { None } else { Some(older) })
}

/// Loads the program, adopting the tables of `catalog` if they exist.
fn load(
    options: &AgentOptions,
    catalog: &Catalog,
    older: Option<Vec<PathBuf>>,
) -> Result<Datapath, AgentError> {
    let mut datapath = Datapath::load(&Options {
        pins: Some(options.instance.pins()),
        older,
        attachment: catalog.attachment,
        order: options.order,
        log_level: options.program_log,
        limits: catalog.limits,
        flows: options.flows,
        rejects: options.rejects,
    })
    .map_err(|source| AgentError::Load { source })?;
    if options.program_log > 0 {
        spawn_program_log(&mut datapath).map_err(|source| AgentError::Load { source })?;
    }
    if let Some(traffic) = &options.traffic {
        // Observing is no reason not to filter.
        if let Err(error) = observe(traffic, &options.instance, &mut datapath) {
            tracing::error!("traffic is filtered, and not recorded: {error}");
        }
    }
    // From here on the pins have a catalog, whatever happens to the first policy.
    catalog.save(&options.instance.catalog())?;
    Ok(datapath)
}

/// Begins to read what an observer wants.
fn observe(traffic: &TrafficSender, instance: &Instance, datapath: &mut Datapath) -> Result<(), KernelError> {
    let mut unwritten = 0;
    if traffic.flow_interval.is_some() {
        match datapath.log_flows(&instance.reported_flows()) {
            Ok(found) => unwritten = found,
            // A flow log is no reason not to filter.
            Err(error) => tracing::error!("there is no flow log: {error}"),
        }
    }
    let (watcher, acknowledge) = (datapath.watcher(), datapath.acknowledge());
    let at = datapath.jiffies()?;
    let counters = pins::Counters::open(&instance.pins())?;
    traffic.loaded(Loaded { watcher, events: datapath.events()?, counters, acknowledge, unwritten, at });
    Ok(())
}

/// Starts forwarding the program's own log to the agent's. Called inside the runtime, unless `--bpf-log` is off; the spawned task
/// owns what it needs and ends with the process.
fn spawn_program_log(datapath: &mut Datapath) -> Result<(), KernelError> {
    let mut forward = datapath.logger()?;
    tokio::spawn(async move {
        let mut often = tokio::time::interval(PROGRAM_LOG_INTERVAL);
        loop {
            often.tick().await;
            forward();
        }
    });
    Ok(())
}

fn beginning(instance: &Instance) -> Result<StartMode, AgentError> {
    let pinned = instance.pinned();
    let newer = |path: &PathBuf| pins::set_aside_layout_of(path).filter(|&layout| layout > abi::VERSION);
    if let Some((path, found)) = pinned.iter().find_map(|path| Some((path, newer(path)?))) {
        return Err(AgentError::Newer { instance: instance.name().to_owned(), found, path: path.clone() });
    }
    let is_pinned = |layout| pinned.iter().any(|path| pins::layout_of(path) == Some(layout));
    let replace = |why| Ok(StartMode::Takeover { why });
    let found = match Catalog::load(&instance.catalog()) {
        Ok(catalog) => Ok((catalog, abi::VERSION)),
        Err(CatalogError::Version { found_abi, .. }) if found_abi < abi::VERSION => {
            Catalog::load_earlier(&instance.catalog())
        }
        Err(error) => Err(error),
    };
    match found {
        Err(CatalogError::Missing { .. }) if pinned.is_empty() => Ok(StartMode::Fresh),
        Err(error) => replace(error.to_string()),
        Ok((_, layout)) if !is_pinned(layout) => replace(format!("nothing of layout {layout} is pinned")),
        Ok((catalog, layout)) => Ok(StartMode::Adopt { catalog: Box::new(catalog), layout }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::samples::LIMITS;

    /// An instance in a directory of its own, with or without pins, with or without a catalog.
    fn instance(pins: bool, catalog: Option<&Catalog>) -> (tempfile::TempDir, Instance) {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", &dir.path().join("run"), &dir.path().join("bpf")).unwrap();
        drop(instance.lock().unwrap());
        if pins {
            fs::create_dir_all(instance.pins()).unwrap();
            fs::write(instance.pins().join("COUNTERS"), "").unwrap();
        }
        if let Some(catalog) = catalog {
            catalog.save(&instance.catalog()).unwrap();
        }
        (dir, instance)
    }

    fn begin(pins: bool, catalog: Option<&Catalog>) -> StartMode {
        let (_dir, instance) = instance(pins, catalog);
        beginning(&instance).unwrap()
    }

    /// Makes room, and returns the names of the pins and which of them are older.
    fn room(instance: &Instance) -> (Vec<String>, Option<Vec<PathBuf>>) {
        let older = older(instance, &beginning(instance).unwrap()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        (instance.pinned().iter().map(name).collect(), older)
    }

    fn pin(instance: &Instance, name: &str) -> PathBuf {
        let pins = instance.pins().with_file_name(name);
        fs::create_dir_all(&pins).unwrap();
        fs::write(pins.join("COUNTERS"), "").unwrap();
        pins
    }

    #[test]
    fn pins_and_their_catalog_are_adopted() {
        let catalog = Catalog::new(LIMITS, Attachment::Auto);
        let found = begin(true, Some(&catalog));
        assert!(matches!(found, StartMode::Adopt { layout: abi::VERSION, .. }));
        assert!(matches!(begin(false, None), StartMode::Fresh));
        let (_dir, instance) = instance(true, Some(&catalog));
        assert_eq!(room(&instance).1, None);
    }

    #[test]
    fn one_without_the_other_is_replaced_and_stays_until_then() {
        let catalog = Catalog::new(LIMITS, Attachment::Auto);
        assert!(matches!(begin(true, None), StartMode::Takeover { .. }));
        assert!(matches!(begin(false, Some(&catalog)), StartMode::Takeover { .. }));
        let (_dir, instance) = instance(true, None);
        fs::write(instance.pins().join("link_2_sg_ingress"), "").unwrap();
        let aside = format!("v{}-1", abi::VERSION);
        for _ in 0..2 {
            let expected = Some(vec![instance.pins().with_file_name(&aside)]);
            assert_eq!(room(&instance), (vec![aside.clone()], expected), "it may be done again");
            // From a failed start: tables, and nothing attached.
            pin(&instance, instance.pins().file_name().unwrap().to_str().unwrap());
        }
    }

    #[test]
    fn an_earlier_layout_is_continued_by_its_catalog() {
        let mut catalog = Catalog::new(LIMITS, Attachment::Auto);
        catalog.abi_version = 0;
        let (_dir, instance) = instance(true, Some(&catalog));
        let why = match beginning(&instance).unwrap() {
            StartMode::Takeover { why } => why,
            other => panic!("{other:?}"),
        };
        assert!(why.contains("layout 0"), "{why}");

        let old = pin(&instance, "v0");
        let StartMode::Adopt { catalog, layout: 0 } = beginning(&instance).unwrap() else { panic!() };
        assert_eq!(catalog.abi_version, abi::VERSION, "it is written as one of this version");
        assert_eq!(
            room(&instance),
            (vec!["v0".to_owned()], Some(vec![old.clone()])),
            "what was half made is gone"
        );

        // A start that ended after its catalog and before the last of the older pins was removed.
        catalog.save(&instance.catalog()).unwrap();
        let own = pin(&instance, instance.pins().file_name().unwrap().to_str().unwrap());
        assert!(matches!(beginning(&instance).unwrap(), StartMode::Adopt { layout: abi::VERSION, .. }));
        assert_eq!(room(&instance).1, Some(vec![old]));
        assert!(own.exists());
    }

    #[test]
    fn a_later_layout_is_refused_and_stays() {
        for name in ["v999", "v999-1"] {
            let (_dir, instance) = instance(true, Some(&Catalog::new(LIMITS, Attachment::Auto)));
            let later = pin(&instance, name);
            let refused = beginning(&instance).unwrap_err();
            let said = refused.to_string();
            assert!(matches!(refused, AgentError::Newer { found: 999, .. }), "{said}");
            assert!(said.contains("999") && said.contains(&abi::VERSION.to_string()), "{said}");
            assert!(later.exists());
        }
    }
}
