//! Judging evidence against the chain: one named check per fact, all of them made, none assumed.

use crate::claims::{Claims, ReportData};
use crate::collateral::Collateral;
use crate::compact::compact;
use crate::evidence::{Evidence, HeadKeyEvidence, HpkeKey, ReceiptEvidence, RegistrationEvidence};
use crate::measurement::Measurement;
use crate::platform::UnixSeconds;
use crate::policy::{Policy, Verdict, verify};
use crate::refusal::Refusal;
use crate::root::TrustRoot;
use core::fmt::Display;
use encompute_protocol::statement::TeeKind;
use encompute_protocol::wire::Message;
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, HeadKeyStatement, MeasurementId, Nonce, PlatformId,
    QuoteIdentity, ReceiptDigest, RegistrationStatement, Signed, WorkerRecord,
};

/// One fact compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name, for `--json` and tests.
    pub id: &'static str,
    /// Whether it holds.
    pub pass: bool,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub actual: String,
    /// Where the expected value comes from.
    pub source: &'static str,
}

/// The outcome of judging evidence: every check, and what the quote proved if it proved anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appraisal {
    /// All checks that could be made, in a fixed order.
    pub checks: Vec<Check>,
    /// What the quote says, when its signatures and the policy hold.
    pub verdict: Option<Verdict>,
}

/// Evidence that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("evidence does not hold: {id}: expected {expected}, found {actual}")]
pub struct EvidenceRefused {
    /// The first check that failed.
    pub id: &'static str,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub actual: String,
}

/// A worker's key that a quote has been proved to speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// What the quote says, and under which root.
    pub verdict: Verdict,
    /// The key to seal to.
    pub hpke_key: HpkeKey,
}

/// What the chain says about a registration.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationFacts<'a> {
    /// The chain.
    pub genesis: GenesisHash,
    /// The contract on it.
    pub contract: ContractAddress,
    /// The worker's account.
    pub account: Address,
    /// Its record.
    pub record: &'a WorkerRecord,
    /// The block at which the registration has to hold.
    pub at: BlockNumber,
}

/// What the chain says about a quote that was shown for a job.
#[derive(Clone, Copy, Debug)]
pub struct QuoteFacts {
    /// Digest of the job's receipt, which the chain built from its own facts.
    pub receipt: ReceiptDigest,
    /// The nonce that was issued with the demand.
    pub nonce: Nonce,
    /// The code that the head was committed by.
    pub measurement: MeasurementId,
    /// The quote that was shown.
    pub quote: QuoteIdentity,
    /// The blob that was named with it.
    pub evidence: BlobDigest,
}

/// Judges the evidence blob of a registration against the chain's record of it.
///
/// All checks are made even after one fails, so that a report names everything that is wrong; only
/// a blob that cannot be read ends the list early.
pub fn appraise_registration(
    blob: &[u8],
    facts: &RegistrationFacts<'_>,
    root: &TrustRoot,
    policy: &Policy,
    now: UnixSeconds,
) -> Appraisal {
    let record = facts.record;
    let mut checks = Checks::default();
    checks.same("evidence-digest", &record.evidence, &BlobDigest::of(blob), "chain: worker record");
    let evidence = match RegistrationEvidence::from_wire(blob) {
        Ok(evidence) => evidence,
        Err(reason) => {
            checks.failed("evidence-bytes", "registration evidence, version 1", &reason, "protocol");
            return Appraisal { checks: checks.0, verdict: None };
        }
    };
    let RegistrationStatement { genesis, contract, account, signing, hpke, payout, tee, expires_at } =
        evidence.statement;
    checks.same("statement-genesis", &facts.genesis, &genesis, "chain: genesis");
    checks.same("statement-contract", &facts.contract, &contract, "chain: contract");
    checks.same("statement-account", &facts.account, &account, "chain: worker");
    checks.same("statement-signing-key", &record.signing, &signing, "chain: worker record");
    checks.same("statement-hpke-key", &record.hpke, &hpke, "chain: worker record");
    checks.same("statement-payout", &record.payout, &payout, "chain: worker record");
    checks.same("statement-expiry", &record.expires_at, &expires_at, "chain: worker record");
    checks.same("nonce", &record.nonce, &evidence.nonce, "chain: worker record");
    checks.push(
        "registration-holds",
        facts.at < record.expires_at,
        format!("before block {}", record.expires_at),
        facts.at,
        "chain: head",
    );
    checks.key(&evidence, hpke);
    let verdict = checks.quote(&evidence, Some(tee), root, policy, now);
    if let Some(verdict) = &verdict {
        checks.same("quote-identity", &record.quote, &verdict.claims.quote, "chain: worker record");
        checks.same("measurement", &record.measurement, &verdict.measurement_id, "chain: worker record");
        checks.platform(&evidence, record.platform, "chain: worker record");
    }
    Appraisal { checks: checks.0, verdict }
}

/// Judges the evidence blob of a quote that was shown for a job, as of the time `now` at which it was.
///
/// All checks are made even after one fails; only a blob that cannot be read ends the list early.
pub fn appraise_receipt(
    blob: &[u8],
    facts: &QuoteFacts,
    root: &TrustRoot,
    policy: &Policy,
    now: UnixSeconds,
) -> Appraisal {
    let mut checks = Checks::default();
    checks.same("evidence-digest", &facts.evidence, &BlobDigest::of(blob), "chain: events");
    let evidence = match ReceiptEvidence::from_wire(blob) {
        Ok(evidence) => evidence,
        Err(reason) => {
            checks.failed("evidence-bytes", "evidence of a receipt, version 1", &reason, "protocol");
            return Appraisal { checks: checks.0, verdict: None };
        }
    };
    let receipt = ReceiptDigest(evidence.statement.digest());
    checks.same("receipt", &facts.receipt, &receipt, "chain: job progress");
    checks.same("nonce", &facts.nonce, &evidence.nonce, "chain: events");
    let verdict = checks.quote(&evidence, None, root, policy, now);
    if let Some(verdict) = &verdict {
        checks.same("quote-identity", &facts.quote, &verdict.claims.quote, "chain: events");
        checks.same("measurement", &facts.measurement, &verdict.measurement_id, "chain: job progress");
    }
    Appraisal { checks: checks.0, verdict }
}

/// Judges a worker's request for a head's key. `expected` is the statement that the creator's
/// service builds from the chain's record of the worker and from the version asked for, `nonce`
/// the one it issued for this request; a nonce must be used for one request only.
pub fn appraise_head_key_request(
    evidence: &HeadKeyEvidence,
    expected: &HeadKeyStatement,
    tee: TeeKind,
    nonce: &Nonce,
    root: &TrustRoot,
    policy: &Policy,
    now: UnixSeconds,
) -> Appraisal {
    let found = &evidence.statement;
    let mut checks = Checks::default();
    checks.same("statement-genesis", &expected.genesis, &found.genesis, "chain: genesis");
    checks.same("statement-contract", &expected.contract, &found.contract, "chain: contract");
    checks.same("statement-account", &expected.account, &found.account, "chain: worker");
    checks.same("statement-signing-key", &expected.signing, &found.signing, "chain: worker record");
    checks.same("statement-hpke-key", &expected.hpke, &found.hpke, "chain: worker record");
    checks.same("statement-version", &expected.version, &found.version, "request");
    checks.same("statement-manifest", &expected.manifest, &found.manifest, "chain: version record");
    checks.same("statement-split", &expected.split, &found.split, "request");
    checks.same("nonce", nonce, &evidence.nonce, "issued for this request");
    checks.key(evidence, found.hpke);
    let verdict = checks.quote(evidence, Some(tee), root, policy, now);
    Appraisal { checks: checks.0, verdict }
}

impl Appraisal {
    /// True when there is a verdict and every check holds.
    pub fn holds(&self) -> bool {
        self.verdict.is_some() && self.checks.iter().all(|check| check.pass)
    }

    /// The verdict, if every check holds.
    ///
    /// # Errors
    /// [`EvidenceRefused`] with the first check that failed.
    pub fn into_verdict(self) -> Result<Verdict, EvidenceRefused> {
        if let Some(failed) = self.checks.into_iter().find(|check| !check.pass) {
            return Err(EvidenceRefused { id: failed.id, expected: failed.expected, actual: failed.actual });
        }
        let missing = || EvidenceRefused { id: "quote", expected: "a verdict".to_owned(), actual: "none".to_owned() };
        self.verdict.ok_or_else(missing)
    }

    /// The verdict with the key it speaks for, if every check holds.
    ///
    /// # Errors
    /// [`EvidenceRefused`] with the first check that failed.
    pub fn into_attested<S>(self, evidence: &Evidence<S>) -> Result<Attested, EvidenceRefused> {
        Ok(Attested { verdict: self.into_verdict()?, hpke_key: evidence.hpke_key.clone() })
    }
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn push(
        &mut self,
        id: &'static str,
        pass: bool,
        expected: impl Display,
        actual: impl Display,
        source: &'static str,
    ) {
        self.0.push(Check { id, pass, expected: expected.to_string(), actual: actual.to_string(), source });
    }

    fn same<T: PartialEq + Display>(&mut self, id: &'static str, expected: &T, actual: &T, source: &'static str) {
        self.push(id, expected == actual, expected, actual, source);
    }

    fn failed(&mut self, id: &'static str, expected: &str, actual: &dyn Display, source: &'static str) {
        self.push(id, false, expected, actual, source);
    }

    fn key<S>(&mut self, evidence: &Evidence<S>, named: encompute_protocol::KeyDigest) {
        self.same("hpke-key", &named, &evidence.hpke_key.digest(), "evidence: statement");
    }

    fn platform<S>(&mut self, evidence: &Evidence<S>, expected: PlatformId, source: &'static str) {
        match compact(evidence.quote.as_slice()) {
            Ok((_, key)) => self.same("platform", &expected, &key.platform(), source),
            Err(reason) => self.failed("platform", &expected.to_string(), &reason, source),
        }
    }

    /// The quote's own checks: signatures and policy, what it binds, which kind of enclave where that was said.
    fn quote<S: Signed>(
        &mut self,
        evidence: &Evidence<S>,
        tee: Option<TeeKind>,
        root: &TrustRoot,
        policy: &Policy,
        now: UnixSeconds,
    ) -> Option<Verdict> {
        const SOURCE: &str = "network: trust root and policy";
        let expected = format!("a quote that verifies under the {} root and passes the policy", root.kind());
        let verdict = match judge(evidence, root, policy, now) {
            Ok(verdict) => verdict,
            Err(reason) => {
                self.failed("quote", &expected, &reason, SOURCE);
                return None;
            }
        };
        self.push("quote", true, &expected, verdict.claims.root, SOURCE);
        let Claims { report_data, measurement, .. } = &verdict.claims;
        self.same::<ReportData>(
            "report-data",
            &evidence.expected_report_data(),
            report_data,
            "evidence: statement and nonce",
        );
        if let Some(tee) = tee {
            let found = kind_of(measurement);
            self.push("tee", tee == found, word(tee), word(found), "evidence: statement");
        }
        Some(verdict)
    }
}

fn judge<S>(evidence: &Evidence<S>, root: &TrustRoot, policy: &Policy, now: UnixSeconds) -> Result<Verdict, Refusal> {
    let collateral = Collateral::from_json(evidence.collateral.as_slice()).map_err(|_| Refusal::CollateralMalformed)?;
    verify(evidence.quote.as_slice(), &collateral, root, policy, now)
}

fn kind_of(measurement: &Measurement) -> TeeKind {
    match measurement {
        Measurement::Tdx(_) => TeeKind::Tdx,
        Measurement::Sgx(_) => TeeKind::Sgx,
    }
}

fn word(tee: TeeKind) -> &'static str {
    match tee {
        TeeKind::Tdx => "TDX",
        TeeKind::Sgx => "SGX",
    }
}
