//! The client.

use std::process::ExitCode;

fn main() -> ExitCode {
    sg_cli::main()
}
