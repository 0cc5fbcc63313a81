//! What a registration's quote must prove before the contract counts on it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use encompute_lifecycle::{
    Refusal, Software,
    attested::{Expected, attested, key_digest, platform_id, vouches_for},
    refusal::{Field, QuoteCheck},
};
use encompute_protocol::{
    Address, BlockNumber, Bytes, ContractAddress, GenesisHash, KeyParts, Nonce, Plancks, PlatformId, QuoteParts,
    RegistrationStatement, Signed,
    call::*,
    quote::QuoteFault,
    statement::{TeeKind, report_data},
};
use world::{quotes::*, *};

const NONCE: Nonce = Nonce([0x55; 32]);

/// Where the fields of a TDX domain's report lie in what is signed.
mod at {
    pub const TD_ATTRIBUTES: usize = 48 + 120;
    pub const MR_CONFIG_ID: usize = 48 + 184;
    pub const REPORT_DATA: usize = 48 + 520;
}

fn refused<T>(check: QuoteCheck) -> Result<T, Refusal> {
    Err(Refusal::QuoteRefused { check })
}

fn expected(statement: &RegistrationStatement) -> Expected {
    Expected { statement: statement.digest(), nonce: NONCE, tee: Some(TeeKind::Tdx) }
}

/// A world in which the first worker has begun to register, and what it would honestly send.
fn begun() -> (World, RegisterWorker) {
    let mut world = World::new();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    let message = world.registration(0, world.block + 100);
    (world, message)
}

/// What becomes of the first worker's registration with another quote.
fn with_quote(world: &World, message: &RegisterWorker, quote: QuoteParts) -> Result<(), Refusal> {
    world.clone().pay(WORKERS[0], Plancks(1), RegisterWorker { quote, ..message.clone() })
}

/// The honest quote's header and body, altered and signed again by the machine: what other code there could show.
fn signed_again(message: &RegisterWorker, alter: impl FnOnce(&mut Vec<u8>)) -> QuoteParts {
    let mut signed = message.quote.signed.as_slice().to_vec();
    alter(&mut signed);
    MACHINES[0].sign(signed)
}

#[test]
fn a_quote_with_any_bit_altered_is_refused() {
    let statement = World::new().statement(0, 500);
    let quote = MACHINES[0].quote(0, &statement, &NONCE);
    let honest = attested(&Software, &quote, &expected(&statement)).unwrap();
    assert_eq!(honest.measurement, MEASUREMENTS[0]);
    let judge = |quote: &QuoteParts| attested(&Software, quote, &expected(&statement));
    for bit in 0..8 * quote.signed.as_slice().len() {
        let mut signed = quote.signed.as_slice().to_vec();
        signed[bit / 8] ^= 1 << (bit % 8);
        let altered = QuoteParts { signed: Bytes::new(signed).unwrap(), ..quote.clone() };
        assert!(judge(&altered).is_err(), "bit {bit} of header and body");
    }
    for bit in 0..8 * 64 {
        let mut altered = quote.clone();
        altered.signature.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(judge(&altered), refused(QuoteCheck::QuoteSignature), "bit {bit} of the signature");
        let mut altered = quote.clone();
        altered.attestation_key.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(judge(&altered), refused(QuoteCheck::QuoteSignature), "bit {bit} of the attestation key");
    }
}

#[test]
fn what_vouches_for_a_key_with_any_bit_altered_is_refused() {
    let parts = &MACHINES[0].parts;
    vouches_for(&Software, parts).unwrap();
    assert_eq!(platform_id(&Software, parts), PLATFORMS[0]);
    fn field(parts: &mut KeyParts, which: usize) -> &mut [u8] {
        match which {
            0 => &mut parts.attestation_key.0,
            1 => &mut parts.qe_report.0,
            2 => &mut parts.qe_report_signature.0,
            3 => &mut parts.qe_auth_data,
            _ => &mut parts.pck_key.0,
        }
    }
    for which in 0..5 {
        for bit in 0..8 * field(&mut parts.clone(), which).len() {
            let mut altered = parts.clone();
            field(&mut altered, which)[bit / 8] ^= 1 << (bit % 8);
            assert!(vouches_for(&Software, &altered).is_err(), "bit {bit} of field {which}");
        }
    }
}

#[test]
fn the_chain_finds_code_machine_and_quote_out_by_itself() {
    let (mut world, message) = begun();
    world.pay(WORKERS[0], Plancks(1), message.clone()).unwrap();
    let record = world.worker(0);
    assert_eq!((record.measurement, record.platform), (MEASUREMENTS[0], PLATFORMS[0]));
    let signed = message.quote.signed.as_slice();
    assert_eq!(record.quote.0, encompute_protocol::digest::keccak_256(&[signed]));
}

#[test]
fn a_quote_over_another_nonce_or_statement_is_refused() {
    let (mut world, message) = begun();
    let nonce = world.call(WORKERS[1], BeginRegistration {}).unwrap();
    let own = world.statement(0, message.expires_at.0);
    let stranger = refused(QuoteCheck::ReportData);
    assert_eq!(with_quote(&world, &message, MACHINES[0].quote(0, &own, &nonce)), stranger, "the nonce of another");
    assert_eq!(with_quote(&world, &message, MACHINES[0].quote(0, &own, &Nonce::default())), stranger, "no nonce");
    let own_nonce = encompute_lifecycle::ReadState::registration_nonce(&world.market, WORKERS[0]).unwrap();
    let others = [
        ("account", RegistrationStatement { account: WORKERS[1], ..own }),
        ("contract", RegistrationStatement { contract: ContractAddress([9; 20]), ..own }),
        ("genesis", RegistrationStatement { genesis: GenesisHash([9; 32]), ..own }),
        ("signing key", RegistrationStatement { signing: key(1).address(), ..own }),
        ("hpke key", RegistrationStatement { hpke: Default::default(), ..own }),
        ("payout", RegistrationStatement { payout: Address([9; 20]), ..own }),
        ("kind of enclave", RegistrationStatement { tee: TeeKind::Sgx, ..own }),
        ("expiry", RegistrationStatement { expires_at: BlockNumber(own.expires_at.0 + 1), ..own }),
    ];
    for (field, statement) in others {
        let quote = MACHINES[0].quote(0, &statement, &own_nonce);
        assert_eq!(with_quote(&world, &message, quote), stranger, "the {field} of another");
    }
    assert_eq!(with_quote(&world, &message, MACHINES[0].quote(0, &own, &own_nonce)), Ok(()));
}

#[test]
fn a_quote_of_other_code_than_the_registration_names_is_refused() {
    let (world, message) = begun();
    let wanted = MEASUREMENTS[1];
    let lied = RegisterWorker { measurement: wanted, ..message.clone() };
    let refused = world.clone().pay(WORKERS[0], Plancks(1), lied);
    assert_eq!(refused, Err(Refusal::MeasurementMismatch { found: MEASUREMENTS[0], wanted }));
    // Every register that an allow-list pins, and none besides: the launch events, RTMR3, may be any.
    let pinned = [121..136, 136..184, 184..232, 328..376, 376..424, 424..472];
    for byte in pinned.into_iter().flat_map(|register| [register.start, register.end - 1]) {
        let quote = signed_again(&message, |signed| signed[48 + byte] ^= 0x40);
        let altered = with_quote(&world, &message, quote);
        assert!(matches!(altered, Err(Refusal::MeasurementMismatch { .. })), "byte {byte}: {altered:?}");
    }
    for byte in [0, 16, 64, 112, 232, 280, 472, 519] {
        let quote = signed_again(&message, |signed| signed[48 + byte] ^= 1);
        assert_eq!(with_quote(&world, &message, quote), Ok(()), "byte {byte}");
    }
}

#[test]
fn code_that_can_be_debugged_and_a_quote_that_names_no_software_are_refused() {
    let (world, message) = begun();
    for bit in 0..8 {
        let quote = signed_again(&message, |signed| signed[at::TD_ATTRIBUTES] ^= 1 << bit);
        assert_eq!(with_quote(&world, &message, quote), refused(QuoteCheck::Debug), "attribute bit {bit}");
    }
    let quote = signed_again(&message, |signed| signed[at::MR_CONFIG_ID..at::MR_CONFIG_ID + 48].fill(0));
    assert_eq!(with_quote(&world, &message, quote), refused(QuoteCheck::NoSoftware));
}

#[test]
fn a_quote_is_used_once() {
    let (mut world, first) = begun();
    world.pay(WORKERS[0], Plancks(1), first.clone()).unwrap();
    assert_eq!(world.pay(WORKERS[0], Plancks(1), first.clone()), Err(Refusal::NoNonce));
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    assert_eq!(world.pay(WORKERS[0], Plancks(1), first.clone()), Err(Refusal::QuoteReused));
    // Its unsigned part is not what it is known by: another signature over the same is the same quote.
    let mut malleated = first.quote.clone();
    malleated.signature.0[40] ^= 1;
    assert_eq!(with_quote(&world, &first, malleated), Err(Refusal::QuoteReused));
    let second = world.registration(0, world.block + 100);
    world.pay(WORKERS[0], Plancks(1), second).unwrap();
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    assert_eq!(with_quote(&world, &first, first.quote.clone()), refused(QuoteCheck::ReportData));
}

#[test]
fn header_and_body_of_another_length_or_kind_are_refused() {
    let (world, message) = begun();
    let quote = |alter: fn(&mut Vec<u8>)| with_quote(&world, &message, signed_again(&message, alter));
    let unread = |fault| Err(Refusal::QuoteUnread { fault });
    assert_eq!(quote(|signed| signed.push(0)), unread(QuoteFault::Length { found: 633, wanted: 632 }));
    assert_eq!(quote(|signed| signed.truncate(631)), unread(QuoteFault::Length { found: 631, wanted: 632 }));
    assert_eq!(quote(|signed| signed[0] = 5), unread(QuoteFault::BodyType { found: 0 }));
    assert_eq!(quote(|signed| signed[4] = 0), unread(QuoteFault::TeeType { found: 0 }));
    assert_eq!(quote(Vec::clear), Err(Refusal::Missing { field: Field::Quote }));
    // An enclave of another kind than the statement names, whole in itself.
    let statement = world.statement(0, message.expires_at.0);
    let nonce = encompute_lifecycle::ReadState::registration_nonce(&world.market, WORKERS[0]).unwrap();
    let mut sgx = message.quote.signed.as_slice()[..48 + 384].to_vec();
    (sgx[0], sgx[4]) = (3, 0);
    sgx[48 + 320..].copy_from_slice(&report_data(&statement, &nonce));
    assert_eq!(with_quote(&world, &message, MACHINES[0].sign(sgx)), refused(QuoteCheck::TeeKind));
    assert_eq!(message.quote.signed.as_slice()[at::REPORT_DATA..], report_data(&statement, &nonce));
}

#[test]
fn an_attestation_key_that_no_listed_machine_vouches_for_is_refused() {
    let (mut world, message) = begun();
    let stranger = Machine::new(7);
    let statement = world.statement(0, message.expires_at.0);
    let nonce = encompute_lifecycle::ReadState::registration_nonce(&world.market, WORKERS[0]).unwrap();
    let key = key_digest(&Software, &stranger.parts.attestation_key);
    let quote = stranger.quote(0, &statement, &nonce);
    assert_eq!(with_quote(&world, &message, quote.clone()), Err(Refusal::UnknownKey { key }));
    let platform = platform_id(&Software, &stranger.parts);
    let certify = CertifyKey { key: stranger.parts.clone() };
    assert_eq!(world.call(STRANGER, certify.clone()), Err(Refusal::UnknownPlatform { platform }));
    world.call(GOVERNOR, AllowPlatform { platform }).unwrap();
    let (valid_from, block) = (BlockNumber(world.block + 3), BlockNumber(world.block));
    assert_eq!(world.call(STRANGER, certify.clone()), Err(Refusal::PlatformNotYet { valid_from, block }));
    let again = world.call(GOVERNOR, AllowPlatform { platform });
    assert_eq!(again, Err(Refusal::PlatformKnown { valid_from }));
    world.block += 3;
    assert_eq!(world.call(STRANGER, certify), Ok(platform));
    assert_eq!(with_quote(&world, &message, quote), Ok(()));
    let nobody = PlatformId::default();
    let refused = world.call(GOVERNOR, AllowPlatform { platform: nobody });
    assert_eq!(refused, Err(Refusal::Missing { field: Field::Platform }));
}

#[test]
fn a_revoked_platform_registers_nobody_and_stays_revoked() {
    let (mut world, message) = begun();
    let platform = PLATFORMS[0];
    world.call(GOVERNOR, RevokePlatform { platform }).unwrap();
    let revoked = Refusal::PlatformRevoked { revoked_at: BlockNumber(world.block) };
    assert_eq!(world.pay(WORKERS[0], Plancks(1), message), Err(revoked));
    assert_eq!(world.call(WORKERS[0], CertifyKey { key: MACHINES[0].parts.clone() }), Err(revoked));
    assert_eq!(world.call(GOVERNOR, AllowPlatform { platform }), Err(revoked));
    assert_eq!(world.call(GOVERNOR, RevokePlatform { platform }), Err(revoked));
    let unknown = PlatformId([9; 32]);
    let refused = world.call(GOVERNOR, RevokePlatform { platform: unknown });
    assert_eq!(refused, Err(Refusal::UnknownPlatform { platform: unknown }));
}

#[test]
fn a_quoting_enclave_that_is_not_the_listed_one_vouches_for_nothing() {
    let mut world = World::new();
    let machine = &MACHINES[0];
    // The machine's owner may have any enclave's report signed: one of his own is another platform.
    let others = [machine.parts_with(|report| report[128] ^= 1), machine.parts_with(|report| report[256] = 1)];
    for key in others {
        vouches_for(&Software, &key).unwrap();
        let platform = platform_id(&Software, &key);
        assert_eq!(world.call(STRANGER, CertifyKey { key }), Err(Refusal::UnknownPlatform { platform }));
    }
    let debug = machine.parts_with(|report| report[48] |= 0b10);
    assert_eq!(world.call(STRANGER, CertifyKey { key: debug }), refused(QuoteCheck::QuotingEnclaveDebug));
    for byte in [320, 351, 352, 383] {
        let key = machine.parts_with(|report| report[byte] ^= 1);
        assert_eq!(world.call(STRANGER, CertifyKey { key }), refused(QuoteCheck::KeyBinding), "byte {byte}");
    }
    let mut swapped = machine.parts.clone();
    swapped.attestation_key = MACHINES[1].parts.attestation_key;
    assert_eq!(world.call(STRANGER, CertifyKey { key: swapped }), refused(QuoteCheck::KeyBinding));
    let mut forged = machine.parts.clone();
    forged.qe_report_signature = MACHINES[1].parts.qe_report_signature;
    assert_eq!(world.call(STRANGER, CertifyKey { key: forged }), refused(QuoteCheck::PckSignature));
}

#[test]
fn a_patched_machine_certifies_its_old_attestation_key_anew() {
    let (mut world, message) = begun();
    // Patched: the same quoting enclave and key under the PCK key of another patch level.
    let patched = Machine::patched(0);
    let platform = platform_id(&Software, &patched.parts);
    assert_ne!(platform, PLATFORMS[0]);
    assert_eq!(patched.parts.attestation_key, MACHINES[0].parts.attestation_key);
    world.call(GOVERNOR, AllowPlatform { platform }).unwrap();
    world.block += 3;
    world.call(GOVERNOR, RevokePlatform { platform: PLATFORMS[0] }).unwrap();
    world.call(WORKERS[0], CertifyKey { key: patched.parts }).unwrap();
    world.pay(WORKERS[0], Plancks(1), message).unwrap();
    assert_eq!(world.worker(0).platform, platform);
}

#[test]
fn a_platform_without_sha_256_accepts_nothing() {
    /// A chain whose precompiles are missing: they answer nothing at all.
    struct Bare;
    impl encompute_lifecycle::Host for Bare {
        fn keccak_256(&self, bytes: &[u8]) -> [u8; 32] {
            Software.keccak_256(bytes)
        }
        fn recover(
            &self,
            digest: &[u8; 32],
            signature: &encompute_protocol::Signature,
        ) -> Option<encompute_protocol::SigningAddress> {
            Software.recover(digest, signature)
        }
        fn block_hash(&self, _: BlockNumber) -> Option<[u8; 32]> {
            None
        }
        fn sha_256(&self, _: &[u8]) -> Option<[u8; 32]> {
            None
        }
        fn p256_verify(
            &self,
            _: &[u8; 32],
            _: &encompute_protocol::quote::P256Signature,
            _: &encompute_protocol::quote::P256Key,
        ) -> bool {
            true
        }
    }
    let statement = World::new().statement(0, 500);
    let quote = MACHINES[0].quote(0, &statement, &NONCE);
    assert_eq!(attested(&Bare, &quote, &expected(&statement)), refused(QuoteCheck::NoSha256));
    assert_eq!(vouches_for(&Bare, &MACHINES[0].parts), refused(QuoteCheck::NoSha256));
}
