//! A stand-in for the document room, so that the agent compiles. Drop it at the merge.

use std::{fmt, path::Path};

use crate::model::{Policy, PolicyParts};

/// A document that was read.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub policy: Policy,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

/// Something odd.
#[derive(Debug)]
pub struct Warning(String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a document is no policy.
#[derive(Debug)]
pub struct DocumentError(String);

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a document: one device a line.
///
/// # Errors
/// Where the file cannot be read or is wrong.
pub fn load(path: &Path) -> Result<Loaded, DocumentError> {
    let text =
        std::fs::read_to_string(path).map_err(|e| DocumentError(format!("{}: {e}", path.display())))?;
    let group = crate::model::Group {
        name: "web".into(),
        kind: crate::model::GroupType::Basic,
        inner_access: true,
        description: None,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let nics = text
        .lines()
        .map(|line| crate::model::Nic {
            device: line.into(),
            role: crate::model::Role::Host,
            addresses: Vec::new(),
            addresses_from_device: true,
            anti_spoofing_written: None,
            groups: vec![crate::model::GroupIndex(0)],
        })
        .collect();
    let parts = PolicyParts { groups: vec![group], nics, ..PolicyParts::default() };
    let policy = Policy::new(parts).map_err(|e| DocumentError(format!("{}: {e}", path.display())))?;
    Ok(Loaded { policy, warnings: Vec::new() })
}
