//! Quotes, policies, measurements and the development PKI; verification is a pure function of evidence, collateral, policy and time.
