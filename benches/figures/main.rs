//! Processes the figures of a run: a table, the JSON document, and on request the tables and plots of the documentation. `cargo
//! xtask bench` calls it when every benchmark has ended. It measures nothing.

mod documentation;
mod machine;
mod plot;
mod table;
mod targets;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use sg_benches::{catalogue::Family, report};

/// Shows the figures of a run.
#[derive(Parser)]
struct Arguments {
    /// The figures, a line of JSON each, as the benchmarks recorded them
    lines: PathBuf,
    /// Write them here as one JSON document
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fill the tables of the documentation in this directory, and draw its plots
    #[arg(long, value_name = "DIRECTORY")]
    docs: Option<PathBuf>,
    /// What to say of how they were taken
    #[arg(long, default_value = "")]
    how: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let figures = report::read(&arguments.lines)?;
    let machine = machine::describe(&arguments.how);
    println!("\n{machine}\n\n{}", table::of(&figures));
    if let Some(file) = &arguments.json {
        let document = serde_json::to_string_pretty(&figures)? + "\n";
        fs::write(file, document).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(directory) = &arguments.docs {
        documentation::fill(&directory.join("performance.md"), &machine, &figures)?;
        plot::all(&directory.join("plots"), &figures)?;
    }
    let unknown: Vec<&str> =
        figures.iter().map(|figure| figure.name.as_str()).filter(|name| Family::of(name).is_none()).collect();
    ensure!(unknown.is_empty(), "benches/catalogue.rs says nothing of {}", unknown.join(", "));
    Ok(())
}
