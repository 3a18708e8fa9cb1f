//! Sets of ports in the form in which rules write them, too: `22`, `8000-8100`, `22,80-90`.
//!
//! This file parses and prints them; it must never resolve port lists. Port lists and their APIs use it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sg_model::{PortRange, PortSetError, port_ranges, write_port_ranges};
use utoipa::ToSchema;

/// Ports and port ranges, separated by commas: `22`, `8000-8100`, `22,80-90`. Range: 0 to 65535.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, examples("22,80-90"))]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Creates a set of one range.
    #[must_use]
    pub fn range(range: PortRange) -> Self {
        Self(vec![range])
    }

    /// The ranges, as written; never empty.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

impl FromStr for PortSet {
    type Err = PortSetError;

    fn from_str(text: &str) -> Result<Self, PortSetError> {
        port_ranges(text).map(Self)
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
        write_port_ranges(&self.0, f)
    }
}

impl From<PortSet> for String {
    fn from(set: PortSet) -> Self {
        set.to_string()
    }
}
