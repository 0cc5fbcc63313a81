//! What opens, what does not, and by which defect.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_envelope::{
    CHUNK_BYTES, Context, OVERHEAD_BYTES, OpenError, PUBLIC_KEY_BYTES, PublicKeyError, RecipientPublic,
    RecipientSecret, Subject, open, seal,
};
use encompute_protocol::{BlobDigest, ContractAddress, GenesisHash, JobId, SplitIndex, VersionId};
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

fn recipient(seed: u8) -> RecipientSecret {
    RecipientSecret::from_seed(&[seed; 32])
}

fn context(subject: Subject) -> Context {
    Context { genesis: GenesisHash([1; 32]), contract: ContractAddress([2; 20]), subject }
}

fn features() -> Context {
    context(Subject::Features { job: JobId(7) })
}

fn sealed(plaintext: &[u8]) -> Vec<u8> {
    seal(recipient(1).public(), &features(), plaintext).unwrap().into_bytes()
}

fn opened(envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
    open(&recipient(1), &features(), envelope, LIMIT).map(|plaintext| plaintext.to_vec())
}

#[test]
fn plaintexts_around_every_chunk_boundary_come_back() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
        let plaintext: Vec<u8> = (0..length).map(|at| at as u8).collect();
        assert_eq!(opened(&sealed(&plaintext)).unwrap(), plaintext, "{length} bytes");
    }
}

#[test]
fn one_plaintext_never_has_the_same_envelope_twice() {
    assert_ne!(sealed(b"features"), sealed(b"features"));
}

#[test]
fn a_flipped_bit_anywhere_does_not_open() {
    let honest = sealed(b"sixteen features");
    // All of the header, and a sample of encapsulated key, wrapped key and chunk.
    for at in (0..41).chain((41..honest.len()).step_by(13)) {
        let mut altered = honest.clone();
        altered[at] ^= 1;
        assert!(opened(&altered).is_err(), "byte {at}");
    }
}

#[test]
fn an_envelope_for_somebody_else_names_its_recipient() {
    let envelope = sealed(b"features");
    let found = recipient(1).public().digest();
    let ours = recipient(2).public().digest();
    let refusal = open(&recipient(2), &features(), &envelope, LIMIT).unwrap_err();
    assert_eq!(refusal, OpenError::Recipient { found, ours });
}

#[test]
fn an_envelope_readdressed_to_somebody_else_does_not_open() {
    let mut envelope = sealed(b"features");
    envelope[1..33].copy_from_slice(&recipient(2).public().digest().0);
    assert_eq!(open(&recipient(2), &features(), &envelope, LIMIT).unwrap_err(), OpenError::Key);
}

#[test]
fn no_other_chain_contract_job_or_step_opens_an_envelope() {
    let envelope = sealed(b"features");
    let others = [
        Context { genesis: GenesisHash([9; 32]), ..features() },
        Context { contract: ContractAddress([9; 20]), ..features() },
        context(Subject::Features { job: JobId(8) }),
        context(Subject::Result { job: JobId(7) }),
        context(Subject::CustodyKey { input: BlobDigest([7; 32]) }),
        context(Subject::Head { version: VersionId(7), split: SplitIndex(0) }),
    ];
    for other in others {
        assert_eq!(open(&recipient(1), &other, &envelope, LIMIT).unwrap_err(), OpenError::Key, "{other:?}");
    }
}

#[test]
fn a_truncated_envelope_is_refused_by_its_length() {
    let envelope = sealed(&[7; 2 * CHUNK_BYTES]);
    let promised_bytes = envelope.len();
    for cut in [1, 16, CHUNK_BYTES + 16] {
        let found_bytes = promised_bytes - cut;
        assert_eq!(opened(&envelope[..found_bytes]), Err(OpenError::Length { found_bytes, promised_bytes }));
    }
    let found_bytes = OVERHEAD_BYTES - 1;
    assert_eq!(opened(&envelope[..found_bytes]), Err(OpenError::TooShort { found_bytes }));
    assert_eq!(opened(&[]), Err(OpenError::TooShort { found_bytes: 0 }));
}

#[test]
fn an_envelope_truncated_with_its_header_adjusted_does_not_open() {
    let envelope = sealed(&[7; 2 * CHUNK_BYTES]);
    let mut cut = envelope[..envelope.len() - CHUNK_BYTES - 16].to_vec();
    cut[33..41].copy_from_slice(&(CHUNK_BYTES as u64).to_le_bytes());
    assert_eq!(opened(&cut), Err(OpenError::Key), "the length is authenticated with the key");
}

#[test]
fn trailing_bytes_are_refused() {
    let mut envelope = sealed(b"features");
    let promised_bytes = envelope.len();
    envelope.push(0);
    assert_eq!(opened(&envelope), Err(OpenError::Length { found_bytes: promised_bytes + 1, promised_bytes }));
}

#[test]
fn swapped_chunks_do_not_open() {
    let mut envelope = sealed(&[7; 3 * CHUNK_BYTES]);
    let chunk = CHUNK_BYTES + 16;
    let body = envelope.len() - 3 * chunk;
    let (first, second) = envelope[body..body + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    assert_eq!(opened(&envelope), Err(OpenError::Chunk { index: 0 }));
}

#[test]
fn the_last_chunk_cannot_stand_in_for_a_middle_one() {
    let mut envelope = sealed(&[7; 2 * CHUNK_BYTES]);
    let chunk = CHUNK_BYTES + 16;
    let body = envelope.len() - 2 * chunk;
    let last = envelope[body + chunk..].to_vec();
    envelope[body..body + chunk].copy_from_slice(&last);
    assert_eq!(opened(&envelope), Err(OpenError::Chunk { index: 0 }));
}

#[test]
fn an_unknown_version_is_refused_before_anything_else() {
    let mut envelope = sealed(b"features");
    envelope[0] = 2;
    assert_eq!(opened(&envelope), Err(OpenError::Version { found: 2 }));
}

#[test]
fn a_length_over_the_limit_is_refused_before_it_is_allocated() {
    let mut envelope = sealed(b"features");
    envelope[33..41].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(opened(&envelope), Err(OpenError::TooLong { found_bytes: u64::MAX, limit_bytes: LIMIT }));
    let envelope = sealed(b"features");
    let refusal = open(&recipient(1), &features(), &envelope, 7).unwrap_err();
    assert_eq!(refusal, OpenError::TooLong { found_bytes: 8, limit_bytes: 7 });
}

#[test]
fn a_seed_gives_one_key_and_another_seed_another() {
    assert_eq!(recipient(1).public(), recipient(1).public());
    assert_ne!(recipient(1).public(), recipient(2).public());
    // Fixed for ever: registered keys and sealed heads depend on it.
    let digest = recipient(1).public().digest().to_string();
    assert_eq!(digest, "0xadd6ce0e13522d60facc6beeee89e6611631969764ecd3d93f0cfb6d497cd055");
}

#[test]
fn public_keys_of_another_length_or_outside_the_field_are_refused() {
    let honest = recipient(1).public().to_bytes();
    assert_eq!(&RecipientPublic::from_bytes(&honest).unwrap(), recipient(1).public());
    let short = RecipientPublic::from_bytes(&honest[1..]);
    assert_eq!(short, Err(PublicKeyError::Length { found_bytes: PUBLIC_KEY_BYTES - 1 }));
    let mut outside = honest;
    outside[..3].fill(0xff); // two coefficients of 4095, where 3328 is the largest
    assert_eq!(RecipientPublic::from_bytes(&outside), Err(PublicKeyError::Invalid));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_sealed_comes_back(length in 0..2 * CHUNK_BYTES, salt in any::<u8>(), job in any::<u64>()) {
        let plaintext: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ salt).collect();
        let context = context(Subject::Result { job: JobId(job) });
        let envelope = seal(recipient(3).public(), &context, &plaintext).unwrap();
        let opened = open(&recipient(3), &context, envelope.as_bytes(), LIMIT).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
    }

    #[test]
    fn bytes_of_strangers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(opened(&bytes).is_err());
        let mut versioned = bytes;
        if let Some(first) = versioned.first_mut() {
            *first = 1;
        }
        prop_assert!(opened(&versioned).is_err());
    }
}
