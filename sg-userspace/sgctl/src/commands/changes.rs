//! `sgctl history --changes` and `--change`: the changes of the policy, with their numbers and what each opened and closed. It displays what the agent
//! responds. `history` calls it.

use sg_api_types::{ChangeDetail, ChangePage, ChangeSummary, ChangeView};

use crate::{
    args::write_time,
    client::{Address, Call},
    commands::diff::{SHOWN, in_force, received, summary},
    failure::Failure,
    names::Names,
    render::{Column, Render},
    session::Session,
};

/// The most that are kept.
const MOST: u32 = 200;

impl Render for ChangeView {
    const NOUN: &'static str = "change";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::number("CHANGE", |view| view.change.number.to_string()),
        Column::new("TIME", |view| write_time(view.change.time)),
        Column::new("WHO", |view| view.change.who.to_string()),
        Column::new("OPERATION", |view| view.change.operation.clone()),
        Column::new("WHAT", what),
        Column::new("EFFECT", |view| effect(view.summary)),
        Column::new("REASON", |view| view.change.reason.clone().unwrap_or_default()),
        Column::wide("KEPT", |view| if view.kept { "yes" } else { "no" }.to_owned()),
        Column::wide("REQUEST", |view| view.change.request.clone().unwrap_or_default()),
    ];

    fn id(&self) -> String {
        self.change.number.to_string()
    }
}

/// What changed.
fn what(view: &ChangeView) -> String {
    let objects = view.change.objects.iter();
    let mut parts: Vec<String> =
        objects.map(|object| format!("{} {} {}", object.change.name(), object.kind, object.name)).collect();
    if view.change.more_objects > 0 {
        parts.push(format!("{} more", view.change.more_objects));
    }
    parts.join("; ")
}

/// What it opened and closed.
fn effect(known: Option<ChangeSummary>) -> String {
    match known {
        None => "not known".to_owned(),
        Some(ChangeSummary { counts, exact: true }) => summary(received(&counts)),
        Some(ChangeSummary { counts, exact: false }) => {
            format!("not exact: {}, and more", summary(received(&counts)))
        }
    }
}

/// The newest changes, and the path of the document, if there is one. `time` is for finding out what they opened and closed.
pub(crate) fn newest(session: &mut Session<'_>, most: u32, time: u32) -> Result<ChangePage, Failure> {
    let address = Address::of(&["changes"]).with("limit", most.clamp(1, MOST)).with("time", time);
    Ok(session.waiting("comparing", &Call::get(address))?)
}

pub(super) fn list(last: Option<u32>, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut page = newest(session, last.unwrap_or(MOST), 3)?;
    if page.items.iter().any(|view| view.kept && view.summary.is_none()) {
        session.output.remark("not all effects were found out within 3 seconds: the next time goes on");
    }
    page.items.reverse();
    session.output.many(&page.items, &Names::default())
}

pub(super) fn show(number: u64, session: &mut Session<'_>) -> Result<(), Failure> {
    let address = Address::of(&["changes", &number.to_string()]).with("limit", SHOWN);
    let detail: ChangeDetail = session.waiting("comparing", &Call::get(address))?;
    let output = &mut session.output;
    if output.format.is_data() {
        return output.data(&detail);
    }
    output.one(&detail.view, &Names::default())?;
    match &detail.comparison {
        Some(compared) if output.format.is_table() => in_force::display(compared, false, output),
        Some(_) => Ok(()),
        None => {
            output.remark("what was in force before it is not kept any more");
            Ok(())
        }
    }
}
