//! Reads probes and writes results, line by line, in constant memory.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use sg_model::{
    Policy,
    text::{escaped, escaped_json},
};
use sg_probe::{LineReason, Reader};
use thiserror::Error;

use super::{Engine, EngineError};

/// The maximum length of a line in bytes; a probe has about 150.
const LONGEST_LINE: u64 = 64 * 1024;

/// The output format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object per line.
    Json,
    /// One line in words, with the probe.
    Words,
}

/// Why a stream ended early. The results for the lines before are written.
#[derive(Debug, Error)]
pub enum StreamError {
    /// A line is not a probe.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The name of the input.
        file: String,
        /// The line number, from 1.
        line: u64,
        /// What is wrong with the line.
        reason: LineReason,
    },
    /// A line that is too long for a probe.
    #[error("{file}:{line}: longer than {LONGEST_LINE} bytes: a probe is one JSON object a line")]
    LongLine {
        /// The name of the input.
        file: String,
        /// The line number, from 1.
        line: u64,
    },
    /// An engine has no result.
    #[error("{file}:{line}: {error}")]
    Engine {
        /// The name of the input.
        file: String,
        /// The line number, from 1.
        line: u64,
        /// The engine's error.
        error: EngineError,
    },
    /// The input cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The name of the input.
        file: String,
        /// The cause.
        error: io::Error,
    },
    /// The results cannot be written.
    #[error("writing results: {0}")]
    Write(io::Error),
}

/// Checks every line of `probes`, read from `file`, with `engine`. Empty lines are skipped.
///
/// # Errors
/// At the first line without a result, after the results before it were flushed.
pub fn stream(
    policy: &Policy,
    file: &str,
    probes: &mut BufReader<Box<dyn Read + '_>>,
    engine: &mut dyn Engine,
    form: Form,
    results: &mut dyn Write,
) -> Result<(), StreamError> {
    let checked = check_lines(policy, file, probes, engine, form, results);
    results.flush().map_err(StreamError::Write)?;
    checked
}

fn check_lines(
    policy: &Policy,
    file: &str,
    probes: &mut BufReader<Box<dyn Read + '_>>,
    engine: &mut dyn Engine,
    form: Form,
    results: &mut dyn Write,
) -> Result<(), StreamError> {
    let reader = Reader::new(policy);
    let file = || file.to_owned();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if probes.buffer().is_empty() {
            // The sender of the next probe may be waiting for these results.
            results.flush().map_err(StreamError::Write)?;
        }
        let length = probes
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| StreamError::Read { file: file(), error })?;
        match length {
            0 => break,
            length if length as u64 == LONGEST_LINE => {
                return Err(StreamError::LongLine { file: file(), line });
            }
            _ if bytes.trim_ascii().is_empty() => continue,
            _ => {}
        }
        let probe =
            reader.probe(&bytes).map_err(|reason| StreamError::Line { file: file(), line, reason })?;
        let result =
            engine.check(&probe).map_err(|error| StreamError::Engine { file: file(), line, error })?;
        let result = result.written(policy);
        match form {
            Form::Json => serde_json::to_string(&result)
                .map_err(io::Error::from)
                .and_then(|result| writeln!(results, "{}", escaped_json(&result))),
            Form::Words => {
                let device = policy.nics().get(probe.nic()).map_or("", |nic| &nic.device);
                writeln!(results, "{}", escaped(&format!("{device} {probe}: {result}")))
            }
        }
        .map_err(StreamError::Write)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OracleEngine;
    use sg_model::{Group, GroupIndex, GroupType, Nic, PolicyParts};

    fn policy() -> Policy {
        let group = Group {
            name: "web".to_owned(),
            kind: GroupType::Basic,
            inner_access: true,
            description: None,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let nic = Nic { addresses: vec!["10.0.0.5".parse().unwrap()], ..Nic::new("eth0", [GroupIndex(0)]) };
        let members = [(GroupIndex(0), vec!["10.0.0.6".parse().unwrap()])].into();
        let parts = PolicyParts { groups: vec![group], nics: vec![nic], members, ..PolicyParts::default() };
        Policy::new(parts).unwrap()
    }

    fn run(probes: &str, form: Form) -> (String, Option<String>) {
        let policy = policy();
        let mut results = Vec::new();
        let mut engine = OracleEngine::new(&policy);
        let result = stream(
            &policy,
            "probes.jsonl",
            &mut BufReader::new(Box::new(probes.as_bytes())),
            &mut engine,
            form,
            &mut results,
        );
        (String::from_utf8(results).unwrap(), result.err().map(|error| error.to_string()))
    }

    const MEMBER: &str =
        r#"{"nic":"eth0","direction":"ingress","protocol":47,"src":"10.0.0.6","dst":"10.0.0.5"}"#;
    const STRANGER: &str = r#"{"nic":"eth0","direction":"ingress","protocol":"tcp","src":"10.0.0.7","dst":"10.0.0.5","dport":1}"#;

    #[test]
    fn a_result_a_line_in_the_order_of_the_probes() {
        let (results, error) = run(&format!("{MEMBER}\r\n\n{STRANGER}"), Form::Json);
        assert_eq!(error, None);
        assert_eq!(
            results,
            "{\"verdict\":\"accept\",\"reason\":\"intra-group\",\"group\":\"web\",\"rule\":null}\n\
             {\"verdict\":\"drop\",\"reason\":\"default\",\"group\":null,\"rule\":null}\n"
        );
        let (results, _) = run(&format!("{MEMBER}\n{STRANGER}\n"), Form::Words);
        assert_eq!(
            results,
            "eth0 ingress gre 10.0.0.6 -> 10.0.0.5: accept by intra-group of group web\n\
             eth0 ingress tcp 10.0.0.7:40000 -> 10.0.0.5:1: drop by default\n"
        );
    }

    #[test]
    fn a_bad_line_is_named_and_earlier_results_stay() {
        let (results, error) = run(&format!("{MEMBER}\n{{\"nic\":1}}\n{STRANGER}\n"), Form::Json);
        assert_eq!(results.lines().count(), 1);
        assert_eq!(error.unwrap(), "probes.jsonl:2: column 8: invalid type: integer `1`, expected a string");
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let (results, error) = run(&"x".repeat(100_000), Form::Json);
        assert!(results.is_empty());
        assert!(error.unwrap().starts_with("probes.jsonl:1: longer than"));
    }
}
