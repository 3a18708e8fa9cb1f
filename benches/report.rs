//! A figure: what a benchmark found, and how it reaches `cargo xtask bench`.
//!
//! A benchmark records each figure when it has it. It is printed, and where the command asked for it by [`FILE`],
//! appended to that file as a line of JSON. The binary `figures` makes the table, the JSON document, the tables and
//! the plots of the documentation out of that file.

use std::{
    env, fmt,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The environment variable that names the file that figures are appended to.
pub const FILE: &str = "SG_FIGURES";

/// What a figure counts. It is written as in the JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Time a packet, or of anything else that is short.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Time until a change is in force.
    #[serde(rename = "µs")]
    Microseconds,
    /// Time of what people wait for.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Memory.
    #[serde(rename = "bytes")]
    Bytes,
    /// Things of a kind, such as nodes or instructions.
    #[serde(rename = "count")]
    Count,
    /// Packets a second.
    #[serde(rename = "pps")]
    PacketsPerSecond,
    /// Throughput.
    #[serde(rename = "Mbit/s")]
    Megabits,
    /// One by the other.
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

    /// How many make a second; of what is no time, one.
    #[must_use]
    pub const fn a_second(self) -> f64 {
        match self {
            Self::Nanoseconds => 1e9,
            Self::Microseconds => 1e6,
            Self::Milliseconds => 1e3,
            Self::Bytes | Self::Count | Self::PacketsPerSecond | Self::Megabits | Self::Ratio => 1.0,
        }
    }

    /// Whether a target is the least that is asked for, rather than the most.
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

/// What was measured. `docs/performance.md` says of each name what the baseline is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Such as `classify/1k`: a family, `/`, a size or a variant.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Of `value`, `baseline` and `spread`.
    pub unit: Unit,
    /// What it is compared with, measured in the same run.
    pub baseline: Option<f64>,
    /// `value / baseline`.
    pub ratio: Option<f64>,
    /// How far the middle half of the rounds lie apart. None: it was counted, or measured once.
    pub spread: Option<f64>,
}

impl Figure {
    /// A figure that is compared with nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, baseline: None, ratio: None, spread: None }
    }

    /// What it is compared with, in the same unit.
    #[must_use]
    pub fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline != 0.0).then_some(self.value / baseline);
        self
    }

    /// How far the rounds lie apart, in the same unit: [`crate::sampling::Samples::spread`].
    #[must_use]
    pub fn spread(mut self, spread: f64) -> Self {
        self.spread = Some(spread);
        self
    }

    /// Prints it, and hands it to the command that asked for it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn record(&self) -> io::Result<()> {
        println!("{self}");
        env::var_os(FILE).map_or(Ok(()), |file| self.append(Path::new(&file)))
    }

    /// Appends it to a file as a line of JSON.
    ///
    /// # Errors
    /// Where that cannot be written, and where it is no figure: [`Self::fault`].
    pub fn append(&self, file: &Path) -> io::Result<()> {
        if let Some(wrong) = self.fault() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {wrong}", self.name)));
        }
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        file.write_all(line.as_bytes())
    }

    /// What is wrong with it, for who reads figures by name: nothing is said of how large it should be.
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

    /// Whether the ratio is that of value and baseline, but for the last digits, which a text does not keep.
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

/// The figures of a file of lines, in the order they were taken; of a name that was taken again, the last.
///
/// # Errors
/// Where it cannot be read, and where a line is no figure.
pub fn read(lines: &Path) -> Result<Vec<Figure>, ReportError> {
    let fault = |what: String| ReportError { file: lines.to_owned(), what };
    let mut figures: Vec<Figure> = Vec::new();
    let file = File::open(lines).map_err(|error| fault(error.to_string()))?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| fault(error.to_string()))?;
        let figure: Figure =
            serde_json::from_str(&line).map_err(|error| fault(format!("line {number}: {error}")))?;
        if let Some(wrong) = figure.fault() {
            return Err(fault(format!("line {number}: {}: {wrong}", figure.name)));
        }
        match figures.iter_mut().find(|known| known.name == figure.name) {
            Some(known) => *known = figure,
            None => figures.push(figure),
        }
    }
    Ok(figures)
}

/// A file of figures that is none.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct ReportError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong with it, and where.
    pub what: String,
}
