//! How much `sgd` logs. `RUST_LOG=debug` means sgd's own steps, one a line. What its libraries log at that level is a thousand
//! lines a start; it appears only if it is requested by name (`RUST_LOG=debug,aya=debug`).
//!
//! It must never let a line of the log cause another one: the log may be in the policy's directory, which is watched, and
//! `notify` would log a write there for each line. Called once, by `main.rs`.

use std::env;

use env_logger::Builder;
use log::LevelFilter;

/// Our own crates, by how their names begin: a bare level applies to them.
const OWN: [&str; 2] = ["sg_", "sgd"];
/// What libraries log unless they are named.
const LIBRARIES: LevelFilter = LevelFilter::Warn;
/// The crate that watches the directory that the log may be in. It also warns of every swap of a `ConfigMap`: a watched directory
/// was deleted.
const WATCHER: &str = "notify";
const OF_WATCHER: LevelFilter = LevelFilter::Error;

/// Starts logging to standard error.
pub(crate) fn init() {
    let said = env::var("RUST_LOG").unwrap_or_default();
    let style = env::var("RUST_LOG_STYLE").unwrap_or_default();
    Builder::new().parse_filters(&directives(&said)).parse_write_style(&style).init();
}

/// The directives of `RUST_LOG`, each with its target.
fn directives(said: &str) -> String {
    let (said, pattern) = said.split_once('/').map_or((said, None), |(said, pattern)| (said, Some(pattern)));
    let (mut level, mut named) = (LevelFilter::Info, Vec::new());
    for directive in said.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let target = directive.split('=').next().unwrap_or_default().trim();
        if let Ok(alone) = directive.parse() {
            level = alone;
        } else if target.split("::").next() != Some(WATCHER) {
            named.push(directive.to_owned());
        }
    }
    let mut all = vec![level.min(LIBRARIES).to_string(), format!("{WATCHER}={}", level.min(OF_WATCHER))];
    all.extend(OWN.map(|target| format!("{target}={level}")));
    all.append(&mut named);
    let all = all.join(",");
    pattern.map_or(all.clone(), |pattern| format!("{all}/{pattern}"))
}

#[cfg(test)]
mod tests {
    use log::{Level, Log as _, Metadata};

    use super::*;

    /// The most verbose level that `target` logs under this `RUST_LOG`.
    fn most(said: &str, target: &str) -> Option<Level> {
        let logger = Builder::new().parse_filters(&directives(said)).build();
        let says = |level: &Level| logger.enabled(&Metadata::builder().target(target).level(*level).build());
        Level::iter().filter(says).last()
    }

    #[test]
    fn a_level_alone_is_about_our_own_steps() {
        for (said, own, library) in [
            ("", Some(Level::Info), Some(Level::Warn)),
            ("debug", Some(Level::Debug), Some(Level::Warn)),
            ("TRACE", Some(Level::Trace), Some(Level::Warn)),
            ("error", Some(Level::Error), Some(Level::Error)),
            ("off", None, None),
            ("info,hyper=trace", Some(Level::Info), Some(Level::Warn)),
        ] {
            assert_eq!(most(said, "sg_agent::reconcile"), own, "{said:?}");
            assert_eq!(most(said, "sgd"), own, "{said:?}");
            assert_eq!(most(said, "aya::bpf"), library, "{said:?}");
        }
    }

    #[test]
    fn what_is_named_is_logged_as_it_is_named() {
        let said = "warn,aya=debug, sg_agent::plan=trace";
        assert_eq!(most(said, "aya::bpf"), Some(Level::Debug));
        assert_eq!(most(said, "sg_agent::plan"), Some(Level::Trace));
        assert_eq!(most(said, "sg_agent::run"), Some(Level::Warn));
    }

    #[test]
    fn the_watcher_never_logs_what_it_watches() {
        for said in ["trace", "notify=trace", "notify::inotify=trace,debug", "notify", "info,notify=debug"] {
            assert_eq!(most(said, "notify::inotify"), Some(Level::Error), "{said:?}");
        }
        assert_eq!(most("off", "notify::inotify"), None);
    }

    #[test]
    fn a_pattern_stays() {
        assert!(directives("debug/eth0").ends_with("/eth0"));
    }
}
