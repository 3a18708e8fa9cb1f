//! After a command with `--confirm`: which change is to be confirmed, and with `--wait` the wait for it. It must never decide what
//! became of the change: the server says it.

use std::{io, thread, time::Duration};

use anyhow::anyhow;
use hyper::Method;
use jiff::Timestamp;
use sg_api_types::{ChangeState, PendingChange, SettleChange, SettledChange, Status};
use sg_model::text::escaped;
use tokio::{
    runtime::{Builder, Runtime},
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::sleep,
};

use crate::{
    args::tried::Tried,
    client::{Address, Call, ClientError},
    failure::Failure,
    session::Session,
    stderr::say,
};

/// The shortest wait before the server is asked what became of a change.
const AT_LEAST: Duration = Duration::from_secs(1);

/// How the user confirms, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Enter.
    Yes,
    /// Ctrl-C, another signal, or nobody can say anything any more.
    No,
    /// The deadline has passed.
    Late,
}

/// Says which change is to be confirmed, and waits for it if that is wanted.
pub(crate) fn after(session: &mut Session<'_>, tried: Tried) -> Result<(), Failure> {
    let Some(PendingChange { id, owner: _, deadline }) = session.client.take_pending() else {
        session.output.remark("nothing was changed, so there is nothing to confirm");
        return Ok(());
    };
    session.output.out.flush()?;
    // A script reads it, too: it is the one place that has the id.
    say(&format!("sgctl: pending id={id} deadline={deadline:.0}"));
    if !tried.wait {
        say(&format!(
            "sgctl: `sgctl confirm {id}` keeps the change, `sgctl cancel {id}` takes it back now, and so does the deadline"
        ));
        return Ok(());
    }
    let mut wait = Wait::begin().map_err(Failure::other)?;
    say("sgctl: Enter keeps the change; Ctrl-C takes it back");
    let mut until = deadline;
    let word = loop {
        let word = wait.until(until);
        if word != Word::Late {
            break word;
        }
        // By the server's clock there may be time left, or somebody has extended it.
        let Status { pending, .. } =
            session.client.call(&Call::get(Address::of(&["status"]))).map_err(|error| left(id, &error))?;
        match pending.filter(|pending| pending.id == id) {
            Some(pending) => until = pending.deadline,
            // It is settled: now a cancellation only says what became of it.
            None => break Word::Late,
        }
    };
    let how = if word == Word::Yes { "confirm" } else { "cancel" };
    let call = Call::change(Method::POST, Address::of(&["pending", how]))
        .with_json(&SettleChange { id: Some(id) })?
        .unguarded();
    let state = match session.client.call::<SettledChange>(&call) {
        Ok(settled) => settled.state,
        Err(error) if error.is_one_of(&["reverted"]) => ChangeState::Reverted,
        // Somebody else has settled it, and another change since.
        Err(error) if error.is_one_of(&["nothing_pending", "other_pending"]) => {
            return Err(Failure::other(anyhow!(
                "change {id} was settled elsewhere, or its deadline has passed: `sgctl history` says which"
            )));
        }
        Err(error) => return Err(left(id, &error)),
    };
    match state {
        ChangeState::Confirmed => {
            say(&format!("sgctl: change {id} is confirmed and stays"));
            Ok(())
        }
        ChangeState::Pending | ChangeState::Reverted => {
            let why = if word == Word::No { "it was cancelled" } else { "it was not confirmed in time" };
            Err(Failure::other(anyhow!(
                "change {id} is taken back, since {why}: what was before is in force"
            )))
        }
    }
}

/// The server could not be asked: the kernel does without it.
fn left(id: u32, error: &ClientError) -> Failure {
    let why = escaped(&error.to_string()).into_owned();
    Failure::other(anyhow!(
        "change {id} goes back at its deadline unless it is confirmed; asking failed: {why}"
    ))
}

/// The wait for the user's word. From its beginning on, Ctrl-C is one.
struct Wait {
    runtime: Runtime,
    signals: [Signal; 3],
    /// What is said on stdin.
    told: oneshot::Receiver<Word>,
}

impl Wait {
    fn begin() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::terminate())?,
        ];
        drop(entered);
        let (tell, told) = oneshot::channel();
        // It may wait for a line that never comes: the process ends without it.
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let read = io::stdin().read_line(&mut String::new());
            let _ = tell.send(if read.is_ok_and(|bytes| bytes > 0) { Word::Yes } else { Word::No });
        })?;
        Ok(Self { runtime, signals, told })
    }

    fn until(&mut self, deadline: Timestamp) -> Word {
        let Self { runtime, signals: [interrupt, hangup, terminate], told } = self;
        let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
        // By a clock that is ahead there would be no time at all.
        let left = left.max(AT_LEAST);
        runtime.block_on(async {
            select! {
                biased;
                _ = interrupt.recv() => Word::No,
                _ = hangup.recv() => Word::No,
                _ = terminate.recv() => Word::No,
                word = told => word.unwrap_or(Word::No),
                // The server's clock decides; it is asked then.
                () = sleep(left) => Word::Late,
            }
        })
    }
}
