//! `encompute bench attest`: how fast one core judges quotes and receipts.

use crate::{
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use encompute_attest::{
    Collateral, ComposeHash, Measurement, Permission, Policy, QuoteKind, Register, ReportData, TcbEvaluationNumber,
    TcbStatus, TrustRoot, UnixSeconds,
    pki::{
        CollateralTerms, DevelopmentPki, DevelopmentSeed, PkiError, Platform, PlatformTraits, TdxForm,
        development_enclave, development_measurement,
    },
    verify,
};
use encompute_protocol::{
    Address, BlobDigest, BlockNumber, ContractAddress, GenesisHash, HeadDigest, JobId, MeasurementId, Nonce, Receipt,
    Signature, SplitIndex, TailDigest, VersionHash, VersionId, signing::SigningKey, statement::TeeKind,
};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};

/// How much to measure.
#[derive(clap::Args)]
pub struct Attest {
    /// Quotes of each form to judge: every signature up to a development root, then a policy
    #[arg(long, default_value_t = 500, value_name = "N")]
    quotes: u32,
    /// Receipts to judge: digest, then the key that signed it
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    receipts: u32,
}

/// How many a second: of the clock, and of what the core gave to this thread. The two are far apart on a machine that
/// does other things as well.
#[derive(Clone, Copy)]
struct Rate {
    by_the_clock: f64,
    of_the_core: f64,
}

/// A clock, and what Linux counts as this thread's time on a core.
struct Watch(Instant, Option<u64>);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), core_nanos())
    }

    fn rate(&self, count: u32) -> Rate {
        let (clock, core) = (self.0.elapsed().as_secs_f64(), core_nanos());
        let core = self.1.zip(core).map_or(clock, |(from, to)| to.saturating_sub(from) as f64 / 1e9);
        Rate { by_the_clock: f64::from(count) / clock, of_the_core: f64::from(count) / core }
    }
}

fn core_nanos() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// One form of quote, ready to be judged again and again.
struct Form {
    name: &'static str,
    quote: Vec<u8>,
    collateral: Collateral,
}

impl Attest {
    /// Runs it.
    pub fn run(self, json: bool) -> Outcome {
        let now = UnixSeconds::now();
        let pki = DevelopmentPki::from_seed(DevelopmentSeed::from_label("bench")).doing(Exit::Failed, "make keys")?;
        let policy = policy();
        let mut rows = Vec::new();
        for form in forms(&pki, now).doing(Exit::Failed, "make quotes")? {
            rows.push((form.name, form.rate(pki.trust_root(), &policy, now, self.quotes)?));
        }
        rows.push(("receipt", receipts(self.receipts)?));
        if json {
            let row = |(name, rate): &(&str, Rate)| json!({ "name": name, "per_core_second": rate.of_the_core, "per_second": rate.by_the_clock });
            let rows: Vec<_> = rows.iter().map(row).collect();
            return output::json(&json!({ "machine": super::bench::machine(), "cores": 1, "rows": rows }));
        }
        let head = ["judged on one core", "a second of it", "by the clock"].map(String::from).to_vec();
        let rows = rows.iter().map(|(name, rate)| {
            vec![(*name).to_owned(), format!("{:.0}", rate.of_the_core), format!("{:.0}", rate.by_the_clock)]
        });
        output::text(&output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
        output::text(&super::bench::machine())
    }
}

impl Form {
    fn rate(&self, root: &TrustRoot, policy: &Policy, now: UnixSeconds, count: u32) -> Outcome<Rate> {
        output::say(&format!("judging {count} quotes {} …", self.name));
        let watch = Watch::start();
        for _ in 0..count {
            let judged = verify(&self.quote, &self.collateral, root, policy, now);
            judged.map_err(|refusal| Failure::new(Exit::Failed, refusal.to_string()))?;
        }
        Ok(watch.rate(count))
    }
}

fn measurement() -> encompute_attest::TdxMeasurement {
    development_measurement(ComposeHash([5; 32]))
}

fn policy() -> Policy {
    Policy {
        kinds: QuoteKind::ALL.into(),
        measurements: [measurement().id(), Measurement::Sgx(development_enclave(1)).id()].into(),
        tcb_statuses: [TcbStatus::UpToDate].into(),
        denied_advisories: BTreeSet::new(),
        min_tcb_evaluation: TcbEvaluationNumber(0),
        dynamic_platform: Permission::Refused,
        cached_keys: Permission::Refused,
        smt: Permission::Refused,
        development_root: Permission::Allowed,
    }
}

fn forms(pki: &DevelopmentPki, now: UnixSeconds) -> Result<Vec<Form>, PkiError> {
    let machine = pki.platform("bench", PlatformTraits::default())?;
    let collateral = |tee| pki.collateral_for(tee, machine.traits(), &CollateralTerms::current(now));
    let tdx =
        |machine: &Platform, form| machine.tdx_quote(form, &measurement(), Register([0; 48]), ReportData([7; 64]));
    let of_domain = |name, form| {
        Ok::<_, PkiError>(Form { name, quote: tdx(&machine, form), collateral: collateral(TeeKind::Tdx)? })
    };
    Ok(vec![
        Form {
            name: "SGX v3",
            quote: machine.sgx_quote(&development_enclave(1), ReportData([7; 64])),
            collateral: collateral(TeeKind::Sgx)?,
        },
        of_domain("TDX v4", TdxForm::V4)?,
        of_domain("TDX v5, 1.0", TdxForm::V5)?,
        of_domain("TDX v5, 1.5", TdxForm::V5Td15)?,
    ])
}

/// Receipts of as many jobs, each rebuilt, hashed and its key recovered, as an auditor does.
fn receipts(count: u32) -> Outcome<Rate> {
    output::say(&format!("judging {count} receipts …"));
    let key = SigningKey::from_secret(&[0x2a; 32]).doing(Exit::Failed, "make a key")?;
    let signed: Vec<(Receipt, Signature)> = (0..u64::from(count)).map(receipt).map(|it| (it, key.sign(&it))).collect();
    let signer = key.address();
    let watch = Watch::start();
    let good = signed.iter().filter(|(receipt, signature)| signature.is_by(&signer, receipt)).count();
    let rate = watch.rate(count);
    match good == signed.len() {
        true => Ok(rate),
        false => Err(Failure::new(Exit::Failed, "a receipt does not hold")),
    }
}

fn receipt(job: u64) -> Receipt {
    Receipt {
        genesis: GenesisHash([1; 32]),
        contract: ContractAddress([2; 20]),
        job: JobId(job),
        version: VersionId(1),
        manifest: VersionHash([3; 32]),
        split: SplitIndex(0),
        head: HeadDigest([4; 32]),
        input: BlobDigest([5; 32]),
        evaluation_key: BlobDigest([0; 32]),
        output: BlobDigest([6; 32]),
        tail: TailDigest([7; 32]),
        worker: Address([8; 20]),
        measurement: MeasurementId([9; 32]),
        registration_nonce: Nonce([10; 32]),
        claimed_at: BlockNumber(11),
        finished_at: BlockNumber(12),
        expires_at: BlockNumber(13),
        custody: false,
    }
}
