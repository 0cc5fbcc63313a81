//! Transcript in, verdict out; no network.
