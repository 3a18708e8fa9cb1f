//! Builds the eBPF programs into this crate.

#[path = "build/programs.rs"]
mod programs;

fn main() -> anyhow::Result<()> {
    programs::build("sg-ebpf", "../../sg-ebpf", &["../../sg-ebpf", "../../sg-common", "build.rs", "build"])
}
