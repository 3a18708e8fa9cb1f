//! `sgctl export` and `import`: the whole state as a file.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use sg_api_types::Replaced;

use crate::{
    client::{Address, Call, ClientError},
    failure::Failure,
    file,
    render::{Yes, count},
    session::Session,
};

/// The media type of an export for the server.
const LINES: &str = "text/plain";

/// Export the whole store to a file.
///
/// Groups, rules, lists, NICs, instances and quotas; access keys on request.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// File. Default: standard output. Only its owner can read it.
    file: Option<PathBuf>,
    /// Include access keys and their secrets; for root only.
    #[arg(long)]
    secrets: bool,
}

/// Replace the whole store by an export.
///
/// Access keys are kept if the export has no secrets.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File; `-` reads standard input.
    file: PathBuf,
    /// Show how much would change and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(crate) fn export(args: &ExportArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let address = Address::of(&["export"]).with_some("secrets", args.secrets.then_some(true));
    let progress = session.output.progress_of("exporting", session.client.transferred());
    let file = session.client.raw(&Call::get(address));
    drop(progress);
    session.output.file(args.file.as_deref(), &file?)
}

pub(crate) fn import(args: &ImportArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    session.output.without_table()?;
    let file = Bytes::from(file::read(&args.file)?);
    let name = args.file.display().to_string();
    let of_file = |error: ClientError| match error {
        // Errors in the file are reported with its name.
        error @ ClientError::Refused { .. } => Failure::from(error).about(&name),
        error => error.into(),
    };
    let address = Address::of(&["import"]);
    let preview = Call::change(Method::POST, address.clone().with("dry_run", true)).without_token();
    let preview = preview.with_body(file.clone(), LINES);
    let would: Replaced = session.waiting("comparing", &preview).map_err(of_file)?;
    if args.dry_run {
        return show(session, &would, ["would be removed", "would be written"]);
    }
    let Replaced { removed, put } = would;
    let what = format!("{} removed and {put} written", count(removed, "record"));
    if removed + put > 0 {
        session.output.confirm(&format!("Replace what there is, with {what}?"), args.yes.yes)?;
    }
    let call = Call::change(Method::POST, address).with_body(file, LINES);
    let done = session.waiting("importing", &call).map_err(of_file)?;
    show(session, &done, ["removed", "written"])
}

fn show(session: &mut Session<'_>, replaced: &Replaced, words: [&str; 2]) -> Result<(), Failure> {
    if session.output.format.is_data() {
        return session.output.data(replaced);
    }
    let [removed, put] = [replaced.removed, replaced.put].map(|number| count(number, "record"));
    session.output.line(&format!("{removed} {}, {put} {}", words[0], words[1]))
}
