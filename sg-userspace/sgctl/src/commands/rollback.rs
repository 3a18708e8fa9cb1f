//! `sgctl rollback`: makes the policy that which was in force after an earlier change. With a store, the server does; under `sgd run` the
//! document is written back to its file. It must never decide what can be undone. `mod.rs` calls it.

mod document;

use std::path::Path;

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{Compare, ComparedPolicy, Comparison, Rollback, RolledBack};

use crate::{
    client::{Address, Call},
    commands::{
        changes::newest,
        diff::{SHOWN, in_force},
    },
    failure::Failure,
    render::{Yes, count},
    session::Session,
};

/// Go back to the policy after an earlier change: everything after it is undone.
///
/// The packets that would be judged differently are shown first. It is one more change, with a number of its own. With `sgd serve`, access
/// keys and quotas stay as they are. With `sgd run`, the document is written back to its file, unless somebody has edited it meanwhile.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of the change, as `sgctl history --changes` shows it
    change: String,
    /// Go back even if NICs leave whose devices exist and are filtered. Everything will pass there.
    #[arg(long)]
    allow_unfiltered: bool,
    /// Show what it would do and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) fn run(args: &Args, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let digits = args.change.strip_prefix('@').unwrap_or(&args.change);
    let change: u64 = digits.parse().map_err(|_| {
        Failure::input(anyhow!(
            "{:?} is no number of a change: `sgctl history --changes` lists them",
            args.change
        ))
    })?;
    let page = newest(session, 1, 0)?;
    match (page.document, page.items.into_iter().next()) {
        (Some(path), Some(last)) => document::write_back(args, change, Path::new(&path), &last, session),
        (Some(_), None) => Err(Failure::not_found(anyhow!("no document is in the history yet"))),
        (None, _) => of_store(args, change, session),
    }
}

/// Shows the packets that would be judged differently.
fn show(change: u64, session: &mut Session<'_>) -> Result<(), Failure> {
    if !session.output.format.is_table() {
        return Ok(());
    }
    let new = ComparedPolicy { change: Some(change), ..ComparedPolicy::default() };
    let compare = Compare::of(ComparedPolicy::default(), new);
    let address = Address::of(&["diff"]).with("limit", SHOWN);
    let call = Call::change(Method::POST, address).with_json(&compare)?.question();
    let compared: Comparison = session.waiting("comparing", &call)?;
    in_force::display(&compared, true, &mut session.output)
}

fn of_store(args: &Args, change: u64, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["changes", &change.to_string(), "rollback"]);
    let body = Rollback { change: String::new(), allow_unfiltered: args.allow_unfiltered };
    let call = |address: Address| -> Result<Call, Failure> {
        let mut body = serde_json::to_value(&body).map_err(Failure::other)?;
        if let Some(fields) = body.as_object_mut() {
            fields.remove("change");
        }
        Ok(Call::change(Method::POST, address).with_json(&body)?)
    };
    show(change, session)?;
    let would: RolledBack = session.waiting("comparing", &call(address.clone().with("dry_run", true))?)?;
    if args.dry_run {
        return say(&would, ["would undo", "would be removed", "would be written"], session);
    }
    let RolledBack { undone, removed, put, .. } = would;
    let what = format!("{} undone, {} removed and {put} written", count_of(undone), count(removed, "object"));
    session
        .output
        .confirm(&format!("Go back to the policy after change {change}, with {what}?"), args.yes.yes)?;
    let done: RolledBack = session.waiting("going back", &call(address)?)?;
    say(&done, ["undone", "removed", "written"], session)
}

fn count_of(changes: u64) -> String {
    count(usize::try_from(changes).unwrap_or(usize::MAX), "change")
}

fn say(back: &RolledBack, words: [&str; 3], session: &mut Session<'_>) -> Result<(), Failure> {
    if session.output.format.is_data() {
        return session.output.data(back);
    }
    let RolledBack { number, change, undone, removed, put } = back;
    let [undone, removed, put] = [count_of(*undone), count(*removed, "object"), count(*put, "object")];
    session.output.line(&format!(
        "change {number} goes back to the policy after change {change}: {} {undone}, {removed} {}, {put} {}",
        words[0], words[1], words[2]
    ))
}
