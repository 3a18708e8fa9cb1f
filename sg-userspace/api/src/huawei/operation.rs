//! What an operation declares: its name, where it is, what it does, and every parameter that it reads. `docs/use/huawei-api.md` is
//! written from these declarations. It must never know a single operation.

use std::{fmt, pin::Pin};

use axum::http::Method;
use sg_records::KeyRole;

use super::{Call, Declaration, Dialect, Fault, Huawei, Parameter, Response, problem::Subject};

/// The future response of an operation.
pub(super) type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send + 'a>>;
pub(super) type Handler = for<'a> fn(&'a Huawei, &'a Call) -> Outcome<'a>;

/// An operation of the API.
pub struct Operation {
    /// `CreateSecurityGroup`; two versions may have the same.
    pub name: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path: `/v3/{project_id}/vpc/security-groups/{security_group_id}`.
    pub path: &'static str,
    /// Where several operations have one path, the field of the body that chooses this one.
    pub chosen_by: Option<&'static str>,
    /// Its version.
    pub dialect: Dialect,
    /// What it is about, for the codes of refusals.
    pub(super) subject: Subject,
    /// What it does, as a sentence.
    pub about: &'static str,
    /// The role that a key needs for it: the least of those that may. `None`: it needs no key.
    pub role: Option<KeyRole>,
    pub(super) handler: Handler,
    /// What it reads, in parts that several operations have in common.
    pub parameters: &'static [&'static [Parameter]],
}

impl Operation {
    /// Its name in the access log, the audit trail and metrics. The name of its version tells apart what several have.
    #[must_use]
    pub fn recorded_name(&self) -> String {
        match self.dialect {
            Dialect::V1 => format!("{}.v1", self.name),
            Dialect::V3 | Dialect::Neutron | Dialect::Ecs | Dialect::Nova | Dialect::Identity => {
                self.name.to_owned()
            }
        }
    }

    /// What it declares.
    #[must_use]
    pub const fn declaration(&self) -> Declaration {
        let Self { name, dialect, subject, parameters, .. } = *self;
        Declaration { name, dialect, subject, parameters }
    }

    /// All parameters that it reads, refused ones included.
    pub fn declared(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.declaration().declared()
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
