//! Whether the programs of the table are on this machine.
//!
//! Only checks. `programs` has the table; this checks the programs of some stages.

use std::process::Command;

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    programs::{ALL, Programs, Proof, Source},
    shell,
    version::Version,
};

/// The prerequisites of `stages`, as found.
pub(crate) fn prerequisites(stages: &[Stage]) -> Vec<Prerequisite> {
    ALL.iter().filter_map(|programs| prerequisite(programs, stages)).collect()
}

fn prerequisite(programs: &Programs, stages: &[Stage]) -> Option<Prerequisite> {
    let stage = *programs.stages.iter().find(|stage| stages.contains(stage))?;
    let name = *programs.names.first()?;
    let state = state(programs);
    let remedy = match (programs.source, &state) {
        // Another file checks for them.
        (Source::Elsewhere, _) => return None,
        (Source::Crate, _) => Remedy::Crate(name),
        // The packages of this system are what is installed already.
        (Source::Debian(_), State::TooOld(_)) => Remedy::ByHand(format!("put a newer {name} first in PATH")),
        (Source::Debian(packages), _) => Remedy::packages(packages),
    };
    Some(Prerequisite { name, stage, state, remedy })
}

fn state(programs: &Programs) -> State {
    if let Some(absent) = programs.names.iter().find(|name| shell::find(name).is_none()) {
        return State::Missing(format!("no `{absent}`"));
    }
    match (programs.proof, programs.names) {
        (Proof::Version(arguments, least), [name, ..]) => asked(
            Command::new(name).args(arguments),
            least,
            &format!("`{name} {}` fails", arguments.join(" ")),
        ),
        _ => State::Ok(programs.names.join(", ")),
    }
}

fn asked(command: &mut Command, least: Version, absent: &str) -> State {
    match shell::read(command).map(|text| (Version::parse(text.trim_start_matches('v')), text)) {
        Some((Some(version), text)) if version >= least => State::Ok(text.trim().to_owned()),
        Some((_, text)) => State::TooOld(format!("{}, {least} or newer is needed", text.trim())),
        None => State::Missing(absent.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{State, asked};
    use crate::version::Version;

    #[test]
    fn a_version_is_enough_or_too_old_or_missing() {
        let print = |text: &str| asked(Command::new("echo").arg(text), Version(18, 0, 0), "none");
        assert_eq!(print("v20.20.2"), State::Ok("v20.20.2".into()));
        assert!(matches!(print("v12.22.12"), State::TooOld(_)));
        assert_eq!(
            asked(&mut Command::new("false"), Version(1, 0, 0), "none"),
            State::Missing("none".into())
        );
    }
}
