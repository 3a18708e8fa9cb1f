//! What the operations of several nouns do alike: run an operation of the domain or try it out, show times and tags. It must never
//! know a single operation.

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use sg_records::Label;
use sg_service::Operation;

use crate::huawei::{
    Call, Fault, Huawei, Parameter, Response,
    parameters::{Kind, body},
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

/// `2026-11-21T04:00:00Z`.
pub(in crate::huawei) fn time(when: Timestamp) -> String {
    when.round(Unit::Second).unwrap_or(when).to_string()
}

/// Tags in the form of responses.
pub(super) fn tags_shown(label: &Label) -> Value {
    label.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}
