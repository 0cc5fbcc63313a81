//! Two verifiers that share no code, over the same quotes: they agree on what holds, and on what it says.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod defects;
mod second;

use common::{Form, JUNE_2025, NOW, intel_sample, pki};
use defects::{Scene, cases};
use encompute_attest::pki::{
    CollateralTerms, DevelopmentPki, LevelStatus, ModuleTerms, PckAuthority, PlatformTraits, SvnLevel, TcbLevelTerms,
};
use encompute_attest::{
    AdvisoryId, Collateral, PlatformSetting, TcbEvaluationNumber, TcbStatus, TrustRoot, UnixSeconds, authenticate,
};
use second::{Found, judge};

/// What both say; panics where they differ. True where the quote holds.
fn agreed(name: &str, quote: &[u8], collateral: &Collateral, root: &TrustRoot, now: UnixSeconds) -> bool {
    let first = authenticate(quote, collateral, root, now);
    let second = judge(quote, &collateral.to_json(), root.der(), now.0);
    let (claims, found) = match (first, second) {
        (Ok(claims), Ok(found)) => (claims, found),
        (Err(_), Err(_)) => return false,
        (first, second) => panic!("{name}: one says {first:?}, the other {second:?}"),
    };
    let settings = [PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt];
    let of_first = Found {
        status: claims.tcb_status.to_string(),
        advisories: claims.advisories.iter().map(ToString::to_string).collect(),
        evaluation: claims.tcb_evaluation.0,
        ppid: claims.ppid.as_bytes().to_vec(),
        fmspc: claims.fmspc.0,
        settings: settings.map(|setting| claims.settings.contains(&setting)),
        report_data: claims.report_data.0,
        signed: found.signed,
    };
    assert_eq!(of_first, found, "{name}");
    let identity = encompute_protocol::digest::keccak_256(&[&quote[..found.signed]]);
    assert_eq!(claims.quote.0, identity, "{name}: the same part is signed");
    true
}

#[test]
fn both_accept_real_quotes_and_read_the_same_in_them() {
    let october_2026 = UnixSeconds(1_792_108_800);
    for (name, now) in [("sgx_quote", JUNE_2025), ("tdx_quote", JUNE_2025), ("tdx_quote_td15ex", october_2026)] {
        let (quote, collateral) = intel_sample(name);
        assert!(agreed(name, &quote, &collateral, &TrustRoot::intel(), now), "{name}");
        assert!(!agreed(name, &quote, &collateral, pki().trust_root(), now), "{name}");
        assert!(!agreed(name, &quote, &collateral, &TrustRoot::intel(), UnixSeconds(now.0 + 100 * 86_400)), "{name}");
    }
}

#[test]
fn both_refuse_every_defect_that_a_policy_is_not_needed_for() {
    let mut refused = 0;
    for case in cases() {
        for form in case.on {
            let scene = Scene::with(*form, case.alter);
            refused += u32::from(!agreed(case.name, &scene.quote, &scene.collateral, &scene.root, scene.now));
        }
    }
    assert!(refused > 350, "{refused}");
}

/// A source of small numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // splitmix64, by Sebastiano Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn svns(&mut self) -> [u8; 16] {
        let mut svns = [0; 16];
        let base = self.below(4) as u8;
        svns.fill(base);
        svns[self.below(16) as usize] = self.below(5) as u8;
        svns
    }

    fn status(&mut self) -> TcbStatus {
        self.pick(&[
            TcbStatus::UpToDate,
            TcbStatus::SwHardeningNeeded,
            TcbStatus::ConfigurationNeeded,
            TcbStatus::ConfigurationAndSwHardeningNeeded,
            TcbStatus::OutOfDate,
            TcbStatus::OutOfDateConfigurationNeeded,
        ])
    }

    /// Now and then one that has no place where it stands.
    fn level(&mut self) -> LevelStatus {
        match self.below(12) {
            0 => LevelStatus::Revoked,
            1 => LevelStatus::Known(self.status()),
            2..=5 => LevelStatus::Known(TcbStatus::OutOfDate),
            _ => LevelStatus::Known(TcbStatus::UpToDate),
        }
    }

    fn advisories(&mut self) -> Vec<AdvisoryId> {
        let count = self.below(3);
        (0..count).map(|_| AdvisoryId::new(&format!("INTEL-SA-{:05}", self.below(4)))).collect()
    }

    fn svn_levels(&mut self) -> Vec<SvnLevel> {
        let mut svns: Vec<_> = (0..1 + self.below(3)).map(|_| self.below(7) as u16).collect();
        svns.sort_unstable_by(|a, b| b.cmp(a));
        let level = |isv_svn| SvnLevel { isv_svn, status: self.level(), advisories: self.advisories() };
        svns.into_iter().map(level).collect()
    }

    fn traits(&mut self) -> PlatformTraits {
        let settings = [PlatformSetting::DynamicPlatform, PlatformSetting::CachedKeys, PlatformSetting::Smt];
        let module = |dice: &mut Self| {
            let mut svns = [2; 16];
            (svns[0], svns[1]) = (dice.below(7) as u8, dice.below(3) as u8);
            svns
        };
        PlatformTraits {
            authority: self.pick(&[PckAuthority::Platform, PckAuthority::Processor]),
            cpu_svn: self.svns(),
            pce_svn: 11 + self.below(4) as u16,
            tee_tcb_svn: module(self),
            current_tee_tcb_svn: module(self),
            settings: settings.into_iter().filter(|_| self.below(2) == 0).collect(),
            ..PlatformTraits::default()
        }
    }

    fn terms(&mut self, machine: &encompute_attest::pki::Platform) -> CollateralTerms {
        let lower_level = |dice: &mut Self| TcbLevelTerms {
            cpu_svn: dice.svns(),
            pce_svn: 10 + dice.below(4) as u16,
            tee_tcb_svn: [dice.below(3) as u8; 16],
            status: if dice.below(10) == 0 { LevelStatus::Revoked } else { LevelStatus::Known(dice.status()) },
            advisories: dice.advisories(),
        };
        let mut lower_levels: Vec<_> = (0..self.below(4)).map(|_| lower_level(self)).collect();
        if self.below(8) > 0 {
            lower_levels.push(TcbLevelTerms::any(LevelStatus::Known(TcbStatus::OutOfDate)));
        }
        let modules = (1..3).map(|version| ModuleTerms { version, levels: self.svn_levels() }).collect();
        CollateralTerms {
            status: self.status(),
            advisories: self.advisories(),
            lower_levels,
            modules: Some(modules),
            enclave_levels: self.svn_levels(),
            evaluation: TcbEvaluationNumber(15 + self.below(5) as u32),
            enclave_evaluation: TcbEvaluationNumber(15 + self.below(5) as u32),
            revoked: if self.below(20) == 0 { vec![machine.serial()] } else { Vec::new() },
            ..CollateralTerms::current(NOW)
        }
    }
}

/// Quotes of machines and under collateral put together by chance, every fourth with a bit flipped in what is signed.
fn generated(pki: &DevelopmentPki, dice: &mut Dice) -> bool {
    let form = dice.pick(&Form::ALL);
    let machine = pki.platform(&format!("worker-{}", dice.below(1_000)), dice.traits()).unwrap();
    let mut listed = dice.traits();
    if dice.below(2) == 0 {
        listed.clone_from(machine.traits());
    }
    if dice.below(8) > 0 {
        listed.authority = machine.traits().authority;
    }
    let collateral = pki.collateral_for(form.tee(), &listed, &dice.terms(&machine)).unwrap();
    let mut quote = form.quote(&machine);
    if dice.below(4) == 0 {
        let at = dice.below(form.signed_bytes() as u64 + 4 + 128) as usize;
        quote[at] ^= 1 << dice.below(8);
    }
    let day = UnixSeconds(NOW.0 + dice.below(32) * 86_400);
    agreed(&format!("{form:?} of {:?} under {listed:?}", machine.traits()), &quote, &collateral, pki.trust_root(), day)
}

/// A thousand with `ENCOMPUTE_EVERY_QUOTE` set, ten seconds of a core; else every fifth of them.
#[test]
fn both_say_the_same_of_quotes_made_by_chance() {
    let pki = pki();
    let count = if std::env::var_os("ENCOMPUTE_EVERY_QUOTE").is_some() { 1_000 } else { 200 };
    let accepted = (0..count).filter(|seed| generated(&pki, &mut Dice(*seed))).count();
    assert!(accepted > count as usize / 4 && accepted < count as usize * 3 / 4, "{accepted} of {count} hold");
}
