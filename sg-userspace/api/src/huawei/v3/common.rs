//! What the operations of several nouns do alike: run an operation of the domain or try it out, show times and tags. It must never
//! know a single operation.

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use sg_records::Label;
use sg_service::Operation;

use crate::huawei::{
    Call, Fault, Huawei, Parameter, Response,
    parameters::{Fields, Kind, body},
    refusals::fault,
};

/// The vendor's enterprise project that everything here is in.
pub(super) const ENTERPRISE_PROJECT: &str = "0";

/// Whether to try a change out.
pub(super) const DRY_RUN: Parameter = body(
    "dry_run",
    Kind::Boolean,
    "`true`: nothing is changed, and the status is 202 if it could be; default `false`",
);

/// Runs an operation of the domain and shows what it returns, or tries it out.
pub(in crate::huawei) async fn submit<O: Operation>(
    huawei: &Huawei,
    call: &Call,
    operation: O,
    show: impl FnOnce(O::Output) -> Response,
) -> Result<Response, Fault> {
    if call.is_dry_run() {
        huawei.service.try_out(&operation).map_err(|refusal| fault(call, &refusal))?;
        return Ok(Response::accepted(json!({})));
    }
    let output = huawei.service.submit_with(call.change.ticket(), operation).await;
    output.map(show).map_err(|refusal| fault(call, &refusal))
}

/// The longest name and the longest description that the vendor has.
const LONGEST: (usize, usize) = (64, 255);

/// The name of an object: 1 to 64 letters, digits, `_`, `-` and `.`; none if the request has none.
pub(in crate::huawei) fn name(call: &Call, fields: &Fields<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = fields.text("name") else { return Ok(None) };
    let fits = |letter: char| letter.is_alphanumeric() || "_-.".contains(letter);
    if (1..=LONGEST.0).contains(&text.chars().count()) && text.chars().all(fits) {
        return Ok(Some(text.to_owned()));
    }
    let wanted = "1 to 64 letters, digits, _, - and . are expected";
    Err(call.malformed(&fields.place("name"), wanted))
}

/// A description: up to 255 characters without `<` and `>`; none if the request has none.
pub(in crate::huawei) fn description(call: &Call, fields: &Fields<'_>) -> Result<Option<String>, Fault> {
    let Some(text) = fields.text("description") else { return Ok(None) };
    if text.chars().count() <= LONGEST.1 && !text.contains(['<', '>']) {
        return Ok(Some(text.to_owned()));
    }
    let wanted = "up to 255 characters without < and > are expected";
    Err(call.malformed(&fields.place("description"), wanted))
}

/// Refuses a new object in an enterprise project other than the one that everything is in.
pub(in crate::huawei) fn enterprise_project(call: &Call, fields: &Fields<'_>) -> Result<(), Fault> {
    match fields.text("enterprise_project_id") {
        None | Some(ENTERPRISE_PROJECT) => Ok(()),
        Some(_) => {
            let wanted = "this server has the default enterprise project 0 only";
            Err(call.malformed(&fields.place("enterprise_project_id"), wanted))
        }
    }
}

/// `2026-11-21T04:00:00Z`.
pub(in crate::huawei) fn time(when: Timestamp) -> String {
    when.round(Unit::Second).unwrap_or(when).to_string()
}

/// Tags in the form of responses.
pub(super) fn tags_shown(label: &Label) -> Value {
    label.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}
