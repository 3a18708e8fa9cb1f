//! Standard error and standard output whose readers have left, as in `sgctl … 2>&1 | head -1`. The program itself runs, since the
//! streams are the process's.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    fs, io,
    process::{Command, Stdio},
};

const FAULTY: &str = "groups: { web: { ingress: [ { protocol: tpc }, { protocol: tcp, ports: 90-80 } ] } }\n";
/// The second rule never decides.
const WARNED: &str = "groups: { web: { ingress: [ { protocol: all }, { protocol: tcp, ports: 22 } ] } }\n";

/// The exit code of `sgctl` if nobody reads what it says on standard error.
fn closed(line: &str) -> Option<i32> {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgctl"));
    for name in ["SGCTL_SERVER", "SGCTL_SOCKET", "SGCTL_ACCESS_KEY_FILE"] {
        command.env_remove(name);
    }
    command.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    command.status().unwrap().code()
}

#[test]
fn what_nobody_reads_changes_no_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (faulty, warned) = (file("faulty.yaml", FAULTY), file("warned.yaml", WARNED));
    for format in ["table", "json", "yaml"] {
        assert_eq!(closed(&format!("validate -f {faulty} -o {format}")), Some(2), "{format}");
        assert_eq!(closed(&format!("validate -f {warned} -o {format}")), Some(0), "{format}");
    }
    assert_eq!(closed("validate -f /no/such/file"), Some(2), "the failure itself");
    assert_eq!(closed("group frobnicate"), Some(2), "clap's");
    assert_eq!(closed("--socket /no/such/api.sock group list"), Some(1));
}
