//! Showing the same again and again: the flag, and the loop. It must never know what is shown. The commands use it.

use std::{
    io::{self, IsTerminal as _},
    process, thread,
    time::Duration,
};

use clap::{Args, value_parser};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{args::common::Format, failure::Failure, render::Output};

/// Clears a terminal, and goes to its upper left corner (ECMA-48: ED, CUP).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Whether to show it once, or again and again.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Watch {
    /// Show it again every so many seconds, until Ctrl-C. Default: 2
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<u32>,
}

impl Watch {
    /// Shows it once or again and again: on a terminal in the same place, elsewhere block after block. Ctrl-C ends it, and is no
    /// failure.
    pub(crate) fn show(
        self,
        output: &mut Output<'_>,
        mut show: impl FnMut(&mut Output<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(seconds) = self.watch else { return show(output) };
        // Before the first block: from here on Ctrl-C ends the loop, whatever it is doing.
        end_at_interrupt().map_err(Failure::other)?;
        let (mut first, terminal) = (true, io::stdout().is_terminal());
        loop {
            if terminal {
                output.text(CLEAR)?;
            } else if !first && output.format != Format::Json {
                // A document of YAML ends before the next one; tables have a line between them.
                output.text(if output.format == Format::Yaml { "---\n" } else { "\n" })?;
            }
            show(output)?;
            output.out.flush()?;
            first = false;
            thread::sleep(Duration::from_secs(seconds.into()));
        }
    }
}

/// Ends the process well at Ctrl-C, even while a request waits for its response: from a thread, since the loop waits there, too.
fn end_at_interrupt() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut interrupted = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
    let wait = move || {
        runtime.block_on(interrupted.recv());
        process::exit(0);
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(wait).map(drop)
}
