//! Actions on reports about instances and NICs. A report has what the check of common ports says of packets from anyone. It must
//! never judge a packet: the domain does.

use std::{net::IpAddr, sync::PoisonError};

use serde_json::{Value, json};
use sg_agent::devices;
use sg_records::{InstanceId, KeyRole, Nic, NicId};
use sg_service::{CommonCheck, State, check_common};

use super::{
    action::{Action, ActionFuture},
    common::{region, time},
    filters::one_of,
    pagination::Window,
    parameter::{Parameter, REGION, integer, refused, refused_unless, text, texts},
};
use crate::ecs::{
    Call, Ecs, Fault, Response,
    reports::{Issue, Report},
};

/// The set of metrics: the vendor's default for instances, of which this server has one metric.
const METRICS: &str = "dms-instancedefault";
/// The vendor's metric of what a security group lets in.
const METRIC: &str = "Instance.SGIngress";
const CATEGORY: &str = "Instance.Network";
const SEVERITIES: &[&str] = &[NORMAL, INFO, "Unknown", "Warn", "Critical"];
const NORMAL: &str = "Normal";
/// A port that is closed may be closed on purpose.
const INFO: &str = "Info";
const STATES: &[&str] = &[FINISHED, "InProgress", "Failed"];
const FINISHED: &str = "Finished";
/// Addresses that stand for anyone: of RFC 5737 and RFC 3849, for documents, so that no rule is about them in particular.
const ANYONE: [&str; 2] = ["203.0.113.1", "2001:db8:ffff::1"];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateDiagnosticReport",
        about: "Checks whether packets from anyone reach TCP ports 22, 80, 443, 3389, 8080 and ping of an instance (its primary \
                NIC) or a NIC. It changes nothing; the last 500 reports are kept until `sgd` ends.",
        role: KeyRole::Viewer,
        handler: create,
        parameters: &[&[
            REGION,
            text("ResourceId", "the id of an instance or a NIC").required(),
            refused_unless("MetricSetId", METRICS, "this server has one set of metrics, dms-instancedefault"),
            refused("StartTime", NOW),
            refused("EndTime", NOW),
            text(
                "AdditionalOptions",
                "a JSON object: `{\"SourceIp\": ADDRESS}` says whose packets instead of anyone's",
            ),
        ]],
    },
    Action {
        name: "DescribeDiagnosticReports",
        about: "Lists reports, with what does not reach the resource.",
        role: KeyRole::Viewer,
        handler: describe,
        parameters: &[&[
            REGION,
            texts("ReportIds", ""),
            texts("ResourceIds", ""),
            text(
                "Severity",
                "`Normal`: all of it is accepted; `Info`: some is not; or another of the cloud's severities",
            ),
            text("Status", "`Finished`, as all reports are, or another of the cloud's states"),
            integer("MaxResults", "1 to 100; default 10"),
            text("NextToken", "of the previous page"),
            integer("PageNumber", "from 1; default 1"),
            integer("PageSize", "1 to 100; default 10"),
        ]],
    },
    Action {
        name: "DescribeDiagnosticReportAttributes",
        about: "Shows a report: what does not reach the resource, and which group and rule decided.",
        role: KeyRole::Viewer,
        handler: describe_attributes,
        parameters: &[&[REGION, REPORT]],
    },
];

const REPORT: Parameter = text("ReportId", "").required();
const NOW: &str = "a report is of the time when it is made";

/// A NIC whose packets are asked about, and what it stands for.
fn target<'a>(state: &'a State, call: &Call) -> Result<(&'a Nic, &'static str), Fault> {
    let (region, id) = (region(call)?, call.fields().required("ResourceId")?);
    let primary = state.nics_of_instance(&InstanceId::from(id)).find(|nic| nic.primary);
    let found = primary
        .map(|nic| (nic, "instance"))
        .or_else(|| state.nic(&NicId::from(id)).map(|nic| (nic, "eni")))
        .filter(|(nic, _)| nic.region == region);
    let message = "The specified resource not exists: an instance with a NIC, or a NIC, is expected.";
    found.map(|(nic, kind)| (&**nic, kind)).ok_or_else(|| Fault::bad("InvalidResource.NotExists", message))
}

/// Whose packets are checked: those of the caller's choice, or anyone's of a family of which the NIC has one of `addresses`.
fn remote(call: &Call, addresses: &[IpAddr]) -> Result<IpAddr, Fault> {
    const OPTIONS: &str = "AdditionalOptions";
    let wanted = r#"a JSON object with the one field "SourceIp", an address, is expected"#;
    let malformed = || Fault::malformed(OPTIONS, wanted);
    let Some(options) = call.fields().text(OPTIONS) else {
        let only_v6 = !addresses.is_empty() && addresses.iter().all(IpAddr::is_ipv6);
        return ANYONE[usize::from(only_v6)].parse().map_err(|_| Fault::internal());
    };
    let options: serde_json::Map<String, Value> = serde_json::from_str(options).map_err(|_| malformed())?;
    let [(name, Value::String(address))] = options.iter().collect::<Vec<_>>()[..] else {
        return Err(malformed());
    };
    if name == "SourceIp" { address.parse().map_err(|_| malformed()) } else { Err(malformed()) }
}

fn create<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let state = ecs.service.snapshot();
        let (nic, resource_type) = target(&state, call)?;
        let remote = remote(call, &ecs.service.devices().addresses_of(nic))?;
        let nic = nic.id.to_string();
        // It compiles a policy, and reads the devices of the host.
        let checked = tokio::task::spawn_blocking(move || {
            let devices = devices::scan().map_err(|error| error.to_string())?;
            let facts =
                |device: &str| devices.get(device).map(|found| found.facts.clone()).unwrap_or_default();
            check_common(&state, &nic, remote, facts).map_err(|refusal| refusal.to_string())
        });
        let failed = |why: String| Fault::bad("InvalidParameter", why);
        let checks = checked.await.map_err(|_| Fault::internal())?.map_err(failed)?;
        let issues: Vec<Issue> = checks.into_iter().filter_map(|check| issue(check, remote)).collect();
        let (region, resource) = (region(call)?.to_owned(), call.fields().required("ResourceId")?.to_owned());
        let created = (ecs.clock)();
        let mut reports = ecs.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let id = reports.keep(|id| Report { id, region, resource, resource_type, created, issues }, created);
        Response::of(&json!({ "ReportId": id }))
    })
}

/// None, if it is accepted.
fn issue(check: CommonCheck, remote: IpAddr) -> Option<Issue> {
    let CommonCheck { name, checked } = check;
    let why = json!({
        "Port": name,
        "SourceIp": remote,
        "Verdict": checked.verdict,
        "Reason": checked.reason,
        "SecurityGroupId": checked.group,
        "SecurityGroupRuleId": checked.rule.map(|rule| rule.id),
    });
    (checked.verdict != "accept").then(|| Issue { what: name, why: why.to_string() })
}

/// `Instance.SGIngress.22SSH`
fn issue_id(issue: &Issue) -> String {
    let what: String = issue.what.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{METRIC}.{what}")
}

const fn severity(report: &Report) -> &'static str {
    if report.issues.is_empty() { NORMAL } else { INFO }
}

fn head(report: &Report) -> Value {
    let when = time(report.created);
    json!({
        "ReportId": report.id,
        "ResourceId": report.resource,
        "ResourceType": report.resource_type,
        "MetricSetId": METRICS,
        "Status": FINISHED,
        "Severity": severity(report),
        "CreationTime": when,
        "FinishedTime": when,
        "StartTime": when,
        "EndTime": when,
    })
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, window) = (region(call)?, Window::read(call, 100)?);
        let (ids, resources) = (fields.list("ReportIds")?, fields.list("ResourceIds")?);
        let (wanted, state) = (one_of(&fields, "Severity", SEVERITIES)?, one_of(&fields, "Status", STATES)?);
        let reports = ecs.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let admits = |report: &&Report| {
            report.region == region
                && (ids.is_empty() || ids.iter().any(|id| **id == report.id))
                && (resources.is_empty() || resources.iter().any(|id| **id == report.resource))
                && wanted.is_none_or(|wanted| wanted == severity(report))
                && state.is_none_or(|state| state == FINISHED)
        };
        let found: Vec<&Report> = reports.iter().filter(admits).collect();
        let (page, mut response) = window.of(&found, |report| report.id.clone());
        let shown = |report: &&Report| {
            let issues = report.issues.iter().map(|issue| {
                json!({
                    "IssueId": issue_id(issue),
                    "MetricId": METRIC,
                    "MetricCategory": CATEGORY,
                    "Severity": INFO,
                })
            });
            let mut shown = head(report);
            shown["Issues"] = json!({ "Issue": issues.collect::<Vec<_>>() });
            shown
        };
        let reports: Vec<Value> = page.iter().map(shown).collect();
        response.insert("Reports".to_owned(), json!({ "Report": reports }));
        Response::of(&response)
    })
}

fn describe_attributes<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let (region, id) = (region(call)?, call.fields().required(REPORT.name)?);
        let reports = ecs.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let found = reports.iter().find(|report| report.id == id && report.region == region);
        let missing = || Fault::bad("InvalidResource.NotExists", "The specified resource not exists.");
        let report = found.ok_or_else(missing)?;
        let when = time(report.created);
        let issues = report.issues.iter().map(|issue| {
            json!({
                "IssueId": issue_id(issue),
                "Severity": INFO,
                "OccurrenceTime": when,
                "Additional": issue.why,
            })
        });
        let metric = json!({
            "MetricId": METRIC,
            "MetricCategory": CATEGORY,
            "Status": FINISHED,
            "Severity": severity(report),
            "Issues": { "Issue": issues.collect::<Vec<_>>() },
        });
        let mut shown = head(report);
        shown["Attributes"] = "".into();
        shown["MetricResults"] = json!({ "MetricResult": [metric] });
        Response::of(&shown)
    })
}
