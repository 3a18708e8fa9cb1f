//! `sgctl top`: what the filter is doing now, on a screen that is drawn again and again.
//!
//! ```text
//! feed (threads): agent ─► News ─┐
//! keys, resizes ─────────────────┼─► Model ─► view ─► screen
//! signals ───────────────────────┘
//! ```
//!
//! `model` and `view` know neither agent nor terminal, so that tests can drive them. It must never change anything.

mod counters;
mod denials;
mod feed;
mod keys;
mod model;
mod rates;
mod screen;
mod table;
mod view;

use std::{
    env,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    sync::mpsc::{self, Receiver, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use clap::value_parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use sg_api_types::{EffectiveNic, Status};

use crate::{
    args::{Common, Format},
    client::Address,
    failure::Failure,
    session::Session,
};
use feed::{News, Source};
use keys::Then;
use model::Model;
use screen::Screen;

/// How long to wait for a key before looking for news.
const PAUSE: Duration = Duration::from_millis(100);

/// Show what the filter is doing now, on a screen: NICs, rules, flows and denials by their rates.
///
/// Keys: 1 to 4 or Tab choose what is shown, s the column to sort by, r the order, / a filter, p pauses, ? lists the keys, q ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds between two looks at the counters
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u32).range(1..=3600))]
    interval: u32,
    /// Only this NIC and the rules of its groups
    #[arg(long, value_name = "NIC")]
    nic: Option<String>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Result<(), Failure> {
    if common.output.format() != Format::Table {
        return Err(Failure::input(anyhow!(
            "`sgctl top` draws a screen and has no other format: `sgctl stats -w --json` is for programs"
        )));
    }
    Session::new(common, &mut io::sink())?.output.without_table()?;
    refuse_what_is_no_terminal()?;
    let interval = Duration::from_secs(args.interval.into());
    // What cannot work at all is reported before the screen is taken.
    let mut sink = io::sink();
    let mut session = Session::new(common, &mut sink)?;
    let status: Status = session.get(Address::of(&["status"]))?;
    let device = args.nic.as_deref().map(|nic| device_of(nic, &mut session)).transpose()?;
    let (news, receiver) = mpsc::channel();
    let source = Source { common: common.clone(), device, interval };
    let wants_flows = feed::start(source, &news)?;
    let mut model = Model::new(status.instance, interval, wants_flows);
    let mut screen = Screen::enter().map_err(Failure::other)?;
    let done = show(&mut model, &mut screen, &receiver);
    drop(screen);
    done
}

/// The device of a NIC, which in a store may be called by its id or name.
fn device_of(nic: &str, session: &mut Session<'_>) -> Result<String, Failure> {
    let nics: Vec<EffectiveNic> = session.get(Address::of(&["show"]).with("nic", nic))?;
    let found = nics.into_iter().next();
    found.map(|nic| nic.device).ok_or_else(|| Failure::not_found(anyhow!("NIC {nic:?} is not in force")))
}

/// Refuses what the screen cannot be drawn on.
fn refuse_what_is_no_terminal() -> Result<(), Failure> {
    let what = if !io::stdout().is_terminal() {
        "standard output is no terminal"
    } else if !io::stdin().is_terminal() {
        "standard input is no terminal, and has no keys"
    } else if env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        "TERM=dumb says that this terminal cannot be drawn on"
    } else {
        return Ok(());
    };
    Err(Failure::input(anyhow!("{what}: `sgctl stats -w` shows counters again and again anywhere")))
}

/// Waits for a key, a moment at most. A terminal that is gone ends it: crossterm would read there again and again.
fn wait_for_keys() -> Result<(), Failure> {
    let input = io::stdin();
    let mut keys = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    let pause = PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO);
    // Interrupted by a signal: the next turn waits again.
    let is_there = poll(&mut keys, pause).is_ok();
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    let [keys] = keys;
    if is_there && keys.revents().is_some_and(|events| events.intersects(gone)) {
        return Err(Failure::other(anyhow!("the terminal is gone")));
    }
    Ok(())
}

fn show(model: &mut Model, screen: &mut Screen, news: &Receiver<News>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(anyhow!(error).context("the terminal"));
    loop {
        screen
            .draw(|frame| {
                model.fit(view::room(frame.area().height));
                view::draw(model, frame);
            })
            .map_err(failed)?;
        let mut is_new = false;
        while !is_new {
            wait_for_keys()?;
            // All of them: what crossterm has read already wakes nobody.
            while event::poll(Duration::ZERO).map_err(failed)? {
                is_new = true;
                match event::read().map_err(failed)? {
                    Event::Key(key)
                        if key.kind != KeyEventKind::Release && keys::press(model, key) == Then::End =>
                    {
                        return Ok(());
                    }
                    Event::Paste(text) => keys::paste(model, &text),
                    _ => {}
                }
            }
            loop {
                match news.try_recv() {
                    Ok(News::Signal) => return Ok(()),
                    Ok(news) => {
                        is_new = true;
                        model.learn(news, Instant::now());
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        return Err(Failure::other(anyhow!("nothing reads the agent any more")));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
