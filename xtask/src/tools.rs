//! The programs of the system that building and running need, and the Debian packages they are in.

use crate::{
    prerequisite::{Prerequisite, Remedy, Stage, State},
    shell,
};

pub(crate) fn prerequisites() -> [Prerequisite; 5] {
    [
        tool("C compiler", Stage::Build, &["cc"], &["gcc", "libc6-dev"]),
        // libFuzzer is C++ and is compiled with the fuzz targets.
        tool("C++ compiler", Stage::Check, &["c++"], &["g++"]),
        tool("iproute2", Stage::Run, &["ip", "tc"], &["iproute2"]),
        tool("util-linux", Stage::Run, &["unshare", "nsenter"], &["util-linux"]),
        tool("ping", Stage::Run, &["ping"], &["iputils-ping"]),
    ]
}

fn tool(name: &'static str, stage: Stage, programs: &[&str], packages: &[&str]) -> Prerequisite {
    let state = match programs.iter().find(|program| shell::find(program).is_none()) {
        Some(absent) => State::Missing(format!("no `{absent}`")),
        None => State::Ok(programs.join(", ")),
    };
    Prerequisite { name, stage, state, remedy: Remedy::packages(packages) }
}
