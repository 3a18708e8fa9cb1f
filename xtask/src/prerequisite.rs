//! `Prerequisite`: one thing that a machine needs, how to check for it, and what to do if it is missing.
//!
//! Owns the types only. `programs` (through `tools`), `toolchain`, `linker` and `kernel` define the prerequisites; `doctor`
//! prints them and `setup` installs them.

use std::fmt;

use crate::{kernel, linker, privilege::Privilege, toolchain, toolchain::Rustc, tools};

/// What a prerequisite is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Compiling the agent and the programs that it contains.
    Build,
    /// Running them: the demonstration, the tests, the benchmarks.
    Run,
    /// The tests, in addition to `Run`.
    Test,
    /// The checks of the test command that are no tests: format, lints.
    Check,
    /// The vendors' clients with which the APIs are tested.
    Clients,
    /// Fuzzing.
    Fuzz,
    /// What the benchmarks compare with and measure with.
    Bench,
    /// Licences, sources and advisories of dependencies.
    SupplyChain,
    /// The tests on other kernels.
    Kernels,
    /// A fresh machine.
    Fresh,
    /// Nothing: without it, builds are slower.
    Advice,
}

/// Whether it is there, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok(String),
    Missing(String),
    TooOld(String),
}

impl State {
    pub(crate) fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    pub(crate) fn found(&self) -> &str {
        let (Self::Ok(found) | Self::Missing(found) | Self::TooOld(found)) = self;
        found
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok(_) => "ok",
            Self::Missing(_) => "missing",
            Self::TooOld(_) => "too old",
        })
    }
}

/// What to do if it is missing. `setup` does all but `ByHand`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Debian packages.
    Packages(Vec<String>),
    /// A component of the pinned Rust toolchain.
    Component(&'static str),
    /// bpf-linker, built against this major version of LLVM.
    BpfLinker { llvm: u32 },
    /// A crate with a program of the same name.
    Crate(&'static str),
    /// A change that this program should not make to a machine.
    ByHand(String),
}

impl Remedy {
    pub(crate) fn packages(names: &[&str]) -> Self {
        Self::Packages(names.iter().map(ToString::to_string).collect())
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(names) => write!(f, "apt-get install {}", names.join(" ")),
            Self::Component(name) => write!(f, "rustup component add {name}"),
            Self::BpfLinker { llvm } => write!(f, "{}", linker::install_line(*llvm)),
            Self::Crate(name) => write!(f, "cargo install {name} --locked"),
            Self::ByHand(what) => f.write_str(what),
        }
    }
}

/// One thing that a machine needs.
#[derive(Clone, Debug)]
pub(crate) struct Prerequisite {
    pub(crate) name: &'static str,
    pub(crate) stage: Stage,
    pub(crate) state: State,
    pub(crate) remedy: Remedy,
}

impl Prerequisite {
    /// Checks the machine for everything that `stages` need.
    pub(crate) fn of(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Vec<Self> {
        let mut all = toolchain::prerequisites(rustc);
        all.extend(linker::prerequisites(rustc));
        all.extend(tools::prerequisites(stages));
        all.extend(kernel::prerequisites(privilege));
        all.retain(|prerequisite| stages.contains(&prerequisite.stage));
        all
    }

    /// Whether only the user can fix it.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self.remedy, Remedy::ByHand(_))
    }
}
