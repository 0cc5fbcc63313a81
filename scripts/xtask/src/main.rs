//! Everything else: contract build, metadata, vectors, tidy.
fn main() {}
