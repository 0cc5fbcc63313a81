//! The worker that takes keys in custody: `encompute-worker` in everything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    encompute_node::program::main("encompute-custodian", Some(encompute_custody::custodian))
}
