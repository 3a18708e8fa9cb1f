//! What a scrape looks like, without a kernel: made samples as text, and the table of `docs/use/metrics.md`.

use std::{collections::BTreeSet, env, fs, path::Path, time::Duration};

use jiff::Timestamp;
use sg_agent::{Measure as _, RefusalCause};
use sg_api::recording::Durations as _;
use sg_audit::Api;
use sg_common::{abi::Counter, verdict::Reason};
use sg_kernel::LiveFlows;

use crate::{
    Format, Measured, exposition,
    process::Process,
    sample::{NicSample, RuleSample, Sample, SinkSample, of_nic},
    table::{ALL, Kind},
};

/// A host with so many NICs and rules, of which everything has been counted.
fn sample(nics: usize, rules: usize) -> Sample {
    let counter = Counter { packets: 12_345_678_901, bytes: 12_345_678_901_234 };
    let nic = |number| {
        let (reasons, full) = of_nic();
        NicSample {
            nic: format!("eni-abcdefghijkmn{number:04}"),
            generation: 4_000_000_000,
            image_bytes: Some(1 << 24),
            totals: ["ingress", "egress"]
                .into_iter()
                .flat_map(|direction| {
                    ["accept", "drop", "reject"].map(|verdict| (direction, verdict, counter))
                })
                .collect(),
            reasons: reasons.map(|(direction, reason)| (direction, reason, counter.packets)).collect(),
            full: full.map(|why| (why, counter.packets)).into(),
        }
    };
    let rule = |number| RuleSample {
        group: "sg-abcdefghijkmnpqrs".to_owned(),
        rule: format!("sgr-abcdefghijkmn{number:04}"),
        direction: "ingress",
        action: "accept",
        counter,
        last_hit: Some(Timestamp::UNIX_EPOCH),
    };
    Sample {
        nics: (0..nics).map(nic).collect(),
        rules: (0..rules).map(rule).collect(),
        not_exported: 3,
        host_reasons: vec![("no-nic", 1), ("no-image", 0), ("image-version", 0), ("image-fault", 0)],
        live: Some(LiveFlows { v4: [1, 2], v6: [3, 4] }),
        flow_capacity: Some(262_144),
        applied: Some(Timestamp::UNIX_EPOCH),
        lost: vec![("event-ring", 0), ("observer-queue", 0), ("flow-ring", 0), ("restart", 0)],
        sinks: vec![SinkSample { sink: "file-1".to_owned(), records: 5, lost: vec![("storage", 1)] }],
        process: Some(Process {
            cpu: Duration::from_millis(1_500),
            resident_bytes: 1,
            virtual_bytes: 2,
            threads: 3,
            started: Duration::from_secs(1_700_000_000),
            open: 4,
            most_open: Some(5),
        }),
    }
}

fn measured() -> Measured {
    let measured = Measured::default();
    measured.applied(Duration::from_millis(30));
    measured.aged(Duration::from_millis(3), LiveFlows::default());
    measured.refused(RefusalCause::Capacity);
    measured.took(Api::Native, "list_groups", 200, Duration::from_micros(300));
    measured
}

fn text(sample: Sample, format: Format) -> String {
    exposition::text(sample, &measured(), format).unwrap()
}

fn series(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

#[test]
fn both_forms_have_every_metric_of_the_table_with_its_labels() {
    for format in [Format::OpenMetrics, Format::Text] {
        let text = text(sample(2, 2), format);
        for metric in ALL {
            let written = match (format, metric.kind) {
                (Format::OpenMetrics, _) => metric.stem(),
                (Format::Text, _) => metric.name,
            };
            let kind = match (format, metric.kind) {
                (Format::Text, Kind::Info) => "gauge",
                (_, kind) => kind.name(),
            };
            assert!(text.contains(&format!("# HELP {written} {}\n", metric.help)), "{written}\n{text}");
            assert!(text.contains(&format!("# TYPE {written} {kind}\n")), "{written}\n{text}");
            let of_metric = |line: &&str| {
                let name = line.split(['{', ' ']).next().unwrap_or_default();
                match metric.kind {
                    Kind::Histogram => name.strip_prefix(metric.name).is_some_and(|rest| rest == "_count"),
                    _ => name == metric.name,
                }
            };
            let found: Vec<&str> = series(&text).filter(of_metric).collect();
            assert!(!found.is_empty(), "{}", metric.name);
            for line in found {
                let labels: Vec<&str> = line
                    .split_once('{')
                    .and_then(|(_, rest)| rest.split_once('}'))
                    .map(|(labels, _)| {
                        labels.split(',').filter_map(|label| label.split('=').next()).collect()
                    })
                    .unwrap_or_default();
                let is_of_host = metric.name == "sgd_reason_packets_total" && labels == ["reason"];
                assert!(labels == metric.labels || is_of_host, "{line}");
            }
        }
        assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
    }
    let text = text(sample(1, 1), Format::Text);
    for line in [
        "sgd_reason_packets_total{reason=\"no-nic\"} 1",
        "sgd_flows{family=\"ipv6\",state=\"half-open\"} 4",
        "sgd_policy_refused_total{cause=\"capacity\"} 1",
        "sgd_flow_log_lost_total{sink=\"file-1\",why=\"storage\"} 1",
        "process_cpu_seconds_total 1.5",
        "sgd_rules_not_exported 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn series_are_as_many_as_the_page_says() {
    let count = |nics, rules| series(&text(sample(nics, rules), Format::OpenMetrics)).count();
    let nothing = count(0, 0);
    assert!(count(1, 0) - nothing <= 60, "{}", count(1, 0) - nothing);
    assert_eq!(count(0, 1) - nothing, 3);
    assert_eq!(count(100, 1_000) - nothing, 100 * (count(1, 0) - nothing) + 3_000);
    let histograms: usize = series(&text(sample(0, 0), Format::Text))
        .filter(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            ["_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix))
        })
        .count();
    // Those of the one sink of the sample, too.
    assert!(nothing - histograms <= 40 + 2, "{nothing} - {histograms}");
}

#[test]
fn a_hundred_nics_and_a_thousand_rules_fit_into_two_megabytes() {
    for format in [Format::OpenMetrics, Format::Text] {
        let bytes = text(sample(100, 1_000), format).len();
        assert!(bytes <= 2_000_000, "{format:?}: {bytes}");
    }
}

#[test]
fn every_reason_that_a_nic_counts_is_shown() {
    let (reasons, full) = of_nic();
    let mut shown: BTreeSet<&str> = reasons.map(|(_, reason)| reason).collect();
    shown.extend(full.map(Reason::name));
    let host = ["no-nic", "no-image", "image-version", "image-fault"];
    for reason in Reason::ALL {
        let elsewhere = ["rule", "intra-group"].contains(&reason.name()) || host.contains(&reason.name());
        assert_eq!(shown.contains(reason.name()), !elsewhere, "{}", reason.name());
    }
}

/// `SG_WRITE_DOCS=1` writes the table.
#[test]
fn the_page_has_the_table() {
    const BEGIN: &str =
        "<!-- the table of metrics: written by SG_WRITE_DOCS=1 cargo test -p sg-metrics -->\n";
    const END: &str = "<!-- end of the table of metrics -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/use/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let rows = ALL.iter().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |\n", metric.name, metric.kind.name(), labels.join(", "), metric.help)
    });
    let table: String = ["\n| metric | kind | labels | what it says |\n|---|---|---|---|\n".to_owned()]
        .into_iter()
        .chain(rows)
        .chain(["\n".to_owned()])
        .collect();
    if env::var_os("SG_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, table, "write it with SG_WRITE_DOCS=1 cargo test -p sg-metrics");
}
