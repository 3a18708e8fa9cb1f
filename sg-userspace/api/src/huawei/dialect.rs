//! The versions of the vendor's APIs. It must never know what differs between them: whoever reads a path or writes a response does.

/// A version of the vendor's APIs: it determines paths, the form of responses, and the codes of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// VPC v3.
    V3,
    /// VPC v1.
    V1,
    /// Neutron v2.0.
    Neutron,
    /// ECS v1.
    Ecs,
    /// Nova v2.1.
    Nova,
    /// Keystone v3, and the documents that say which versions there are.
    Identity,
}
