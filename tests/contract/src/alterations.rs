//! A receipt, altered field by field.

use encompute_protocol::Receipt;

/// Changes one field of a receipt.
pub type Alteration = fn(&mut Receipt);

/// Every field by name, and what alters it alone.
pub const ALTERATIONS: [(&str, Alteration); 18] = [
    ("genesis", |receipt| receipt.genesis.0[0] ^= 1),
    ("contract", |receipt| receipt.contract.0[0] ^= 1),
    ("job", |receipt| receipt.job.0 += 1),
    ("version", |receipt| receipt.version.0 += 1),
    ("manifest", |receipt| receipt.manifest.0[31] ^= 1),
    ("split", |receipt| receipt.split.0 += 1),
    ("head", |receipt| receipt.head.0[0] ^= 1),
    ("input", |receipt| receipt.input.0[0] ^= 1),
    ("evaluation key", |receipt| receipt.evaluation_key.0[0] ^= 1),
    ("output", |receipt| receipt.output.0[0] ^= 1),
    ("tail", |receipt| receipt.tail.0[0] ^= 1),
    ("worker", |receipt| receipt.worker.0[0] ^= 1),
    ("measurement", |receipt| receipt.measurement.0[0] ^= 1),
    ("registration nonce", |receipt| receipt.registration_nonce.0[0] ^= 1),
    ("claimed at", |receipt| receipt.claimed_at.0 += 1),
    ("finished at", |receipt| receipt.finished_at.0 += 1),
    ("expires at", |receipt| receipt.expires_at.0 += 1),
    ("custody", |receipt| receipt.custody ^= true),
];
