//! Processes the figures of a run: a table, the JSON document, and on request the tables of the documentation. `cargo
//! xtask bench` calls it when every benchmark has ended. It measures nothing.

mod documentation;
mod table;
mod targets;

use std::{env, fs, path::PathBuf, thread};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use sg_benches::{figure_list::Family, read};

/// Shows the figures of a run.
#[derive(Parser)]
struct Arguments {
    /// The figures, a line of JSON each, as the benchmarks recorded them
    lines: PathBuf,
    /// Write them here as one JSON document
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fill the tables of the documentation in this directory
    #[arg(long, value_name = "DIRECTORY")]
    docs: Option<PathBuf>,
    /// What to say of how they were taken
    #[arg(long, default_value = "")]
    how: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = read(&arguments.lines)?;
    let machine = machine(&arguments.how);
    println!("\n{machine}\n\n{}", table::of(&figures));
    if let Some(file) = &arguments.json {
        let document = serde_json::to_string_pretty(&figures)? + "\n";
        fs::write(file, document).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(directory) = &arguments.docs {
        documentation::fill(&directory.join("performance.md"), &machine, &figures)?;
    }
    let unknown: Vec<&str> =
        figures.iter().map(|figure| figure.name.as_str()).filter(|name| Family::of(name).is_none()).collect();
    ensure!(unknown.is_empty(), "benches/figure_list.rs says nothing of {}", unknown.join(", "));
    Ok(())
}

/// The machine in one paragraph: processor, kernel and other things that figures depend on, and `how` they were taken.
fn machine(how: &str) -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let after = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word))?;
        line.split(':').nth(1).map(|value| value.trim().to_owned())
    };
    let cpu = read("/proc/cpuinfo");
    let memory = after(&read("/proc/meminfo"), "MemTotal")
        .and_then(|amount| amount.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kilobytes| format!(", {} GiB of memory", kilobytes.div_ceil(1 << 20)));
    let is_virtual =
        after(&cpu, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let jit = match read("/proc/sys/net/core/bpf_jit_enable").trim() {
        "0" => ", **without the JIT compiler of eBPF**",
        _ => "",
    };
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let governor = match governor.trim() {
        "" => String::new(),
        governor => format!(", frequency governor {governor}"),
    };
    format!(
        "{}{} with {} processors ({}){memory}{governor}; Linux {}{jit}. {how}",
        if is_virtual { "A virtual machine, " } else { "" },
        after(&cpu, "model name").unwrap_or_else(|| "an unnamed processor".to_owned()),
        thread::available_parallelism().map_or(1, usize::from),
        env::consts::ARCH,
        read("/proc/sys/kernel/osrelease").trim(),
    )
    .trim()
    .to_owned()
}
