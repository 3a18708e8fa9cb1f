//! As much of the identity service as clients need before they use the other versions: tokens, projects, and the documents that say
//! which versions there are.
//!
//! An access key is the user: its id is the name, its secret the password. A region is a project. It must never issue a token for
//! anything but an access key.

mod credentials;
mod projects;
mod tokens;
mod versions;

pub(super) use projects::PROJECTS;
pub(super) use tokens::TOKENS;
pub(super) use versions::VERSIONS;
