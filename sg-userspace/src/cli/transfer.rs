//! `sgctl export` and `import`: everything there is, as a file.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;

use super::{
    address::Address,
    client::Call,
    failure::Failure,
    file,
    output::{Yes, count},
    session::Session,
};
use crate::service::Replaced;

/// Write everything there is to a file: groups, rules, lists, NICs, instances, limits.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  sgctl export > state.jsonl
  sgctl export backup.jsonl --secrets")]
pub(super) struct ExportArgs {
    /// The file [default: the output]. Only its owner may read it.
    file: Option<PathBuf>,
    /// With access keys and their secrets; for root only.
    #[arg(long)]
    secrets: bool,
}

/// Replace everything there is by what an export holds. Keys stay where the export has no secrets.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  sgctl import backup.jsonl --dry-run
  sgctl import backup.jsonl --yes")]
pub(super) struct ImportArgs {
    /// The file; `-` is the standard input.
    file: PathBuf,
    /// Only say how much would change.
    #[arg(long, visible_alias = "preview")]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(super) fn export(typed: &ExportArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let progress = session.output.progress("exporting");
    let address = Address::of(&["export"]).with_some("secrets", typed.secrets.then_some(true));
    let text: Result<String, _> = session.client.call(&Call::get(address));
    progress.finish_and_clear();
    session.output.file(typed.file.as_deref(), &text?)
}

pub(super) fn import(typed: &ImportArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let text = file::read_text(&typed.file)?;
    let address = Address::of(&["import"]);
    let preview = Call::change(Method::POST, address.clone().with("dry_run", true));
    let would = waiting(session, "comparing", &preview.with_body(text.clone(), "text/plain"))?;
    if typed.dry_run {
        return show(session, &would, ["would be removed", "would be written"]);
    }
    let Replaced { removed, put } = would;
    let what = format!("{} removed and {put} written", count(removed, "record"));
    if removed + put > 0 {
        session.output.confirm(&format!("Replace what there is, with {what}?"), typed.yes.yes)?;
    }
    let call = Call::change(Method::POST, address).with_body(text, "text/plain");
    let done = waiting(session, "importing", &call)?;
    show(session, &done, ["removed", "written"])
}

fn waiting(session: &mut Session<'_>, what: &str, call: &Call) -> Result<Replaced, Failure> {
    let progress = session.output.progress(what);
    let answer = session.client.call(call);
    progress.finish_and_clear();
    Ok(answer?)
}

fn show(session: &mut Session<'_>, replaced: &Replaced, words: [&str; 2]) -> Result<(), Failure> {
    if session.output.format.is_data() {
        return session.output.data(replaced);
    }
    let [removed, put] = [replaced.removed, replaced.put].map(|number| count(number, "record"));
    session.output.line(&format!("{removed} {}, {put} {}", words[0], words[1]))
}
