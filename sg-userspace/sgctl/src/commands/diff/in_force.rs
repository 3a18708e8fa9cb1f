//! Policies that the agent compares: what is or was in force, documents, exports. It knows what becomes of live flows, too. This only
//! displays its response. `sgctl diff`, `sgctl rollback` and `sgctl apply --dry-run` call it.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use anyhow::anyhow;
use hyper::Method;
use sg_api_types::{
    Compare, ComparedPolicy, Comparison, DiffOutcome, FlowImpact, RevokedFlow, UndecidedPart,
};
use sg_model::text::{escaped, escaped_json, escaped_lines};

use super::{Args, SHOWN, Side, received, summary};
use crate::{
    args::{common::Format, policy},
    client::{address::Address, error::ClientError, http::Call},
    failure::Failure,
    file,
    render::output::{Output, count},
    session::Session,
    stderr::say,
};

/// The names of ids in a store.
type Names = BTreeMap<String, String>;

pub(super) fn run(args: &Args, sides: [&Side; 2], session: &mut Session<'_>) -> Result<(), Failure> {
    let is_stdin = |side: &&Side| matches!(side, Side::File(path) if path == Path::new("-"));
    if sides.iter().all(is_stdin) {
        return Err(Failure::input(anyhow!("standard input can be one of the policies: name the other")));
    }
    if sides.iter().all(|side| matches!(side, Side::InForce)) {
        return Err(Failure::input(anyhow!(
            "what is in force does not differ from itself: name another policy"
        )));
    }
    let [old, new] = sides.map(|side| compared(args, side));
    let (old, new) = (old?, new?);
    let documents: Vec<(String, Arc<str>)> =
        [&old, &new].into_iter().filter_map(|one| Some((one.file.clone(), one.text.clone()?))).collect();
    let address = Address::of(&["diff"])
        .with_some("nic", args.nic.as_ref())
        .with("attribution", args.attribution)
        .with("time", args.time);
    let address = if args.all { address.with("all", true) } else { address.with("limit", SHOWN) };
    let body = Compare::of(old, new);
    // A query; it is no GET only because of its length.
    let call = Call::change(Method::POST, address).with_json(&body)?.question();
    let compared: Comparison = session.waiting("comparing", &call).map_err(|error| {
        let documents = documents.iter().map(|(file, text)| (file.as_str(), text.as_bytes()));
        refused(error, documents)
    })?;
    let has_flows = matches!(sides, [Side::InForce, _]);
    display(&compared, has_flows, &mut session.output)?;
    end(&compared, has_flows)
}

/// How the command ends: what is not known is not equal.
fn end(compared: &Comparison, has_flows: bool) -> Result<(), Failure> {
    let is_equal = compared.lines.is_empty() && compared.left_out == 0;
    let unknown = has_flows.then(|| not_known(compared.flows.as_ref())).flatten();
    match (is_equal, compared.undecided.is_empty(), unknown) {
        (false, ..) => Err(Failure::Different),
        (true, true, None) => Ok(()),
        (true, true, Some(why)) => Err(Failure::input(anyhow!("every packet is judged alike, but {why}"))),
        (true, false, _) => Err(Failure::input(anyhow!(
            "no difference was found in that time, which may be too short: compare two documents with --time"
        ))),
    }
}

fn compared(args: &Args, side: &Side) -> Result<ComparedPolicy, Failure> {
    let path = match side {
        Side::InForce => return Ok(ComparedPolicy::default()),
        Side::After(change) => {
            return Ok(ComparedPolicy { change: Some(*change), ..ComparedPolicy::default() });
        }
        Side::File(path) => path,
    };
    let text = file::read_text(path)?.into();
    let file = if path == Path::new("-") { "<stdin>".into() } else { path.display().to_string() };
    Ok(ComparedPolicy { text: Some(text), name: args.name.clone(), file, ..ComparedPolicy::default() })
}

/// The server decides; here the faults that it found in documents have their lines.
pub(crate) fn refused<'a>(
    error: ClientError,
    documents: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Failure {
    if !matches!(error, ClientError::Refused { .. }) {
        return Failure::from(error);
    }
    let parse =
        |(file, text)| sg_document::parse(file, text).map_err(Failure::input).and_then(policy::tested);
    let mut wrong = documents.into_iter().filter_map(|document| parse(document).err());
    wrong.next().unwrap_or_else(|| Failure::from(error))
}

/// Shows what differs. `has_flows`: the first policy is what is in force, so live flows are compared, too.
pub(crate) fn display(
    compared: &Comparison,
    has_flows: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let Comparison { counts, lines, left_out, undecided, flows, names, warnings } = compared;
    for warning in warnings {
        say(&format!("sgctl: warning: {}", escaped_lines(warning)));
    }
    if has_flows && let Some(why) = not_known(flows.as_ref()) {
        say(&format!("sgctl: warning: {why}"));
    }
    let is_table = output.format.is_table();
    if is_table && (!lines.is_empty() || *left_out > 0 || undecided.is_empty()) {
        output.line(&summary(received(counts)))?;
    }
    if is_table && let Some(flows) = flows {
        for line in impact(flows, names) {
            output.line(&line)?;
        }
    }
    for line in lines {
        if output.format == Format::Json {
            output.painted(&escaped_json(&serde_json::to_string(line).map_err(Failure::other)?))?;
            continue;
        }
        let live = line.flows.filter(|flows| *flows > 0);
        let live = live.map_or_else(String::new, |flows| format!(" ({})", count(flows, "live flow")));
        output.line(&format!("{}{live}", line.text))?;
        output.painted(&format!("    such as {}", escaped_json(&line.sample.to_string())))?;
    }
    if *left_out > 0 {
        // For programs, too.
        say(&format!("sgctl: and {}: --all shows every line", count(*left_out, "line")));
    }
    for part in undecided {
        let UndecidedPart { nic, direction, family, changed } = part;
        say(&format!(
            "sgctl: warning: not known within the time and the memory for it: what changes of {} do to {direction} of NIC {}, IPv{family}",
            escaped(&changed.join(", ")),
            escaped(nic),
        ));
    }
    if output.format == Format::Json
        && let Some(flows) = flows
    {
        // The last line, and the only one without a NIC.
        output.line(&serde_json::json!({ "flows": flows }).to_string())?;
    }
    Ok(())
}

/// Why it is not known what becomes of live flows.
pub(crate) fn not_known(flows: Option<&FlowImpact>) -> Option<String> {
    match flows {
        None => Some("what would become of live flows is not known".to_owned()),
        Some(FlowImpact { undecided: 0, .. }) => None,
        Some(FlowImpact { undecided, .. }) => {
            Some(format!("what would become of {} is not known", count(*undecided, "live flow")))
        }
    }
}

/// What becomes of live flows, in lines.
pub(crate) fn impact(flows: &FlowImpact, names: &Names) -> Vec<String> {
    let FlowImpact { total, revoked, reattributed, kept, undecided, largest } = flows;
    let noun = if *total == 1 { "connection" } else { "connections" };
    let parts = [
        Some(format!("would revoke {} of {} {noun}", thousands(*revoked), thousands(*total))),
        (*reattributed > 0).then(|| format!(", re-attribute {} to other rules", thousands(*reattributed))),
        (*kept > 0)
            .then(|| format!(", keep {} that the rules do not accept (established: keep)", thousands(*kept))),
        (*undecided > 0).then(|| format!("; of {} there was no time to find out", thousands(*undecided))),
    ];
    let text: String = parts.into_iter().flatten().collect();
    let mut lines = vec![text];
    if largest.len() < *revoked {
        lines.push(format!("the {} largest:", largest.len()));
    }
    lines.extend(largest.iter().map(|flow| format!("    {}", row(flow, names))));
    lines
}

fn row(revoked: &RevokedFlow, names: &Names) -> String {
    let called = |id: &String| names.get(id).unwrap_or(id).clone();
    let by = |group: &Option<String>, rule: &Option<String>| match (group, rule) {
        (Some(group), Some(rule)) => format!("rule {} of group {}", called(rule), called(group)),
        (Some(group), None) => format!("inner access of group {}", called(group)),
        (None, _) => "default".to_owned(),
    };
    let [source, destination] = revoked.ends().map(|(address, port)| match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    });
    let DiffOutcome { verdict, group, rule } = &revoked.after;
    format!(
        "{} {} {} {source} -> {destination}, {} bytes: {} -> {verdict} by {}",
        revoked.flow.nic,
        revoked.flow.direction,
        revoked.flow.protocol,
        thousands(revoked.bytes()),
        by(&revoked.flow.group, &revoked.flow.rule),
        by(group, rule),
    )
}

/// A number for people: `12,032`.
fn thousands<T: ToString + Copy>(number: T) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use sg_api_types::FlowRow;
    use sg_records::Direction;

    use super::*;
    use crate::args::common::OutputArgs;

    #[test]
    fn what_becomes_of_flows_is_said_in_words() {
        let row = serde_json::json!({
            "nic": "eth0", "vlan": null, "protocol": "tcp", "direction": "ingress", "remote": "10.0.0.9",
            "remote_port": 40000, "local": "2001:db8::5", "local_port": 22, "state": "established", "group": "sg-1",
            "rule": "ssh", "reason": "rule", "packets": [1, 2], "bytes": [1200, 34],
        });
        let flow: FlowRow = serde_json::from_value(row).unwrap();
        assert_eq!(flow.direction, Direction::Ingress);
        let after = DiffOutcome { verdict: "drop".to_owned(), group: None, rule: None };
        let flows = FlowImpact {
            total: 12_032,
            revoked: 14,
            reattributed: 311,
            kept: 2,
            undecided: 0,
            largest: vec![RevokedFlow { flow, after }],
        };
        let names = Names::from([("sg-1".to_owned(), "web".to_owned())]);
        let lines = impact(&flows, &names);
        let expected = "would revoke 14 of 12,032 connections, re-attribute 311 to other rules, keep 2 that the rules do not accept \
                        (established: keep)";
        assert_eq!(lines[0], expected);
        assert_eq!(lines[1], "the 1 largest:");
        assert_eq!(
            lines[2],
            "    eth0 ingress tcp 10.0.0.9:40000 -> [2001:db8::5]:22, 1,234 bytes: rule ssh of group web -> drop by default"
        );
        assert_eq!(not_known(Some(&flows)), None);
        let late = FlowImpact { undecided: 3, ..flows };
        assert_eq!(not_known(Some(&late)).unwrap(), "what would become of 3 live flows is not known");
        let one = FlowImpact { total: 1, ..FlowImpact::default() };
        assert_eq!(impact(&one, &names), ["would revoke 0 of 1 connection"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands::<u64>), ["0", "999", "1,000", "1,234,567"]);
    }

    /// What is displayed of a comparison without lines, and how it ends.
    fn displayed(flows: Option<FlowImpact>, undecided: Vec<UndecidedPart>) -> (String, Result<(), Failure>) {
        let mut out = Vec::new();
        let mut output = Output::new(&OutputArgs::default(), &mut out).unwrap();
        output.format = Format::Json;
        let compared = Comparison { flows, undecided, ..Comparison::default() };
        display(&compared, true, &mut output).unwrap();
        (String::from_utf8(out).unwrap(), end(&compared, true))
    }

    #[test]
    fn what_is_not_known_is_not_harmless() {
        let known = FlowImpact { total: 2, ..FlowImpact::default() };
        let (out, result) = displayed(Some(known.clone()), Vec::new());
        let line: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&line["flows"]["total"], &line["flows"]["largest"]), (&2.into(), &serde_json::json!([])));
        result.unwrap();
        let late = FlowImpact { undecided: 1, ..known.clone() };
        for flows in [Some(late), None] {
            let failure = displayed(flows, Vec::new()).1.unwrap_err();
            assert!(failure.code() == 2 && format!("{failure:?}").contains("is not known"), "{failure:?}");
        }
        let part = UndecidedPart {
            nic: "eth0".to_owned(),
            direction: Direction::Ingress,
            family: 4,
            changed: Vec::new(),
        };
        assert_eq!(displayed(Some(known), vec![part]).1.unwrap_err().code(), 2);
    }
}
