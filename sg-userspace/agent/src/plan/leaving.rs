//! Devices that a document leaves unfiltered: those that it may, and the message about those that it may not. It must never find
//! them: `guard` does.

use std::{collections::BTreeSet, fmt};

use super::names::few;

/// Devices that documents may leave unfiltered, besides those that they name themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowUnfiltered {
    /// These.
    Named(BTreeSet<String>),
    /// All of them.
    Any,
}

impl Default for AllowUnfiltered {
    /// None.
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

/// A device that is filtered, and that a document does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The interface name.
    pub device: String,
    /// A NIC of the document without a device, by a name so close that this one may be meant.
    pub instead: Option<String>,
}

/// Several of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leavings(pub Vec<Leaving>);

impl Leavings {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|Leaving { device, .. }| device.clone()).collect()
    }
}

impl fmt::Display for Leavings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        let [are, them, there] = match names.len() {
            1 => ["is", "it", "that device"],
            _ => ["are", "them", "those devices"],
        };
        write!(f, "{} {are} filtered, and the document does not name {them}", few(&names))?;
        for Leaving { device, instead } in &self.0 {
            if let Some(instead) = instead {
                write!(f, " (this host has no device {instead}: is {device} meant?)")?;
            }
        }
        write!(
            f,
            ": everything would pass on {there}. Correct the document; if it is meant, write `allow_unfiltered: [{}]` in it, or \
             start sgd with --allow-unfiltered={}",
            names.join(", "),
            names.join(",")
        )
    }
}
