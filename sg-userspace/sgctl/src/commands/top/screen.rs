//! The terminal: taken at the beginning and given back however the process ends, short of being killed. It must never know what is
//! drawn. `mod.rs` has it.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    os::fd::AsFd as _,
    panic,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor,
        event::{DisableBracketedPaste, EnableBracketedPaste},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

/// A terminal that is drawn on. Dropping it gives the terminal back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        restore_at_a_panic();
        enable_raw_mode()?;
        // From here on, an error has something to give back.
        Self::begin().inspect_err(|_| restore())
    }

    fn begin() -> io::Result<Self> {
        let mut output = BufWriter::new(output()?);
        // With it, what is pasted is told from keys, each of which does something.
        execute!(output, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(output))? })
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Standard output, without the lock that `main` holds: a thread that panics must not wait for it.
fn output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Gives the terminal back, as far as it still is there.
fn restore() {
    let _ = disable_raw_mode();
    if let Ok(mut output) = output() {
        let _ = execute!(output, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = output.flush();
    }
}

/// What a panic says must be readable.
fn restore_at_a_panic() {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        say(panic);
    }));
}
