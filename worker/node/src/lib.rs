//! The worker: attest, register, offer, claim, run, commit.
