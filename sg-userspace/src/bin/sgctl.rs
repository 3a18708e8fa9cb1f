//! The client.

use std::process::ExitCode;

fn main() -> ExitCode {
    sg_userspace::cli::main()
}
