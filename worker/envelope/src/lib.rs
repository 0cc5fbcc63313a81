//! Sealed envelopes: HPKE for keys, STREAM for bulk.
