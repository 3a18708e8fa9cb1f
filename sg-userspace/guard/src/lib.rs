//! Asks the next policy, before it is in force, whether it accepts what must not be lost: the packets that a document keeps, and
//! the connections of those who administer the host.
//!
//! It asks the rules as they are written (`sg-oracle`), so a mistake of the compiler cannot hide a loss. It must never decide what
//! becomes of a loss, nor look at the host. The agent asks for documents, `sg-service` for changes through the API.

mod connection;
mod lost;

pub use connection::{Connection, NoConnection, lost_connection};
pub use lost::{Lost, lost_probe};
