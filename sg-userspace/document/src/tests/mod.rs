//! The document as its users see it: what is accepted, what is refused, and the messages.

mod arbitrary;
mod expected;
mod files;
mod guard;
mod read;
mod refused;

use super::{Loaded, parse};

/// The example of the reference, written as people write it.
const EXAMPLE: &str = include_str!("example.yaml");

/// Parses a text that must be a policy.
fn accepted(text: &str) -> Loaded {
    parse("policy.yaml", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Parses bytes that must not be a policy, and returns the message.
fn refused(bytes: &[u8]) -> String {
    match parse("policy.yaml", bytes) {
        Ok(loaded) => panic!("{loaded:?} came of {:?}", String::from_utf8_lossy(bytes)),
        Err(error) => error.to_string(),
    }
}
