//! Ports, which are NICs: what every version of the vendor's APIs shows of one, how they are found, and what changes one. The tables
//! of `v3`, `v1` and `neutron` use it, and `ecs`, which shows ports as interfaces of a server.
//!
//! The groups of a port are those of the NIC, in order. A VPC has no subnets here, so the id of its only network and of its only
//! subnet is that of the VPC. This room must never know the path or the status of an operation.

mod change;
mod find;
mod shown;

pub(super) use change::{ChangePort, InsertGroups, address_pairs, groups, register};
pub(super) use find::{all, find};
pub(super) use shown::{former, network, neutron, status, v3};
