//! The worker: attest, register, offer, claim, run, commit.

use std::process::ExitCode;

fn main() -> ExitCode {
    encompute_node::program::main("encompute-worker", None)
}
