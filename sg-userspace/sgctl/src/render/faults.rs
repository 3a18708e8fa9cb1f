//! Failures on standard error; standard output is for results. The faults of a document are for people each a line with a caret
//! under the place, and for programs data. It must never choose the exit code: the failure has it. Called by `main`.

use std::io::{self, IsTerminal as _};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use clap::builder::styling::Style;
use serde::Serialize;
use sg_document::{DocumentError, Fault, SourceLine};
use sg_model::text::{escaped, escaped_json, escaped_lines};

use super::{output::colour, paint::paint};
use crate::{args::common::Format, failure::Failure, stderr::say};

/// The faults for programs.
#[derive(Serialize)]
struct Written<'e> {
    errors: Vec<WrittenFault<'e>>,
    /// Whether there may be more.
    more: bool,
}

/// A fault for programs. Lines and columns are counted from 1.
#[derive(Serialize)]
struct WrittenFault<'e> {
    file: &'e str,
    line: Option<u32>,
    column: Option<u32>,
    path: String,
    message: String,
}

impl<'e> Written<'e> {
    fn of(error: &'e DocumentError) -> Self {
        let fault = |fault: &'e Fault| WrittenFault {
            file: &error.file,
            line: fault.at.map(|at| at.line),
            column: fault.at.map(|at| at.column),
            path: fault.path.to_string(),
            message: fault.problem.to_string(),
        };
        Self { errors: error.faults.iter().map(fault).collect(), more: error.more }
    }
}

/// Prints a failure to standard error. The faults of a document have the format of the output.
pub(crate) fn report(failure: &Failure, format: Format) {
    match failure {
        Failure::Input(error)
        | Failure::NotFound(error)
        | Failure::Guarded(error)
        | Failure::Other(error) => match error.downcast_ref() {
            Some(document) => print(document, format),
            None => say(&format!("sgctl: {}", escaped_lines(&format!("{error:#}")))),
        },
        Failure::BrokenPipe | Failure::Different => {}
    }
}

fn print(error: &DocumentError, format: Format) {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&Written::of(error))
            .map_or_else(|_| error.to_string(), |json| escaped_json(&json).into_owned()),
        Format::Yaml => yaml(error),
        Format::Table | Format::Wide | Format::Name => blocks(error, colour(io::stderr().is_terminal())),
    };
    say(text.trim_end());
}

fn yaml(error: &DocumentError) -> String {
    serde_saphyr::to_string(&Written::of(error)).unwrap_or_else(|_| error.to_string())
}

/// A block for each fault: what is wrong, and where.
fn blocks(error: &DocumentError, colour: bool) -> String {
    let mut text = String::new();
    for fault in &error.faults {
        let line = escaped(&error.line(fault)).into_owned();
        let line = if colour { paint(&line, Style::new().bold()) } else { line };
        text.extend(["sgctl: ", &line, "\n"]);
        text.extend(excerpt(fault, colour).map(|excerpt| excerpt + "\n"));
    }
    text.extend(error.rest().map(|rest| format!("sgctl: {}\n", escaped(&rest))));
    text
}

/// The line of a fault, with a mark under the place.
fn excerpt(fault: &Fault, colour: bool) -> Option<String> {
    let (at, SourceLine { text, length }) = (fault.at?, fault.line.as_ref()?);
    let column = at.column.checked_sub(1)? as usize;
    let offset = |column: usize| text.char_indices().nth(column).map_or(text.len(), |(offset, _)| offset);
    let snippet: Snippet<'_, _> = Snippet::source(text.as_str())
        .line_start(at.line as usize)
        .annotation(AnnotationKind::Primary.span(offset(column)..offset(column + length)));
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    Some(renderer.render(&[Group::with_level(Level::ERROR).element(snippet)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: &str = "groups:\n  web:\n    ingress:\n      - { protocol: tcp, ports: 90-80 }\n      - { protokoll: tcp }\n";

    fn error(text: &str) -> DocumentError {
        sg_document::parse("policy.yaml", text.as_bytes()).unwrap_err()
    }

    #[test]
    fn each_fault_is_a_block_with_a_mark_under_the_place() {
        let wanted = "\
sgctl: policy.yaml:4:33: groups.web.ingress[0].ports: found \"90-80\": a range goes from low to high, write 80-90
  |
4 |       - { protocol: tcp, ports: 90-80 }
  |                                 ^^^^^
sgctl: policy.yaml:5:11: groups.web.ingress[1].protokoll: unknown key \"protokoll\" (did you mean \"protocol\"?): allowed are \
action, priority, protocol, ports, source_ports, icmp_type, icmp_code, dscp, family, remote, local, enabled, id, description
  |
5 |       - { protokoll: tcp }
  |           ^^^^^^^^^
";
        assert_eq!(blocks(&error(BROKEN), false), wanted);
        let coloured = blocks(&error(BROKEN), true);
        assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    }

    #[test]
    fn wide_letters_tabs_and_control_characters_leave_the_mark_where_it_is() {
        let text = "groups:\n  \"京\u{7}\": { type: premium }\n";
        let blocks = blocks(&error(text), false);
        assert!(!blocks.contains('\u{7}') && blocks.contains('^'), "{blocks}");
    }

    #[test]
    fn a_file_that_is_no_policy_is_not_shown() {
        let blocks = blocks(&error("user: SECRET\npassword: SECRET\n"), false);
        assert!(!blocks.contains("SECRET") && blocks.lines().count() == 1, "{blocks}");
    }

    #[test]
    fn programs_get_each_fault_as_data() {
        let written = serde_json::to_value(Written::of(&error(BROKEN))).unwrap();
        assert_eq!(written["errors"].as_array().unwrap().len(), 2);
        let first = serde_json::json!({
            "file": "policy.yaml", "line": 4, "column": 33, "path": "groups.web.ingress[0].ports",
            "message": "found \"90-80\": a range goes from low to high, write 80-90",
        });
        assert_eq!((&written["errors"][0], &written["more"]), (&first, &serde_json::json!(false)));
        assert!(yaml(&error(BROKEN)).contains("column: 33"));
    }
}
