//! The head program: tiles, rounds, cost and noise proofs; clear and encrypted backends.
