//! The user's side of one job: journal, rounds, verify before decrypt, release.
