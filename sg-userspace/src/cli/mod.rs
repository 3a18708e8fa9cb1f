//! The commands of `sgctl`. They print what other rooms say; they must never hold rules of the domain.

pub mod detach;
pub mod stats;
