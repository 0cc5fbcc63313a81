//! A running marketplace for tests: chain, gateway, attestation, worker and creator as real processes.
