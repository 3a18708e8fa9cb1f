//! A length of time as users write it: `30d`, `12h`, `1w 2d`; and a moment, which is a time or so long ago. It must never know what
//! it is a limit of, nor what time it is. Requests, filters of records and arguments of `sgctl` contain it.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// The longest one, in seconds: a hundred years.
const LONGEST: i64 = 100 * 366 * 24 * 3600;

/// A length of time: a number with a unit (`s`, `m`, `h`, `d`, `w`), or several of them. A day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Age(i64);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAge {
    found: String,
}

impl fmt::Display for NoAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no length of time: write a number and a unit, such as 30d, 12h, 90m or 45s",
            self.found
        )
    }
}

impl std::error::Error for NoAge {}

impl Age {
    /// So many seconds; what is negative is none.
    #[must_use]
    pub const fn of_seconds(seconds: i64) -> Self {
        Self(if seconds < 0 { 0 } else { seconds })
    }

    /// It as a duration.
    #[must_use]
    pub const fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(self.0)
    }
}

/// What [`moment`] reads, in words.
pub const MOMENT: &str = "how long ago, such as 90s, 2h30m or 7d, or a time such as 2026-11-30T13:00:00Z";

/// A time, or how long before `now`; `None`: `text` is neither.
#[must_use]
pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let ago = || now.checked_sub(text.parse::<Age>().ok()?.duration()).ok();
    text.parse().ok().or_else(ago)
}

impl FromStr for Age {
    type Err = NoAge;

    fn from_str(text: &str) -> Result<Self, NoAge> {
        let wrong = || NoAge { found: text.chars().take(64).collect() };
        let span: Span = text.trim().parse().map_err(|_| wrong())?;
        // Months and years have no fixed length.
        if span.get_months() != 0 || span.get_years() != 0 {
            return Err(wrong());
        }
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        let seconds = duration.as_secs();
        // A fraction of a second would be lost.
        if !(0..=LONGEST).contains(&seconds) || duration.subsec_nanos() != 0 || duration.is_negative() {
            return Err(wrong());
        }
        Ok(Self(seconds))
    }
}

impl TryFrom<String> for Age {
    type Error = NoAge;

    fn try_from(text: String) -> Result<Self, NoAge> {
        text.parse()
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.to_string()
    }
}

/// With its largest unit, and the next if there is something left: `12d`, `1d 6h`, `45s`.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(i64, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
        let Self(whole) = *self;
        let mut units = UNITS.into_iter().skip_while(|(seconds, _)| whole < *seconds);
        let Some((seconds, unit)) = units.next() else { return f.write_str("0s") };
        write!(f, "{}{unit}", whole / seconds)?;
        let left = whole % seconds;
        match units.next() {
            Some((seconds, unit)) if left >= seconds => write!(f, " {}{unit}", left / seconds),
            _ => Ok(()),
        }
    }
}

impl PartialSchema for Age {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A length of time: a number with a unit (`s`, `m`, `h`, `d`, `w`), such as `30d`.",
            ))
            .into()
    }
}

impl ToSchema for Age {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, seconds, written) in [
            ("30d", 30 * 86_400, "30d"),
            ("2w", 14 * 86_400, "14d"),
            ("90m", 5_400, "1h 30m"),
            ("1d 6h", 108_000, "1d 6h"),
            ("36h5s", 129_605, "1d 12h"),
            ("45s", 45, "45s"),
            ("0s", 0, "0s"),
        ] {
            let age: Age = text.parse().unwrap();
            assert_eq!((age.0, age.to_string().as_str()), (seconds, written), "{text}");
        }
        for text in
            ["", "30", "d", "-1d", "1 month", "1y", "999999999d", "1500ms", "thirty days", "30d\u{1b}[2J"]
        {
            let error = text.parse::<Age>().unwrap_err();
            assert!(error.to_string().contains("such as 30d"), "{text}: {error}");
        }
    }

    #[test]
    fn a_moment_is_how_long_ago_or_when() {
        let now = Timestamp::from_second(10_000_000).unwrap();
        for (text, ago) in [("90s", 90), ("1h", 3_600), ("7d", 604_800), ("1h30m", 5_400), ("0s", 0)] {
            let then = now - SignedDuration::from_secs(ago);
            assert_eq!(moment(text, now), Some(then), "{text}");
        }
        assert_eq!(moment("1970-01-01T00:00:00Z", now), Some(Timestamp::UNIX_EPOCH));
        for wrong in ["", "yesterday", "-1h", "1", "13:00"] {
            assert_eq!(moment(wrong, now), None, "{wrong}");
        }
    }
}
