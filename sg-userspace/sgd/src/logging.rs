//! What `sgd` logs, and in which form. `RUST_LOG=debug` means sgd's own steps, one a line. What its libraries log at that level
//! is a thousand lines a start; it appears only if it is requested by name (`RUST_LOG=debug,aya=debug`).
//!
//! It must never let a line of the log cause another one: the log may be in the policy's directory, which is watched, and
//! `notify` would log a write there for each line. Called once, by `main.rs`.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry,
    util::SubscriberInitExt as _,
};

use crate::journal::{self, Prioritized};

/// How the names of our own crates begin: a bare level applies to them.
const ROOMS: &str = "sg_";
/// The crate of the program.
const DAEMON: &str = "sgd";
/// The lines of the access log, if they go here.
const ACCESS: &str = "access";
/// What libraries log unless they are named.
const LIBRARIES: LevelFilter = LevelFilter::WARN;
/// The crate that watches the directory that the log may be in. It also warns of every swap of a `ConfigMap`: a watched directory
/// was deleted.
const WATCHER: &str = "notify";
const OF_WATCHER: LevelFilter = LevelFilter::ERROR;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}

/// How much sgd logs of its own steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Starts logging to standard error. `level` wins over a bare level in `RUST_LOG`. Fails if `RUST_LOG` cannot be read, and says
/// how to write it.
pub(crate) fn init(format: Format, level: Option<Level>) -> Result<(), String> {
    let directives = env::var_os("RUST_LOG").unwrap_or_default();
    let filter = filter(&directives.to_string_lossy(), level.map(LevelFilter::from))?;
    // What libraries log through the crate `log` becomes events of `tracing` here.
    let started = if journal::is_journal() {
        subscriber(format, filter, Place::Journal, Prioritized(io::stderr)).try_init()
    } else {
        let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        subscriber(format, filter, Place::Stream { colour }, io::stderr).try_init()
    };
    started.map_err(|error| error.to_string())
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// To the journal, which has times.
    Journal,
    /// Anywhere else.
    Stream { colour: bool },
}

fn subscriber(
    format: Format,
    filter: Targets,
    place: Place,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> impl tracing::Subscriber + Send + Sync {
    let layer = fmt::layer().with_writer(writer);
    registry().with(filter).with(match (format, place) {
        (Format::Text, Place::Journal) => layer.with_ansi(false).without_time().boxed(),
        (Format::Text, Place::Stream { colour }) => layer.with_ansi(colour).boxed(),
        (Format::Json, _) => layer.json().flatten_event(true).with_current_span(false).boxed(),
    })
}

/// The filter that `RUST_LOG` asks for: levels, alone or of a target. A level in `chosen` takes the place of one that is alone.
fn filter(directives: &str, chosen: Option<LevelFilter>) -> Result<Targets, String> {
    let (mut level, mut named) = (LevelFilter::INFO, Vec::<(&str, LevelFilter)>::new());
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (target, wanted) = directive.split_once('=').unwrap_or((directive, "trace"));
        if let Ok(alone) = directive.parse() {
            level = alone;
        } else if let (true, Ok(wanted)) = (is_target(target.trim()), wanted.trim().parse()) {
            named.push((target.trim(), wanted));
        } else {
            return Err(format!(
                "RUST_LOG has {directive:?}: write LEVEL or TARGET=LEVEL, with commas between several; levels are off, \
                 error, warn, info, debug, trace"
            ));
        }
    }
    let level = chosen.unwrap_or(level);
    let named = named.into_iter().filter(|(target, _)| target.split(':').next() != Some(WATCHER));
    // The last words of sgd come from its own module, and say why it ended.
    let named = named.map(|(target, level)| {
        (target, if target == DAEMON { level.max(LevelFilter::ERROR) } else { level })
    });
    Ok(Targets::new()
        .with_default(level.min(LIBRARIES))
        .with_target(WATCHER, level.min(OF_WATCHER))
        .with_target(ROOMS, level)
        .with_target(ACCESS, level)
        .with_target(DAEMON, level.max(LevelFilter::ERROR))
        .with_targets(named))
}

/// Whether it may be the path of a module.
fn is_target(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':'))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Seek as _},
        sync::Arc,
    };

    use super::*;
    use serde_json::{Value, json};

    /// The most verbose level that `target` logs under this `RUST_LOG`.
    fn most(directives: &str, target: &str) -> Option<tracing::Level> {
        let levels = [
            tracing::Level::TRACE,
            tracing::Level::DEBUG,
            tracing::Level::INFO,
            tracing::Level::WARN,
            tracing::Level::ERROR,
        ];
        let filter = filter(directives, None).unwrap();
        levels.into_iter().find(|level| filter.would_enable(target, level))
    }

    #[test]
    fn a_level_alone_is_about_our_own_steps() {
        for (directives, own, library) in [
            ("", Some(tracing::Level::INFO), Some(tracing::Level::WARN)),
            ("debug", Some(tracing::Level::DEBUG), Some(tracing::Level::WARN)),
            ("TRACE", Some(tracing::Level::TRACE), Some(tracing::Level::WARN)),
            ("error", Some(tracing::Level::ERROR), Some(tracing::Level::ERROR)),
            ("off", None, None),
            ("info,hyper=trace", Some(tracing::Level::INFO), Some(tracing::Level::WARN)),
        ] {
            assert_eq!(most(directives, "sg_agent::reconcile"), own, "{directives:?}");
            assert_eq!(most(directives, "sgd"), own.or(Some(tracing::Level::ERROR)), "{directives:?}");
            assert_eq!(most(directives, "aya::bpf"), library, "{directives:?}");
        }
    }

    #[test]
    fn a_level_of_the_command_line_wins_over_one_that_is_alone() {
        let filter = filter("trace,aya=debug", Some(Level::Warn.into())).unwrap();
        for (target, enabled, disabled) in [
            ("sg_agent::plan", tracing::Level::WARN, tracing::Level::INFO),
            ("access", tracing::Level::WARN, tracing::Level::INFO),
            ("aya::bpf", tracing::Level::DEBUG, tracing::Level::TRACE),
            ("hyper::proto", tracing::Level::WARN, tracing::Level::INFO),
        ] {
            assert!(
                filter.would_enable(target, &enabled) && !filter.would_enable(target, &disabled),
                "{target}"
            );
        }
        assert_eq!(most("", "access"), Some(tracing::Level::INFO));
    }

    #[test]
    fn in_the_journal_each_line_has_a_priority_and_no_time() {
        for format in [Format::Text, Format::Json] {
            let mut file = tempfile::tempfile().unwrap();
            let writer: Arc<File> = Arc::new(file.try_clone().unwrap());
            let subscriber =
                subscriber(format, filter("debug", None).unwrap(), Place::Journal, Prioritized(writer));
            tracing::subscriber::with_default(subscriber, two);
            file.rewind().unwrap();
            let mut written = String::new();
            file.read_to_string(&mut written).unwrap();
            let priorities: Vec<&str> = written.lines().map(|line| &line[..3]).collect();
            let wanted: &[&str] =
                if format == Format::Text { &["<4>", "<4>", "<7>"] } else { &["<4>", "<7>"] };
            assert_eq!(priorities, wanted, "{written}");
            if format == Format::Text {
                assert!(
                    written.starts_with("<4> WARN request{id=\"A\"}: sg_api::attempts: two\n"),
                    "{written}"
                );
            }
        }
    }

    #[test]
    fn what_is_named_is_logged_as_it_is_named() {
        let directives = "warn,aya=debug, sg_agent::plan=trace,redb";
        assert_eq!(most(directives, "aya::bpf"), Some(tracing::Level::DEBUG));
        assert_eq!(most(directives, "sg_agent::plan"), Some(tracing::Level::TRACE));
        assert_eq!(most(directives, "sg_agent::run"), Some(tracing::Level::WARN));
        assert_eq!(most(directives, "redb"), Some(tracing::Level::TRACE));
    }

    #[test]
    fn why_sgd_ended_is_always_logged() {
        for directives in ["off", "sgd=off", "debug,sgd=off", "off,sgd=off"] {
            assert_eq!(most(directives, "sgd"), Some(tracing::Level::ERROR), "{directives:?}");
        }
    }

    #[test]
    fn the_watcher_never_logs_what_it_watches() {
        for directives in [
            "trace",
            "notify=trace",
            "notify::inotify=trace,debug",
            "notify",
            "info,notify=debug",
            "notify:=trace",
        ] {
            assert_eq!(most(directives, "notify::inotify"), Some(tracing::Level::ERROR), "{directives:?}");
        }
        assert_eq!(most("off", "notify::inotify"), None);
    }

    #[test]
    fn what_is_no_directive_is_refused_by_name() {
        for (directives, named) in [
            ("debug/eth0", "debug/eth0"),
            ("info,aya=loud", "aya=loud"),
            ("[request]=debug", "[request]=debug"),
            ("=debug", "=debug"),
        ] {
            assert!(
                filter(directives, None).unwrap_err().contains(&format!("RUST_LOG has {named:?}")),
                "{directives}"
            );
        }
    }

    /// What is written while `log` runs.
    fn written(format: Format, directives: &str, log: impl FnOnce()) -> String {
        let mut file = tempfile::tempfile().unwrap();
        let writer: Arc<File> = Arc::new(file.try_clone().unwrap());
        let place = Place::Stream { colour: false };
        let subscriber = subscriber(format, filter(directives, None).unwrap(), place, writer);
        tracing::subscriber::with_default(subscriber, log);
        file.rewind().unwrap();
        let mut written = String::new();
        file.read_to_string(&mut written).unwrap();
        written
    }

    /// A line in a span, and one that is not wanted.
    fn two() {
        // At the level of the product's spans.
        tracing::error_span!(target: "sg_api", "request", id = "A").in_scope(|| {
            tracing::warn!(target: "sg_api::attempts", "two\nlines of {}\x1b[31m", "a \"client\"");
            tracing::debug!(target: "sg_api", "not at this level");
        });
    }

    #[test]
    fn json_is_one_object_a_line() {
        let written = written(Format::Json, "", two);
        assert_eq!(written.lines().count(), 1, "{written}");
        let mut line: Value = serde_json::from_str(&written).unwrap();
        let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let wanted = json!({
            "level": "WARN",
            "target": "sg_api::attempts",
            "message": "two\nlines of a \"client\"\u{1b}[31m",
            "spans": [{ "name": "request", "id": "A" }],
        });
        assert_eq!(line, wanted);
    }

    #[test]
    fn a_line_keeps_its_span_at_every_level() {
        for directives in ["error", "warn", "off,sg_api=warn"] {
            let written = written(Format::Json, directives, || {
                tracing::error_span!(target: "sg_api", "request", id = "A")
                    .in_scope(|| tracing::error!(target: "sg_api::attempts", "a line"));
            });
            let line: Value = serde_json::from_str(&written).unwrap();
            assert_eq!(line["spans"][0]["id"], "A", "{directives}: {written}");
        }
    }

    #[test]
    fn text_has_level_spans_target_and_message_and_no_escape_sequence() {
        let written = written(Format::Text, "", two);
        let wanted = "  WARN request{id=\"A\"}: sg_api::attempts: two\nlines of a \"client\"\\x1b[31m\n";
        assert!(written.ends_with(wanted), "{written:?}");
    }
}
