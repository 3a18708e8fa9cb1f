//! A request once it is known what it asks and who asks it.

use super::params::{Fields, Parameters};

/// The version of the API.
pub(super) const VERSION: &str = "2014-05-26";
/// The one action that clients also ask of the vendor's VPC product, and that product's version.
pub(super) const VPC_ACTION: &str = "DescribeVpcs";
/// See [`VPC_ACTION`].
pub(super) const VPC_VERSION: &str = "2016-04-28";

/// How the answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/xml`: what clients get that do not say.
    Xml,
}

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked; it may be unknown.
    pub action: String,
    /// The version of the API.
    pub version: String,
    /// How the answer is written.
    pub format: Format,
    /// `RegionId`, where it is given.
    pub region: Option<String>,
    /// The access key that signed it.
    pub key_id: String,
    /// The id of the answer, for the log too.
    pub request_id: String,
    /// What is asked of: all parameters but signature and security token.
    pub parameters: Parameters,
}

impl Call {
    /// The parameters, to be read.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.parameters.fields()
    }
}
