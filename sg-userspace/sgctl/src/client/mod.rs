//! The client of the native API: where the server is, requests and responses, and the names of objects that others refer to.
//!
//! It must never know what a command is for. The commands use it.

pub(crate) mod address;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod moved;
pub(crate) mod names;
pub(crate) mod resource;
pub(crate) mod server;
pub(crate) mod session;

pub(crate) use address::Address;
pub(crate) use error::ClientError;
pub(crate) use http::Call;
pub(crate) use names::{Names, Wanted};
pub(crate) use resource::Resource;
pub(crate) use session::{Session, filter_of};
