//! The client of the native API: where the server is, requests and responses.
//!
//! It must never know what a command is for, or print anything. `session` and the commands use it.

pub(crate) mod address;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod moved;
pub(crate) mod server;

pub(crate) use address::Address;
pub(crate) use error::ClientError;
pub(crate) use http::Call;
pub(crate) use lines::Next;
