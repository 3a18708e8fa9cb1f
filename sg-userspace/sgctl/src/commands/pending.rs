//! `sgctl confirm`, `cancel` and `extend`: they settle the change that is pending. They must never decide whether they are in time: the
//! agent says it.

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{ChangeState, ExtendChange, SettleChange, SettledChange};
use sg_model::confirm_seconds;

use crate::{
    args::write_time,
    client::{Address, Call},
    failure::Failure,
    session::Session,
};

/// Confirm the change that is pending: it stays.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfirmArgs {
    /// Id of the change. Default: whichever is pending.
    id: Option<u32>,
}

/// Take back the change that is pending: what was in force before is in force again, at once.
#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    /// Id of the change. Default: whichever is pending.
    id: Option<u32>,
}

/// Give the change that is pending more time.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtendArgs {
    /// Id of the change. Default: whichever is pending.
    id: Option<u32>,
    /// How long it is in force from now on without a confirmation, such as 60s or 10m; 5 seconds to a day.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = confirm_seconds)]
    time: u32,
}

pub(crate) fn confirm(args: &ConfirmArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    settle("confirm", &SettleChange { id: args.id }, session)
}

pub(crate) fn cancel(args: &CancelArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    settle("cancel", &SettleChange { id: args.id }, session)
}

pub(crate) fn extend(args: &ExtendArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    settle("extend", &ExtendChange { id: args.id, seconds: args.time }, session)
}

fn settle(how: &str, body: &impl serde::Serialize, session: &mut Session<'_>) -> Result<(), Failure> {
    // It takes no access that the change itself was not asked about.
    let call = Call::change(Method::POST, Address::of(&["pending", how]))
        .with_json(body)?
        .unguarded()
        .without_token();
    let settled: SettledChange = session.client.call(&call)?;
    if settled.state == ChangeState::Confirmed && how != "confirm" {
        return Err(Failure::other(anyhow!("change {} is confirmed already, and stays", settled.id)));
    }
    if session.output.format.is_data() {
        return session.output.data(&settled);
    }
    let SettledChange { id, state, deadline } = settled;
    let text = match (state, deadline) {
        (ChangeState::Confirmed, _) => format!("change {id} is confirmed and stays"),
        (ChangeState::Reverted, _) => format!("change {id} is taken back: what was before is in force"),
        (ChangeState::Pending, Some(deadline)) => {
            format!("change {id} is in force until {} unless it is confirmed", write_time(deadline))
        }
        (ChangeState::Pending, None) => format!("change {id} is to be confirmed"),
    };
    session.output.line(&text)
}
