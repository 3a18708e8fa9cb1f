//! What is said on standard error, also where its reader has left, as in `sgd run … 2>&1 | head -1`. The program itself runs, since the
//! stream is the process's.

use std::{
    fs, io,
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

#[test]
fn each_fault_of_a_document_is_a_line_of_sgd() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(
        &path,
        "groups: { web: { ingress: [ { protocol: tpc }, { protocol: tcp, ports: 90-80 } ] } }\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgd"));
    command.args(["run", "--instance", "stderr-test", "--state"]).arg(dir.path().join("state"));
    let ended = command.arg("-f").arg(&path).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((ended.status.code(), lines.len()), (Some(2), 3), "{said}");
    let place = format!("sgd: {}:1:", path.display());
    assert!(lines[..2].iter().all(|line| line.starts_with(&place)), "{said}");
    assert_eq!(lines[2], format!("sgd: `sgctl validate -f {}` shows the lines", path.display()));
}
