//! The options of the flow log, as flags of `sgd` have them.
//!
//! Parsing only; an error says what to write instead. It must never open anything. `sgd` parses, `Sinks` starts.

use std::{fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;
use sg_host::rotated::{MAX_KEPT, Rotation};
use sg_model::text::digits;
use thiserror::Error;

use crate::{aggregate::Fields, filter::Filter, format::Format, sink::Target};

/// The flow log: where to, in which format, and which records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowLogOptions {
    /// `--flow-log`, which may be repeated. None: there is no flow log.
    pub sinks: Vec<Target>,
    /// `--flow-log-format`: of files and unix sockets. IPFIX has its own.
    pub format: Format,
    /// `--flow-log-interval`.
    pub interval: Interval,
    /// `--flow-log-filter`.
    pub filter: Filter,
    /// `--flow-log-aggregate`.
    pub aggregate: Option<Fields>,
    /// `--flow-log-rotate`: of files.
    pub rotation: RotationOption,
}

/// A text that is no interval.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?}: write an interval from 10s to 600s, such as 60s or 5m")]
pub struct NoInterval {
    /// The text as given.
    pub found: String,
}

/// How often flows that go on are reported: 10 to 600 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(u16);

impl Default for Interval {
    fn default() -> Self {
        Self(60)
    }
}

impl Interval {
    /// The interval.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl FromStr for Interval {
    type Err = NoInterval;

    fn from_str(text: &str) -> Result<Self, NoInterval> {
        let seconds =
            duration(text).filter(|duration| duration.subsec_nanos() == 0).map(|whole| whole.as_secs());
        let allowed = seconds
            .and_then(|seconds| u16::try_from(seconds).ok())
            .filter(|seconds| (10..=600).contains(seconds));
        allowed.map(Self).ok_or_else(|| NoInterval { found: text.to_owned() })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// A text that does not say when to rotate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoRotation {
    /// A key that is not there.
    #[error("{0:?} is no part of a rotation: write size=100M,age=24h,keep=10, or some of these")]
    Unknown(String),
    /// A value that does not fit its key.
    #[error("{key}={found:?}: write {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as given.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
}

/// When a file is rotated, and how many older ones are kept: `size=100M,age=24h,keep=10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationOption {
    size: u64,
    age: Option<Duration>,
    keep: u32,
}

/// 100 MiB, a day, and ten older files.
impl Default for RotationOption {
    fn default() -> Self {
        Self { size: 100 << 20, age: Some(Duration::from_hours(24)), keep: 10 }
    }
}

impl RotationOption {
    /// As files have it.
    #[must_use]
    pub const fn rotation(self) -> Rotation {
        let Self { size, age, keep } = self;
        Rotation { max_bytes: size, max_age: age, keep }
    }
}

impl FromStr for RotationOption {
    type Err = NoRotation;

    fn from_str(text: &str) -> Result<Self, NoRotation> {
        let mut rotation = Self::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| NoRotation::Unknown(part.to_owned()))?;
            let refused = |key, wanted| NoRotation::Value { key, found: value.to_owned(), wanted };
            match key {
                "size" => rotation.size = bytes(value).ok_or_else(|| refused("size", SIZE))?,
                "age" if value == "never" => rotation.age = None,
                "age" => {
                    let age = duration(value).filter(|age| !age.is_zero());
                    rotation.age =
                        Some(age.ok_or_else(|| refused("age", "a duration such as 24h, or never"))?);
                }
                "keep" => {
                    let keep = digits(value).filter(|keep| *keep <= MAX_KEPT);
                    rotation.keep =
                        keep.ok_or_else(|| refused("keep", "a number of files from 0 to 1000"))?;
                }
                _ => return Err(NoRotation::Unknown(key.to_owned())),
            }
        }
        Ok(rotation)
    }
}

const SIZE: &str = "a size from 64K, such as 100M or 2G";

/// A number of bytes, with K, M or G of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.as_bytes().last()? {
        b'K' => (text.strip_suffix('K')?, 10),
        b'M' => (text.strip_suffix('M')?, 20),
        b'G' => (text.strip_suffix('G')?, 30),
        _ => (text, 0),
    };
    let number: u64 = digits(number)?;
    number.checked_mul(1 << unit).filter(|bytes| (64 << 10..=1 << 40).contains(bytes))
}

fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (text, seconds) in [("10s", 10), ("60s", 60), ("1m", 60), ("10m", 600), ("1m 30s", 90)] {
            assert_eq!(text.parse::<Interval>().unwrap().duration().as_secs(), seconds, "{text}");
        }
        for text in ["9s", "601s", "60", "", "-60s", "10.5s", "forever"] {
            assert_eq!(text.parse::<Interval>(), Err(NoInterval { found: text.to_owned() }));
        }
        let error = "5".parse::<Interval>().unwrap_err().to_string();
        assert_eq!(error, r#""5": write an interval from 10s to 600s, such as 60s or 5m"#);
    }

    #[test]
    fn rotations() {
        let rotation: RotationOption = "size=2G,age=1h,keep=3".parse().unwrap();
        let expected = Rotation { max_bytes: 2 << 30, max_age: Some(Duration::from_hours(1)), keep: 3 };
        assert_eq!(rotation.rotation(), expected);
        assert_eq!("age=never".parse::<RotationOption>().unwrap().rotation().max_age, None);
        for (text, error) in [
            ("size=1", r#"size="1": write a size from 64K, such as 100M or 2G"#),
            ("size=+99M", r#"size="+99M": write a size from 64K, such as 100M or 2G"#),
            ("age=0s", r#"age="0s": write a duration such as 24h, or never"#),
            ("keep=1001", r#"keep="1001": write a number of files from 0 to 1000"#),
            (
                "colour=red",
                r#""colour" is no part of a rotation: write size=100M,age=24h,keep=10, or some of these"#,
            ),
            ("", r#""" is no part of a rotation: write size=100M,age=24h,keep=10, or some of these"#),
        ] {
            assert_eq!(text.parse::<RotationOption>().unwrap_err().to_string(), error);
        }
    }
}
