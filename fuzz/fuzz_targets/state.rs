//! Any bytes are a state or an error that says where; and a state that was read can be written and read again.

#![no_main]
#![expect(clippy::expect_used, reason = "a finding ends the run")]

use libfuzzer_sys::fuzz_target;
use sg_store::{Record, export, import};

fuzz_target!(|bytes: &[u8]| {
    let imported = match import(bytes) {
        Ok(imported) => imported,
        Err(error) => return drop(error.to_string()),
    };
    let mut text = Vec::new();
    export(imported.records.iter().map(|(_, record)| record.clone()), &mut text, true)
        .expect("what was read can be written");
    let again = import(&*text).expect("what was written can be read");
    let keys = |records: &[(u64, Record)]| {
        let mut keys: Vec<_> = records.iter().map(|(_, record)| record.key()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&again.records), keys(&imported.records));
});
