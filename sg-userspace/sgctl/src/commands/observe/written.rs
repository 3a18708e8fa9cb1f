//! Records on standard output: a line of text, of JSON, or a document of YAML each. It must never leave a record out. `mod.rs` calls
//! it.

use anyhow::anyhow;
use sg_model::text::escaped_json;
use sg_observe::record::Record;

use crate::{failure::Failure, render::Output};

/// Writes a record as a line for people.
pub(super) fn text(record: &Record, output: &mut Output<'_>) -> Result<(), Failure> {
    let line = record.to_string();
    if !output.colour || !record.event.is_traffic() {
        return output.painted(&line);
    }
    // The first word that is the verdict: nothing of a user's is before it.
    let verdict = record.verdict.name();
    let painted = line.replacen(verdict, &output.paint_as(verdict, verdict), 1);
    output.painted(&painted)
}

/// Writes a line of JSON as it came, but for what a terminal would obey.
pub(super) fn json(line: &[u8], output: &mut Output<'_>) -> Result<(), Failure> {
    let line = str::from_utf8(line)
        .map_err(|error| Failure::other(anyhow!(error).context("sgd sent a record that is no text")))?;
    output.painted(&escaped_json(line))
}

/// Writes a document of YAML.
pub(super) fn yaml(record: &Record, output: &mut Output<'_>) -> Result<(), Failure> {
    output.text("---\n")?;
    output.data(record)
}

/// Whether a line of JSON has to be read to know that it is no loss.
pub(super) fn may_be_lost(line: &[u8]) -> bool {
    // The event is the first field, and its words have no escapes.
    let Some(rest) = line.strip_prefix(br#"{"event":""#) else { return true };
    rest.starts_with(b"lost\"")
}
