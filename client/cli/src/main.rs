//! The one command, encompute.
fn main() {}
