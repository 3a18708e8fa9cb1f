//! Builds the eBPF programs of tests and benchmarks into this crate.

#[path = "../sg-userspace/kernel/build/programs.rs"]
mod programs;

fn main() -> anyhow::Result<()> {
    programs::build("sg-lab-programs", "programs", &["programs", "build.rs", "../sg-userspace/kernel/build"])
}
