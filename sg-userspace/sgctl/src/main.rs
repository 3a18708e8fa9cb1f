//! `sgctl`, the client. The crate's library does everything, so that tests can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    sg_cli::main()
}
