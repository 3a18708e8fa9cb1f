//! `sgctl group export` and `import`: the rules of a group as a file, JSON or CSV.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use hyper::Method;
use sg_api_types::{ImportReport, ImportRow, Imported};
use sg_records::RuleSpec;

use crate::{
    args::{Format, named, word},
    client::{Address, Call},
    commands::rule::{ANY, Cells, INTRANET},
    failure::Failure,
    file,
    names::Wanted,
    render::{Column, Render, count},
    session::Session,
};

/// The form of a file of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Csv,
}

/// Export the rules of a group to a file.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Id or name of the group.
    #[arg(value_parser = named())]
    group: String,
    /// File. Default: standard output.
    file: Option<PathBuf>,
    /// Format. Default: csv if the file is named so, else json.
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    form: Option<Form>,
}

/// Import rules from a file into a group. Existing and invalid rules are skipped and listed.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Id or name of the group.
    #[arg(value_parser = named())]
    group: String,
    /// File; `-` reads standard input.
    file: PathBuf,
    /// Format. Default: detected.
    #[arg(long = "format", value_enum, value_name = "FORMAT")]
    form: Option<Form>,
    /// Show what would be added and what skipped, with reasons, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl ExportArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.output.without_table()?;
        let is_csv = |file: &PathBuf| file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let csv = self.form.map_or(self.file.as_ref().is_some_and(is_csv), |form| form == Form::Csv);
        let address = Address::of(&["groups", &self.group, "rules", "export"]).with("csv", csv);
        let text: String = session.get(address)?;
        session.output.file(self.file.as_deref(), text.as_bytes())
    }
}

impl ImportArgs {
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let text = file::read_text(&self.file)?;
        // JSON begins with a bracket; a header line does not.
        let looks = || text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
        let csv = self.form.map_or_else(|| !looks(), |form| form == Form::Csv);
        let address = Address::of(&["groups", &self.group, "rules", "import"]).with("csv", csv);
        let address = address.with_some("dry_run", self.dry_run.then_some(true));
        let call = Call::change(Method::POST, address).with_body(text, "text/plain");
        let progress = session.output.progress(format!("importing {}", self.file.display()));
        let report = session.client.call(&call);
        drop(progress);
        show(session, &report?, self.dry_run)
    }
}

/// A refused row makes the file bad input, however many of its rows were added.
fn show(session: &mut Session<'_>, report: &ImportReport, preview: bool) -> Result<(), Failure> {
    let names = session.names_for(&report.rows)?;
    let output = &mut session.output;
    match output.format {
        Format::Table | Format::Wide => {
            output.many(&report.rows, &names)?;
            let added = if preview { "would be added" } else { "added" };
            let (rules, skipped) = (count(report.added, "rule"), report.skipped);
            output.line(&format!("{rules} {added}, {skipped} skipped"))?;
        }
        Format::Json | Format::Yaml => output.data(report)?,
        Format::Name => output.many(&report.rows, &names)?,
    }
    match report.rows.iter().filter(|row| row.outcome == Imported::Refused).count() {
        0 => Ok(()),
        refused => Err(Failure::input(anyhow!("{} refused", count(refused, "row")))),
    }
}

impl Render for ImportRow {
    const NOUN: &'static str = "row";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::number("ROW", |row| row.row.to_string()),
        Column::new("OUTCOME", |row| {
            let outcome = match row.outcome {
                Imported::Added => "added",
                Imported::Exists => "exists",
                Imported::Refused => "refused",
            };
            outcome.to_owned()
        }),
        Column::new("DIRECTION", |row| row.direction.map(|direction| word(&direction)).unwrap_or_default()),
        Column::new("ACTION", |row| of(row, |rule| word(&rule.action))),
        Column::named("PROTOCOL", |row, names| of(row, |rule| Cells::of(rule, names).protocol)),
        Column::named("PORTS", |row, names| of(row, |rule| Cells::of(rule, names).ports)),
        Column::named("REMOTE", |row, names| of(row, |rule| Cells::of(rule, names).remote)),
        Column::used("SOURCE-PORTS", ANY, |row, names| of(row, |rule| Cells::of(rule, names).source_ports)),
        Column::used("LOCAL", ANY, |row, names| of(row, |rule| Cells::of(rule, names).local)),
        Column::used("OTHER-FIELDS", "", |row, names| of(row, |rule| Cells::of(rule, names).others)),
        Column::used("NIC-TYPE", INTRANET, |row, _| of(row, |rule| word(&rule.nic_type))),
        Column::new("REASON", |row| row.reason.clone()),
    ];

    fn id(&self) -> String {
        self.row.to_string()
    }

    fn mentions(&self, wanted: &mut Wanted) {
        if let Some(rule) = &self.rule {
            wanted.matches(&rule.matches);
        }
    }
}

/// A field of a row's rule, if it could be parsed.
fn of(row: &ImportRow, text: impl Fn(&RuleSpec) -> String) -> String {
    row.rule.as_ref().map(text).unwrap_or_default()
}
