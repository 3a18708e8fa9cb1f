//! A figure: the result of a benchmark, and how it reaches `cargo xtask bench`.
//!
//! A benchmark records each figure when it has it. It is printed, and if `SG_FIGURES` is set, appended to that file as a line of
//! JSON. The binary `figures` makes the table, the JSON document and the tables of the documentation from that file.

use std::{
    env, fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// The environment variable with the file to which figures are appended.
const FILE: &str = "SG_FIGURES";

/// The unit of a figure, written as in the JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Time of a packet, or of anything else that is short.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Time until a change is in force.
    #[serde(rename = "µs")]
    Microseconds,
    /// Time that people wait for.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Memory.
    #[serde(rename = "bytes")]
    Bytes,
    /// A number of things, such as nodes or instructions.
    #[serde(rename = "count")]
    Count,
    /// Packets a second.
    #[serde(rename = "pps")]
    PacketsPerSecond,
    /// Throughput.
    #[serde(rename = "Mbit/s")]
    Megabits,
    /// A ratio.
    #[serde(rename = "ratio")]
    Ratio,
}

impl Unit {
    /// As in the JSON document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::PacketsPerSecond => "pps",
            Self::Megabits => "Mbit/s",
            Self::Ratio => "ratio",
        }
    }

    /// How many make a second; one for units that are no time.
    #[must_use]
    pub const fn a_second(self) -> f64 {
        match self {
            Self::Nanoseconds => 1e9,
            Self::Microseconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Bytes | Self::Count | Self::PacketsPerSecond | Self::Megabits | Self::Ratio => 1.0,
        }
    }

    /// Whether a target is a minimum rather than a maximum.
    #[must_use]
    pub const fn is_better_larger(self) -> bool {
        matches!(self, Self::PacketsPerSecond | Self::Megabits | Self::Ratio)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A measurement. `docs/design/performance.md` describes the baseline of each name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Such as `classify/1k`: a family, `/`, a size or a variant.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Of `value`, `baseline` and `spread`.
    pub unit: Unit,
    /// The value that it is compared with, measured in the same run.
    pub baseline: Option<f64>,
    /// `value / baseline`.
    pub ratio: Option<f64>,
    /// The interquartile range of the rounds. None: it was counted, or measured once.
    pub spread: Option<f64>,
}

impl Figure {
    /// A figure without a baseline.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, baseline: None, ratio: None, spread: None }
    }

    /// Sets the baseline, in the same unit.
    #[must_use]
    pub fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline != 0.0).then_some(self.value / baseline);
        self
    }

    /// Sets the spread of the rounds, in the same unit: [`crate::sampling::Samples::spread`].
    #[must_use]
    pub fn spread(mut self, spread: f64) -> Self {
        self.spread = Some(spread);
        self
    }

    /// Prints it, and passes it to the command that requested it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&self) -> io::Result<()> {
        println!("{self}");
        env::var_os(FILE).map_or(Ok(()), |file| self.append(Path::new(&file)))
    }

    /// Appends it to a file as a line of JSON.
    ///
    /// # Errors
    /// If the file cannot be written, or it is no valid figure: [`Self::fault`].
    pub fn append(&self, file: &Path) -> io::Result<()> {
        if let Some(wrong) = self.fault() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {wrong}", self.name)));
        }
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        file.write_all(line.as_bytes())
    }

    /// What is wrong with its form, for programs that read figures by name; its size is not checked.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let is_word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
                })
        };
        let parts: Vec<&str> = self.name.split('/').collect();
        let is_number = |number: Option<f64>| number.is_none_or(f64::is_finite);
        if parts.len() < 2 || !parts.into_iter().all(is_word) {
            Some("its name is not of lower-case words with `/` between them")
        } else if !self.value.is_finite() || !is_number(self.baseline) || !is_number(self.spread) {
            Some("it has a number that is none")
        } else if self.spread.is_some_and(|spread| spread < 0.0) {
            Some("its spread is negative")
        } else if !self.is_consistent() {
            Some("its ratio is not value / baseline")
        } else {
            None
        }
    }

    /// Whether the ratio is that of value and baseline, except for the last digits, which a text does not keep.
    fn is_consistent(&self) -> bool {
        let expected = self.clone().beside(self.baseline.unwrap_or_default()).ratio;
        match (self.ratio, expected) {
            (Some(ratio), Some(expected)) => (ratio - expected).abs() <= 1e-9 * expected.abs(),
            (ratio, expected) => ratio == expected,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.unit == Unit::Ratio { 3 } else { 1 };
        write!(f, "{:<26} {:>12.digits$} {}", self.name, self.value, self.unit)?;
        if let Some(spread) = self.spread {
            write!(f, " ± {spread:.digits$}")?;
        }
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            write!(f, ", {ratio:.3} × {baseline:.digits$}")?;
        }
        Ok(())
    }
}

/// The figures of a file of lines, in the order they were taken; if a name was taken again, the last one.
///
/// # Errors
/// If the file cannot be read, or a line is no figure.
pub fn read(lines: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(lines).with_context(|| format!("cannot read {}", lines.display()))?;
    let mut figures: Vec<Figure> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = || format!("{}: line {number}", lines.display());
        let figure: Figure = serde_json::from_str(line).with_context(place)?;
        if let Some(wrong) = figure.fault() {
            bail!("{}: {}: {wrong}", place(), figure.name);
        }
        match figures.iter_mut().find(|known| known.name == figure.name) {
            Some(known) => *known = figure,
            None => figures.push(figure),
        }
    }
    Ok(figures)
}
