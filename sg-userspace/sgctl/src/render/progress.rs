//! A progress line on the terminal, shown if the work takes long enough for anybody to wonder.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter work shows no line, which would only flicker.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(120);

/// What is to be said of a piece of work at the moment, if anything.
pub(crate) type Said = Box<dyn Fn() -> Option<String> + Send>;

/// The line is shown until this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    waiting: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// `watched`: whether standard error is a terminal. `said`: what changes while the line is shown.
    pub(crate) fn new(what: String, watched: bool, said: Option<Said>) -> Self {
        let message = what.clone();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        let waiting = watched.then(|| {
            let (done, wait) = channel();
            let shown = bar.clone();
            let show = move || {
                if wait.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
                let Some(said) = said else { return };
                while wait.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    if let Some(words) = said() {
                        shown.set_message(format!("{what}: {words}"));
                    }
                }
            };
            (done, thread::spawn(show))
        });
        Self { bar, waiting }
    }

    /// Changes the text.
    pub(crate) fn say(&self, what: String) {
        self.bar.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.waiting.take() {
            drop(done);
            // However it ended, the line has to be cleared.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
