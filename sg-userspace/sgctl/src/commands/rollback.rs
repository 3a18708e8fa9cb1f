//! `sgctl rollback`: makes the policy that which was in force after an earlier change. With a store, the server does; under `sgd run` the
//! document is written back to its file, for the agent to read. It must never decide what can be undone. `mod.rs` calls it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use hyper::Method;
use sg_api_types::{
    ChangeView, Compare, ComparedPolicy, Comparison, DocumentText, Rollback, RolledBack, Status,
};

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

/// How often the agent is asked whether it has read the document.
const PAUSE: Duration = Duration::from_millis(100);

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
        (Some(path), Some(last)) => of_document(args, change, Path::new(&path), &last, session),
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
    in_force::display(&compared, &mut session.output)
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

fn of_document(
    args: &Args,
    change: u64,
    path: &Path,
    last: &ChangeView,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let text = |number: u64| Address::of(&["changes", &number.to_string(), "text"]);
    let wanted: DocumentText = session.get(text(change))?;
    let in_force: DocumentText = session.get(text(last.change.number))?;
    if wanted.text == in_force.text {
        return session.output.line(&format!("nothing to change: the document is that of change {change}"));
    }
    show(change, session)?;
    let target =
        fs::canonicalize(path).with_context(|| path.display().to_string()).map_err(Failure::Input)?;
    let found = fs::read(&target).with_context(|| target.display().to_string()).map_err(Failure::Input)?;
    if found != in_force.text.as_bytes() && !session.client.is_forcing() {
        return Err(Failure::guarded(anyhow!(
            "{} is not what is in force: it was edited since, or refused. Save what you need of it, and say --force",
            target.display()
        )));
    }
    if args.dry_run {
        return session
            .output
            .line(&format!("the document of change {change} would be written to {}", target.display()));
    }
    let question = format!("Write the document of change {change} to {}?", target.display());
    session.output.confirm(&question, args.yes.yes)?;
    let refused = |session: &mut Session<'_>| -> Result<_, Failure> {
        let status: Status = session.get(Address::of(&["status"]))?;
        Ok(status.refused.map(|refused| (refused.at, refused.reason)))
    };
    let known = refused(session)?;
    let failed = |error: io::Error| Failure::other(anyhow!("cannot write {}: {error}", target.display()));
    replace(&target, wanted.text.as_bytes()).map_err(failed)?;
    let until = Instant::now() + session.client.timeout();
    loop {
        let newest = newest(session, 1, 0)?.items.into_iter().next();
        if let Some(newest) = newest.filter(|newest| newest.change.number > last.change.number) {
            let number = newest.change.number;
            return if session.output.format.is_data() {
                session.output.data(&newest)
            } else {
                let text = format!("in force: the document of change {change} again, as change {number}");
                session.output.line(&text)
            };
        }
        let now = refused(session)?;
        if now != known
            && let Some((_, reason)) = now
        {
            // The file says again what is in force.
            replace(&target, &found).map_err(failed)?;
            return Err(Failure::other(anyhow!(
                "the agent refuses the document of change {change}, and {} has its former text again:\n{reason}",
                target.display()
            )));
        }
        if Instant::now() >= until {
            return Err(Failure::other(anyhow!(
                "the document of change {change} is in {}, and the agent has not read it in {} seconds: see `sgctl status`",
                target.display(),
                session.client.timeout().as_secs()
            )));
        }
        thread::sleep(PAUSE);
    }
}

/// Replaces the content of a file at once, and leaves its owner and mode as they are.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", process::id()));
    let new: PathBuf = path.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text)?;
        std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    let written = write();
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_is_never_half() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.yaml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(io::read_to_string(before).unwrap(), "old", "whoever has it open reads the old one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(&directory.path().join("none"), b"x").is_err());
    }
}
