//! From recorded figures to the JSON document and to the documentation: their form. How large a figure should be is not checked.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use sg_benches::{Figure, Unit, figure_list::FAMILIES, read};

/// Names that programs and people look up.
const READ_BY_NAME: [(&str, Unit); 17] = [
    ("established/16k", Unit::Nanoseconds),
    ("classify/10", Unit::Nanoseconds),
    ("classify/1k", Unit::Nanoseconds),
    ("classify/10k", Unit::Nanoseconds),
    ("classify/100k", Unit::Nanoseconds),
    ("classify/1m", Unit::Nanoseconds),
    ("groups/1", Unit::Nanoseconds),
    ("groups/5", Unit::Nanoseconds),
    ("groups/10", Unit::Nanoseconds),
    ("path/ours/1k", Unit::Nanoseconds),
    ("path/nft-sets/1k", Unit::Nanoseconds),
    ("compile/1k", Unit::Microseconds),
    ("compile/100k", Unit::Microseconds),
    ("member-join/100k", Unit::Microseconds),
    ("memory/rule", Unit::Bytes),
    ("memory/flow", Unit::Bytes),
    ("bulk/filtered", Unit::Ratio),
];

fn figures(lines: &Path, arguments: &[&Path]) -> std::process::Output {
    let mut figures = Command::new(env!("CARGO_BIN_EXE_figures"));
    figures.arg(lines).args(arguments).output().expect("it runs")
}

#[test]
fn a_document_has_what_was_recorded() {
    let place = tempfile::tempdir().expect("a directory");
    let lines = place.path().join("lines");
    for (number, (name, unit)) in (0u8..).zip(READ_BY_NAME) {
        let figure =
            Figure::new(name, 10.0 + f64::from(number), unit).beside(16_021.820_999_999_998).spread(0.5);
        figure.append(&lines).expect("written");
    }
    Figure::new("established/16k", 70.5, Unit::Nanoseconds).append(&lines).expect("taken again");
    let docs = place.path().join("docs");
    fs::create_dir(&docs).expect("made");
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/design/performance.md"),
        docs.join("performance.md"),
    )
    .expect("copied");

    let json = place.path().join("figures.json");
    let output = figures(&lines, &[Path::new("--json"), &json, Path::new("--docs"), &docs]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();

    let document: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_slice(&fs::read(json).expect("read")).expect("an array of objects");
    assert_eq!(document.len(), READ_BY_NAME.len());
    for (figure, (name, unit)) in document.iter().zip(READ_BY_NAME) {
        let keys: BTreeSet<&str> = figure.keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["baseline", "name", "ratio", "spread", "unit", "value"]));
        assert_eq!((figure["name"].as_str(), figure["unit"].as_str()), (Some(name), Some(unit.as_str())));
        assert!(table.contains(name), "{table}");
    }
    assert_eq!(document[0]["value"], 70.5, "of a name that was taken twice, the last");
    assert_eq!(document[1]["value"], 11.0);
    assert!(document[1]["ratio"].as_f64().is_some_and(|ratio| (ratio * 16_021.821 - 11.0).abs() < 1e-6));

    let page = fs::read_to_string(docs.join("performance.md")).expect("read");
    assert!(page.contains("| `established/16k` | **70.5 ns** |"), "{page}");
}

#[test]
fn what_is_no_figure_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let lines = place.path().join("lines");
    for (line, wanted) in [
        (
            r#"{"name":"deny/1k","value":1.0,"unit":"s","baseline":null,"ratio":null,"spread":null}"#,
            "expected one of `ns`",
        ),
        (r#"{"name":"deny 1k","value":1.0,"unit":"ns","baseline":null,"ratio":null,"spread":null}"#, "name"),
        (r#"{"name":"deny/1k","value":1.0,"unit":"ns","baseline":2.0,"ratio":3.0,"spread":null}"#, "ratio"),
        (
            r#"{"name":"deny/1k","value":1.0,"unit":"ns","baseline":null,"ratio":null,"spread":-1.0}"#,
            "spread",
        ),
        (
            r#"{"name":"deny/1k","value":1.0,"unit":"ns","baseline":null,"ratio":null,"spread":null,"x":1}"#,
            "x",
        ),
        (r#"{"name":"deny/1k","unit":"ns","baseline":null,"ratio":null,"spread":null}"#, "value"),
    ] {
        fs::write(&lines, format!("{line}\n")).expect("written");
        let error = read(&lines).map(drop).map_err(|error| format!("{error:#}"));
        assert!(
            error.as_ref().is_err_and(|error| error.contains("line 1") && error.contains(wanted)),
            "{error:?}"
        );
    }
    let no_number = Figure::new("deny/1k", f64::NAN, Unit::Nanoseconds).append(&lines);
    assert!(no_number.is_err(), "a figure that is no number is not written");
    Figure::new("unknown/1k", 1.0, Unit::Bytes).append(&place.path().join("other")).expect("written");
    let output = figures(&place.path().join("other"), &[]);
    assert!(!output.status.success(), "a family that nobody explains");
}

#[test]
fn families_are_told_apart() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for (name, unit) in READ_BY_NAME {
        let family = FAMILIES.iter().find(|family| name.split('/').next() == Some(family.name));
        assert_eq!(family.map(|family| family.unit), Some(unit), "{name}");
    }
}
