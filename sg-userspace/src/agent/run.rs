//! `sgd run`: from the start to the signal to stop. It owns the order of things and what is said about them; it
//! must never do what another file of this room is for. Called by `bin/sgd.rs`.

use std::path::PathBuf;

use super::{
    AgentError, Instance, Removed,
    announce::{Line, say},
    devices,
    enforcer::Enforcer,
    events::{Events, Reading, Wake, channel},
    policy_file::PolicyFile,
    reconcile::{Agent, Report},
    sources,
    start::start,
    teardown::teardown,
};
use crate::{
    kernel::{Attachment, Limits},
    model::Policy,
};

/// What `sgd run` was asked for.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The document.
    pub policy: PathBuf,
    /// Whose files and pins.
    pub instance: Instance,
    /// How programs are hooked into devices.
    pub attachment: Attachment,
    /// Whether the filter ends with the agent.
    pub detach_on_exit: bool,
    /// What the program itself logs: 0 off, 1 error … 5 trace.
    pub program_log: u8,
    /// The most words of an image.
    pub budget_words: usize,
    /// How much the tables hold, where they are made anew.
    pub limits: Limits,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// Where it cannot start. Once it runs, errors go to the log and are tried again.
pub async fn run(options: &RunOptions) -> Result<(), AgentError> {
    let (sender, mut events) = channel();
    // The document first: whether it is right can be told without root. Watched before it is read, as devices
    // are before they are looked at: what changes in between is an event.
    let mut file = PolicyFile::watch(&options.policy, sender.clone())?;
    let mut policy = file.load()?;
    let lock = options.instance.lock()?;
    sources::spawn(&sender)?;
    let mut agent = start(options, &mut policy)?;
    let report = agent.apply(policy, &devices::scan()?)?;

    let mut session = Session { agent, file, options, ready: false, complaints: Vec::new() };
    session.tell(report, None);
    let signal = session.serve(&mut events).await;
    drop(session);
    end(options, signal)?;
    drop(lock);
    Ok(())
}

fn end(options: &RunOptions, signal: &str) -> Result<(), AgentError> {
    let name = options.instance.name();
    if !options.detach_on_exit {
        log::info!(
            "{signal}: the agent ends, the filter stays in force; `sgctl detach --instance {name}` removes it"
        );
        return Ok(());
    }
    if let Removed::Filter { devices } = teardown(&options.instance, &[])? {
        for device in devices {
            say(&Line::Detached { device });
        }
    }
    log::info!("{signal}: the agent ends and so does the filter (--detach-on-exit)");
    Ok(())
}

/// A running agent.
struct Session<'a, E> {
    agent: Agent<E>,
    file: PolicyFile,
    options: &'a RunOptions,
    ready: bool,
    /// What was complained about last: the same every few seconds helps nobody.
    complaints: Vec<String>,
}

impl<E: Enforcer> Session<'_, E> {
    /// Answers events until a signal says stop; returns its name.
    async fn serve(&mut self, events: &mut Events) -> &'static str {
        loop {
            let Some(wake) = events.next().await else { return "no event source is left" };
            if let Some(signal) = wake.stop {
                return signal;
            }
            self.answer(wake);
        }
    }

    fn answer(&mut self, wake: Wake) {
        let loaded = match wake.policy {
            Some(Reading::Anyway) => Some(self.file.load()),
            Some(Reading::IfChanged) => self.file.load_changed(),
            None if wake.tick => self.file.load_replaced(),
            None => None,
        };
        match loaded {
            Some(loaded) => {
                if let Err(error) = loaded.and_then(|policy| self.apply(policy)) {
                    self.refuse(&error);
                    self.look_again();
                }
            }
            None if wake.devices || !self.agent.is_settled() => self.look_again(),
            None => {}
        }
        if wake.tick {
            match self.agent.sweep() {
                Ok(swept) => log::trace!("swept {swept} flows"),
                Err(error) => log::error!("{error}"),
            }
        }
    }

    fn apply(&mut self, policy: Policy) -> Result<(), AgentError> {
        let report = self.agent.apply(policy, &devices::scan()?)?;
        self.tell(report, Some("policy"));
        Ok(())
    }

    fn refuse(&self, error: &AgentError) {
        log::error!("the new policy is refused, what was in force stays in force:\n{error}");
        let path = self.file.path().to_owned();
        say(&Line::Refused { path, reason: error.to_string() });
    }

    fn look_again(&mut self) {
        match devices::scan().and_then(|devices| self.agent.look_again(&devices)) {
            Ok(report) => {
                let cause = (report.published > 0).then_some("devices");
                self.tell(report, cause);
            }
            Err(error) => self.complain(&[error]),
        }
    }

    /// Says what a report says; `cause` where a change is in force now.
    fn tell(&mut self, report: Report, cause: Option<&'static str>) {
        let Report { lines, errors, published } = report;
        lines.iter().for_each(say);
        self.complain(&errors);
        let (nics, attached) = self.agent.nics();
        if let Some(cause) = cause {
            say(&Line::Applied { cause, nics, published });
        }
        if !self.ready && self.agent.is_complete() {
            self.ready = true;
            say(&Line::Ready { instance: self.options.instance.name().to_owned(), nics, attached });
        }
    }

    fn complain(&mut self, errors: &[AgentError]) {
        let complaints: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for complaint in &complaints {
            if self.complaints.contains(complaint) {
                log::debug!("still: {complaint}");
            } else {
                log::error!("{complaint}");
            }
        }
        self.complaints = complaints;
    }
}
