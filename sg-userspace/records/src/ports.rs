//! Sets of ports in the form in which rules and port lists write them: `22`, `8000-8100`, `22,80-90`.
//!
//! This file parses and prints them; it must never resolve port lists. Rules, port lists and imports of files use it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sg_model::PortRange;
use thiserror::Error;
use utoipa::ToSchema;

/// Ports and port ranges, separated by commas: `22`, `8000-8100`, `22,80-90`. Range: 0 to 65535.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, examples("22,80-90"))]
pub struct PortSet(Vec<PortRange>);

/// A text that is not a set of ports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{found:?} is no set of ports: write 22, 8000-8100 or 22,80-90 with ports from 0 to 65535, the lower first"
)]
pub struct PortSetError {
    /// The invalid part of the text.
    pub found: String,
}

impl PortSet {
    /// Creates a set of one range.
    #[must_use]
    pub fn range(range: PortRange) -> Self {
        Self(vec![range])
    }

    /// Creates a set of these ranges, or of all ports if there are none.
    #[must_use]
    pub fn of(ranges: &[PortRange]) -> Self {
        if ranges.is_empty() {
            Self(PortRange::new(0, u16::MAX).into_iter().collect())
        } else {
            Self(ranges.to_vec())
        }
    }

    /// The ranges, as written; never empty.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

/// Parses one port, or a range whose ends are separated by `separator`.
#[must_use]
pub fn port_range(text: &str, separator: char) -> Option<PortRange> {
    // `parse` alone would accept "+6", too.
    let port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (first, last) = text.split_once(separator).unwrap_or((text, text));
    PortRange::new(port(first.trim())?, port(last.trim())?)
}

impl FromStr for PortSet {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, PortSetError> {
        let range = |part: &str| port_range(part, '-').ok_or_else(|| PortSetError { found: part.to_owned() });
        text.split(',').map(range).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

impl TryFrom<String> for PortSet {
    type Error = PortSetError;

    fn try_from(text: String) -> Result<Self, PortSetError> {
        text.parse()
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

impl From<PortSet> for String {
    fn from(set: PortSet) -> Self {
        set.to_string()
    }
}
