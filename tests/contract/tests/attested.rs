//! The built contract judges quotes itself, with the platform's own precompiles.
#![allow(clippy::unwrap_used, clippy::panic)]

use encompute_contract_tests::{
    Chain, Said,
    world::{
        quotes::{Machine, signed},
        *,
    },
};
use encompute_lifecycle::{ReadState, Refusal, Software, attested, refusal::QuoteCheck};
use encompute_protocol::{
    Bytes, KeyParts, Plancks, QuoteParts,
    call::{BeginRegistration, Call, CertifyKey, ReadWorker, RegisterWorker},
    quote::{P256Key, P256Signature},
    statement::report_data,
};
use sp_core::{H160, U256};

const VALUE: Plancks = Plancks(1);

/// The contract as the world has it, the first worker about to register, and what it honestly sends.
fn begun() -> (Chain, World, RegisterWorker) {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    world.call(WORKERS[0], BeginRegistration {}).unwrap();
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let message = world.registration(0, world.block + 100);
    (chain, world, message)
}

fn refused(check: QuoteCheck) -> Refusal {
    Refusal::QuoteRefused { check }
}

#[test]
fn a_quote_with_a_bit_of_any_signed_part_altered_registers_nobody() {
    let (mut chain, _, message) = begun();
    let mut judge = |quote: QuoteParts| {
        let message = RegisterWorker { quote, ..message.clone() };
        chain.call(WORKERS[0], VALUE, &message).unwrap_err()
    };
    // A byte of each field of header and body that no cheaper check looks at: the signature alone finds it.
    for byte in [8, 28, 47, 48, 64, 112, 160, 280, 328, 470, 519] {
        let mut altered = message.quote.signed.as_slice().to_vec();
        altered[byte] ^= 0x10;
        let quote = QuoteParts { signed: Bytes::new(altered).unwrap(), ..message.quote.clone() };
        assert_eq!(judge(quote), refused(QuoteCheck::QuoteSignature), "byte {byte}");
    }
    for byte in (0..64).step_by(7) {
        let mut quote = message.quote.clone();
        quote.signature.0[byte] ^= 1;
        assert_eq!(judge(quote), refused(QuoteCheck::QuoteSignature), "byte {byte}");
        let mut quote = message.quote.clone();
        quote.attestation_key.0[byte] ^= 1;
        assert!(matches!(judge(quote), Refusal::UnknownKey { .. }), "byte {byte}");
    }
    let nothing = P256Signature([0; 64]);
    assert_eq!(judge(QuoteParts { signature: nothing, ..message.quote.clone() }), refused(QuoteCheck::QuoteSignature));
    // Honest to the last bit, it counts.
    chain.call(WORKERS[0], VALUE, &message).unwrap();
}

#[test]
fn a_key_with_a_bit_of_what_vouches_for_it_altered_is_not_certified() {
    let (mut chain, _, _) = begun();
    let honest = &MACHINES[2].parts;
    let mut judge = |alter: &dyn Fn(&mut KeyParts)| {
        let mut key = honest.clone();
        alter(&mut key);
        chain.call(STRANGER, Plancks::ZERO, &CertifyKey { key })
    };
    for byte in [0, 16, 64, 100, 160, 258, 319] {
        assert_eq!(judge(&|key| key.qe_report.0[byte] ^= 1), Err(refused(QuoteCheck::PckSignature)), "byte {byte}");
    }
    for byte in [320, 351, 352, 383] {
        assert_eq!(judge(&|key| key.qe_report.0[byte] ^= 1), Err(refused(QuoteCheck::KeyBinding)), "byte {byte}");
    }
    assert_eq!(judge(&|key| key.qe_report.0[48] ^= 2), Err(refused(QuoteCheck::QuotingEnclaveDebug)));
    assert_eq!(judge(&|key| key.qe_auth_data[31] ^= 1), Err(refused(QuoteCheck::KeyBinding)));
    assert_eq!(judge(&|key| key.attestation_key.0[0] ^= 1), Err(refused(QuoteCheck::KeyBinding)));
    assert_eq!(judge(&|key| key.qe_report_signature.0[63] ^= 1), Err(refused(QuoteCheck::PckSignature)));
    for alter in [
        (|key: &mut KeyParts| key.pck_key.0[0] ^= 1) as fn(&mut KeyParts),
        |key| key.qe_report.0[128] ^= 1,
        |key| key.qe_report.0[256] ^= 1,
    ] {
        assert!(matches!(judge(&alter), Err(Refusal::UnknownPlatform { .. })));
    }
    assert_eq!(judge(&|_| {}), Ok(PLATFORMS[2]));
}

#[test]
fn replayed_quotes_and_quotes_of_other_nonces_statements_code_and_machines_register_nobody() {
    let (mut chain, world, message) = begun();
    let statement = world.statement(0, message.expires_at.0);
    let nonce = world.market.registration_nonce(WORKERS[0]).unwrap();
    let bound = report_data(&statement, &nonce);
    let judge = |chain: &mut Chain, quote| {
        chain.call(WORKERS[0], VALUE, &RegisterWorker { quote, ..message.clone() }).unwrap_err()
    };
    let other = report_data(&world.statement(1, message.expires_at.0), &nonce);
    assert_eq!(judge(&mut chain, MACHINES[0].sign(signed(0, &other))), refused(QuoteCheck::ReportData));
    let mut older = bound;
    older[63] ^= 1;
    assert_eq!(judge(&mut chain, MACHINES[0].sign(signed(0, &older))), refused(QuoteCheck::ReportData));
    let (found, wanted) = (MEASUREMENTS[1], MEASUREMENTS[0]);
    let code = judge(&mut chain, MACHINES[0].sign(signed(1, &bound)));
    assert_eq!(code, Refusal::MeasurementMismatch { found, wanted });
    let mut debug = signed(0, &bound);
    debug[48 + 120] = 1;
    assert_eq!(judge(&mut chain, MACHINES[0].sign(debug)), refused(QuoteCheck::Debug));
    let mut unnamed = signed(0, &bound);
    unnamed[48 + 184..48 + 232].fill(0);
    assert_eq!(judge(&mut chain, MACHINES[0].sign(unnamed)), refused(QuoteCheck::NoSoftware));
    let stranger = Machine::new(9);
    let key = attested::key_digest(&Software, &stranger.parts.attestation_key);
    assert_eq!(judge(&mut chain, stranger.sign(signed(0, &bound))), Refusal::UnknownKey { key });

    chain.call(WORKERS[0], VALUE, &message).unwrap();
    assert_eq!(chain.call(WORKERS[0], VALUE, &message), Err(Refusal::NoNonce));
    chain.call(WORKERS[0], Plancks::ZERO, &BeginRegistration {}).unwrap();
    assert_eq!(chain.call(WORKERS[0], VALUE, &message), Err(Refusal::QuoteReused));
    let (record, _) = chain.read(&ReadWorker { worker: WORKERS[0] }).unwrap();
    assert_eq!(record.quote, attested::quote_identity(&Software, &message.quote));
    assert_eq!(record.platform, PLATFORMS[0]);
}

#[test]
fn a_missing_precompile_answers_what_a_wrong_signature_does_and_neither_counts() {
    let (mut chain, _, message) = begun();
    let digest = encompute_lifecycle::Host::sha_256(&Software, message.quote.signed.as_slice()).unwrap();
    let input = |signature: &P256Signature, key: &P256Key| [&digest[..], &signature.0, &key.0].concat();
    let QuoteParts { signature, attestation_key, .. } = &message.quote;
    let p256 = H160::from_low_u64_be(0x100);
    let good = chain.ask_platform(p256, input(signature, attestation_key));
    let mut one = [0; 32];
    one[31] = 1;
    assert_eq!(good, Said::Returned(one.to_vec()));
    let wrong = chain.ask_platform(p256, input(&P256Signature([1; 64]), attestation_key));
    let missing = chain.ask_platform(H160::from_low_u64_be(0x0dea_d100), input(signature, attestation_key));
    // A success, with nothing in it: the contract, which refuses the first above, takes the second for the same.
    assert_eq!((wrong, missing), (Said::Returned(vec![]), Said::Returned(vec![])));
}

#[test]
fn a_quote_longer_than_any_is_no_argument() {
    let (mut chain, _, message) = begun();
    let calldata = message.calldata();
    // Selector, keys, payout, kind, measurement; then the length of header and body, 632, as two bytes.
    let at = 4 + 20 + 32 + 20 + 1 + 32;
    assert_eq!(calldata[at..at + 2], [0xe1, 0x09]);
    let mut longer = calldata.clone();
    longer[at..at + 2].copy_from_slice(&[0xb1, 0x0e]);
    longer.extend([0; 400]);
    let said = chain.send(WORKERS[0], U256::zero(), longer).said;
    assert_eq!(said, Said::Reverted(vec![1, 1]));
    let trailing = chain.send(WORKERS[0], U256::zero(), [&calldata[..], &[0]].concat()).said;
    assert!(matches!(trailing, Said::Reverted(bytes) if bytes != [1, 1]), "the shell counts the bytes");
}

#[test]
fn a_quote_that_is_demanded_for_a_job_is_judged_on_the_chain_as_a_registrations_is() {
    let mut chain = Chain::new();
    let mut world = World::at_contract(chain.contract());
    let job = world.demanded(encompute_protocol::Stage::HeadCommitted);
    chain.repeat(&world).unwrap_or_else(|difference| panic!("{difference:#?}"));
    let honest = world.quote_for(job);
    let mut show = |quote: QuoteParts| {
        let message = encompute_protocol::call::ShowQuote { quote, ..honest.clone() };
        chain.call(WORKERS[0], Plancks::ZERO, &message)
    };
    // Any byte of what it binds: the receipt's digest, then the nonce.
    for byte in (0..64).step_by(3) {
        let mut data = world.wanted_report_data(job);
        data[byte] ^= 0x40;
        assert_eq!(show(MACHINES[0].sign(signed(0, &data))), Err(refused(QuoteCheck::ReportData)), "byte {byte}");
    }
    for byte in (0..64).step_by(9) {
        let mut quote = honest.quote.clone();
        quote.signature.0[byte] ^= 1;
        assert_eq!(show(quote), Err(refused(QuoteCheck::QuoteSignature)), "byte {byte}");
    }
    let data = world.wanted_report_data(job);
    assert!(matches!(show(Machine::new(77).sign(signed(0, &data))), Err(Refusal::UnknownKey { .. })));
    assert!(matches!(show(MACHINES[0].sign(signed(1, &data))), Err(Refusal::MeasurementMismatch { .. })));
    assert_eq!(show(honest.quote.clone()), Ok(()));
}
