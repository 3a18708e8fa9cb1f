//! An authenticated request.

use sg_records::KeyRole;

use super::params::{Fields, Parameters};
use crate::recording::PendingChange;

/// The version of the API.
pub(super) const VERSION: &str = "2014-05-26";
/// The actions that clients also use of the vendor's VPC product, and that product's version.
pub(super) const VPC_ACTIONS: [&str; 4] = ["DescribeVpcs", "DescribeVSwitches", "CreateVpc", "DeleteVpc"];
/// See [`VPC_ACTIONS`].
pub(super) const VPC_VERSION: &str = "2016-04-28";

/// The format of the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `text/xml`: the default of clients that specify none.
    Xml,
}

/// A request with a valid signature.
#[derive(Clone, Debug)]
pub struct Call {
    /// The action; it may be unknown.
    pub action: String,
    /// The version of the API.
    pub version: String,
    /// The format of the response.
    pub format: Format,
    /// The access key that signed it.
    pub key_id: String,
    /// What that key may do.
    pub role: KeyRole,
    /// The id of the response, also in the log.
    pub request_id: String,
    /// The change that it asks for, for the audit trail. Queries have one, too: nobody writes it.
    pub(crate) change: PendingChange,
    /// Whether it asks only whether it would succeed. The router reads that of an action that can be asked.
    pub(crate) dry_run: bool,
    /// All parameters except signature and security token.
    pub parameters: Parameters,
}

impl Call {
    /// The parameters, for reading.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.parameters.fields()
    }
}
