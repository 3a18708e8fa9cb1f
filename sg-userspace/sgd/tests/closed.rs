//! Standard error whose reader has left, as in `sgd run … 2>&1 | head -1`. The program itself runs, since the stream is the process's.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    io,
    process::{Command, Stdio},
};

#[test]
fn an_error_that_nobody_reads_ends_it_as_any_other() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    // An instance that cannot be: it ends before it touches this host.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgd"));
    command.args(["run", "--policy", "/no/such/policy.yaml", "--instance", "a/b"]);
    let ended = command.stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(ended.code(), Some(2));
}
