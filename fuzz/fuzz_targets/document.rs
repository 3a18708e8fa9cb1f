//! Any bytes are a policy or an error that says where, in bounded time and memory; never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match sg_document::parse("fuzz.yaml", bytes) {
        // What is said about a document must be as safe to say as the document was to read.
        Ok(loaded) => loaded.warnings.iter().for_each(|warning| drop(warning.to_string())),
        Err(error) => drop(error.to_string()),
    }
});
