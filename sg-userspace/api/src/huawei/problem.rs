//! What kinds of problems there are, and the status and code that each version of the vendor's APIs has for them. Clients decide by
//! both, so they are part of the interface. It must never know why a request is refused: [`super::refusals`] does.
//!
//! The codes are those of the vendor's documents; where those have none, that of the nearest documented case.

use axum::http::StatusCode;

use super::Dialect;

/// What an operation is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Subject {
    /// Security groups.
    Group,
    /// Rules.
    Rule,
    /// Address groups.
    AddressGroup,
    /// Ports, which are NICs.
    Port,
    /// Servers, which are instances.
    Server,
    /// Anything else.
    Other,
}

/// A kind of problem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    /// A parameter is malformed, unknown, missing, or does not fit to another one.
    Malformed,
    /// An object does not exist.
    NotFound(Subject),
    /// There is such an object already.
    Exists,
    /// Something else needs the object.
    InUse,
    /// A quota would be exceeded.
    Quota,
    /// The key may not do this.
    NotAllowed,
    /// The project of the request is not the one of the path, or does not exist.
    OtherProject,
    /// Another change must end first.
    Conflict,
    /// This server cannot do it now.
    Unavailable,
    /// A mistake of this server.
    Internal,
}

use StatusCode as Is;

impl Problem {
    const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::OtherProject => Is::BAD_REQUEST,
            Self::NotFound(_) => Is::NOT_FOUND,
            Self::Exists | Self::InUse | Self::Quota | Self::Conflict => Is::CONFLICT,
            Self::NotAllowed => Is::FORBIDDEN,
            Self::Unavailable => Is::SERVICE_UNAVAILABLE,
            Self::Internal => Is::INTERNAL_SERVER_ERROR,
        }
    }

    /// The status and the code of this problem of an operation that is about `subject`.
    pub(super) fn code(self, dialect: Dialect, subject: Subject) -> (StatusCode, &'static str) {
        let code = match dialect {
            Dialect::V3 => self.v3(subject),
            Dialect::V1 => self.v1(subject),
            Dialect::Neutron => self.neutron(subject),
            Dialect::Ecs => self.ecs(),
            Dialect::Nova | Dialect::Identity => self.nova(),
        };
        (self.status(), code)
    }

    const fn v3(self, subject: Subject) -> &'static str {
        match (self, subject) {
            (Self::Malformed, Subject::Rule | Subject::Port) => "VPC.9902",
            (Self::Malformed, _) => "VPC.9901",
            (Self::NotFound(_), _) => "VPC.9904",
            (Self::Quota, _) => "VPC.9905",
            (Self::InUse, Subject::AddressGroup) => "VPC.9907",
            (Self::Exists | Self::InUse | Self::Conflict, _) => "VPC.9902",
            (Self::OtherProject, _) => "VPC.0007",
            (Self::NotAllowed, _) => "VPC.2201",
            (Self::Unavailable | Self::Internal, _) => "VPC.0602",
        }
    }

    const fn v1(self, subject: Subject) -> &'static str {
        match (self, subject) {
            (Self::NotFound(Subject::Port), _) => "VPC.2502",
            (Self::Malformed | Self::InUse | Self::Quota, Subject::Port) => "VPC.2500",
            (Self::Exists, Subject::Port) => "VPC.0701",
            (Self::Malformed, _) => "VPC.0601",
            (Self::NotFound(_), _) => "VPC.0603",
            (Self::Quota, subject) if !matches!(subject, Subject::Rule) => "VPC.0604",
            (Self::InUse, _) => "VPC.0606",
            (Self::OtherProject, _) => "VPC.0007",
            (Self::NotAllowed, _) => "VPC.2201",
            // Of a rule, also its quota.
            (Self::Exists | Self::Quota | Self::Conflict | Self::Unavailable | Self::Internal, _) => {
                "VPC.0602"
            }
        }
    }

    const fn neutron(self, subject: Subject) -> &'static str {
        match (self, subject) {
            (Self::NotFound(Subject::Group), _) => "SecurityGroupNotFound",
            (Self::NotFound(Subject::Rule), _) => "SecurityGroupRuleNotFound",
            (Self::NotFound(Subject::Port), _) => "PortNotFound",
            (Self::NotFound(_), _) => "HTTPNotFound",
            (Self::Exists, Subject::Port) => "IpAddressInUse",
            (Self::Exists, _) => "SecurityGroupRuleExists",
            (Self::InUse, Subject::Port) => "PortInUse",
            (Self::InUse, _) => "SecurityGroupInUse",
            (Self::Quota, _) => "OverQuota",
            (Self::NotAllowed, _) => "PolicyNotAuthorized",
            (Self::Malformed | Self::OtherProject, _) => "HTTPBadRequest",
            (Self::Conflict, _) => "Conflict",
            (Self::Unavailable, _) => "ServiceUnavailable",
            (Self::Internal, _) => "HTTPInternalServerError",
        }
    }

    const fn ecs(self) -> &'static str {
        match self {
            Self::NotAllowed => "Ecs.0003",
            Self::NotFound(Subject::Server) => "Ecs.0114",
            Self::Quota => "Ecs.0021",
            Self::NotFound(_) | Self::Malformed | Self::Exists | Self::InUse | Self::OtherProject => {
                "Ecs.0005"
            }
            Self::Conflict => "Ecs.0010",
            Self::Unavailable | Self::Internal => "Ecs.0000",
        }
    }

    /// The name of the error's object, which a number as its code stands in.
    const fn nova(self) -> &'static str {
        match self {
            Self::NotAllowed => "forbidden",
            Self::NotFound(_) => "itemNotFound",
            Self::Malformed | Self::OtherProject => "badRequest",
            Self::Exists | Self::InUse | Self::Quota | Self::Conflict => "conflictingRequest",
            Self::Unavailable => "serviceUnavailable",
            Self::Internal => "computeFault",
        }
    }
}
