//! One scene, in which a machine quotes and somebody judges, and everything that can be wrong with it: each defect by
//! name, carrying good signatures wherever it is not about a signature.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

mod table;

use crate::common::{Form, NOW, pki, policy};
use encompute_attest::pki::{
    CollateralDraft, CollateralTerms, DevelopmentPki, DevelopmentSeed, DocumentSigner, Platform, PlatformTraits,
    QuoteDraft,
};
use encompute_attest::{Collateral, Policy, TrustRoot, UnixSeconds};
use serde_json::Value;
use std::sync::LazyLock;

pub use table::cases;

/// What is altered, and when: before the machine is built, before or after something is signed.
pub enum Alter {
    /// How the machine is built; collateral still lists what it should be.
    Machine(fn(&mut PlatformTraits)),
    /// What collateral says.
    Terms(fn(&mut CollateralTerms, &Platform)),
    /// Its documents, before they are signed.
    Documents(fn(&mut CollateralDraft<'_>)),
    /// Who signs them: an authority, or the machine itself.
    SignedByAuthority,
    SignedByMachine,
    /// Collateral as it travels.
    Collateral(fn(&mut Value, &Others)),
    /// The quote, before it is signed.
    Draft(fn(&mut QuoteDraft, &Others)),
    /// The quote as it travels.
    Quote(fn(&mut Vec<u8>, Form)),
    /// When it is judged, in days after the usual day.
    Days(i64),
    /// What is good enough.
    Policy(fn(&mut Policy)),
}

/// One way of being wrong.
pub struct Case {
    /// The defect.
    pub name: &'static str,
    /// Which quotes can have it.
    pub on: &'static [Form],
    /// What is altered.
    pub alter: &'static [Alter],
    /// What the refusal says.
    pub expected: &'static str,
}

/// What other people's machines and authorities sign.
pub struct Others {
    /// Another machine under the same root.
    pub machine: Platform,
    /// Its chain, as a draft of it names it.
    pub machine_chain: String,
    /// A machine under another root.
    pub stranger_chain: String,
    /// Collateral under another root.
    pub stranger: Value,
}

/// What there is to judge.
pub struct Scene {
    pub quote: Vec<u8>,
    pub collateral: Collateral,
    pub root: TrustRoot,
    pub policy: Policy,
    pub now: UnixSeconds,
}

static PKI: LazyLock<DevelopmentPki> = LazyLock::new(pki);

static OTHERS: LazyLock<Others> = LazyLock::new(|| {
    let stranger = DevelopmentPki::from_seed(DevelopmentSeed::from_label("somebody else")).unwrap();
    let (traits, terms) = (PlatformTraits::default(), CollateralTerms::current(NOW));
    let machine = PKI.platform("worker-2", traits.clone()).unwrap();
    let strangers = stranger.platform("worker-1", traits.clone()).unwrap();
    Others {
        machine_chain: Form::Sgx.draft(&machine).chain_pem,
        stranger_chain: Form::Sgx.draft(&strangers).chain_pem,
        stranger: serde_json::from_slice(&stranger.collateral(&traits, &terms).unwrap().to_json()).unwrap(),
        machine,
    }
});

impl Scene {
    /// The scene with these alterations, each made where it belongs.
    pub fn with(form: Form, alter: &[Alter]) -> Self {
        let listed = PlatformTraits::default();
        let mut traits = listed.clone();
        let mut policy = policy();
        let mut now = NOW;
        for alter in alter {
            match alter {
                Alter::Machine(change) => change(&mut traits),
                Alter::Policy(change) => change(&mut policy),
                Alter::Days(days) => now = UnixSeconds(NOW.0.saturating_add_signed(days * 24 * 60 * 60)),
                _ => {}
            }
        }
        let machine = PKI.platform("worker-1", traits).unwrap();
        let collateral = collateral(form, &listed, &machine, alter);
        Self { quote: quote(form, &machine, alter), collateral, root: PKI.trust_root().clone(), policy, now }
    }
}

fn collateral(form: Form, listed: &PlatformTraits, machine: &Platform, alter: &[Alter]) -> Collateral {
    let mut terms = CollateralTerms::current(NOW);
    for alter in alter {
        if let Alter::Terms(change) = alter {
            change(&mut terms, machine);
        }
    }
    let mut draft = PKI.collateral_draft(form.tee(), listed, &terms);
    for alter in alter {
        match alter {
            Alter::Documents(change) => change(&mut draft),
            Alter::SignedByAuthority => draft.signer = DocumentSigner::PckAuthority,
            Alter::SignedByMachine => draft.signer = DocumentSigner::Platform(machine),
            _ => {}
        }
    }
    let signed = PKI.sign_collateral(&draft).unwrap();
    let mut travelling: Value = serde_json::from_slice(&signed.to_json()).unwrap();
    let changes = alter.iter().filter_map(|alter| match alter {
        Alter::Collateral(change) => Some(change),
        _ => None,
    });
    let mut altered = false;
    for change in changes {
        change(&mut travelling, &OTHERS);
        altered = true;
    }
    if altered { Collateral::from_json(travelling.to_string().as_bytes()).unwrap() } else { signed }
}

fn quote(form: Form, machine: &Platform, alter: &[Alter]) -> Vec<u8> {
    let mut draft = form.draft(machine);
    for alter in alter {
        if let Alter::Draft(change) = alter {
            change(&mut draft, &OTHERS);
        }
    }
    let mut quote = machine.sign(&draft);
    for alter in alter {
        if let Alter::Quote(change) = alter {
            change(&mut quote, form);
        }
    }
    quote
}
