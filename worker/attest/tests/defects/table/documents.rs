//! What can be wrong beside the quote: documents, revocation, time; and what a policy does not want.

use super::super::Alter::{Collateral, Days, Documents, Machine, Policy, SignedByAuthority, SignedByMachine, Terms};
use super::super::Case;
use super::{ALL, CHAIN, SGX, TD15, TDX, case};
use encompute_attest::pki::{Authority, CollateralDraft, LevelStatus, ModuleTerms, SvnLevel, TcbLevelTerms};
use encompute_attest::{AdvisoryId, Permission, PlatformSetting, TcbEvaluationNumber, TcbStatus, UnixSeconds};
use serde_json::{Value, json};

const REVOKED: &str = "is revoked";
const YESTERDAY: &str = "2026-11-21T23:00:00Z";
const TOMORROW: &str = "2026-11-23T12:00:00Z";

pub(super) const CASES: &[Case] = &[
    // Documents.
    case(
        "a verdict over other machines",
        ALL,
        "Fmspc mismatch",
        &[Documents(|draft| draft.tcb_info["fmspc"] = "00906ED50000".into())],
    ),
    case(
        "a machine's kind that is no number",
        ALL,
        "Failed to decode TCB FMSPC",
        &[Documents(|draft| draft.tcb_info["fmspc"] = "zz".into())],
    ),
    case(
        "a verdict over enclaves for a domain",
        TDX,
        "non-TDX TCB info",
        &[Documents(|draft| draft.tcb_info["id"] = "SGX".into())],
    ),
    case(
        "a verdict over domains for an enclave",
        SGX,
        "non-SGX TCB info",
        &[Documents(|draft| draft.tcb_info["id"] = "TDX".into())],
    ),
    case(
        "a verdict in the format before domains",
        TDX,
        "non-TDX TCB info",
        &[Documents(|draft| draft.tcb_info["version"] = 2.into())],
    ),
    case(
        "a verdict in the first format",
        SGX,
        "non-SGX TCB info",
        &[Documents(|draft| draft.tcb_info["version"] = 1.into())],
    ),
    case(
        "no verdict",
        ALL,
        "No matching TCB level found",
        &[Documents(|draft| draft.tcb_info["tcbLevels"] = json!([]))],
    ),
    case(
        "a verdict without its levels",
        ALL,
        "Failed to decode TcbInfo",
        &[Documents(|draft| drop(draft.tcb_info.as_object_mut().unwrap().remove("tcbLevels")))],
    ),
    case(
        "fifteen components",
        ALL,
        "SGX component count mismatch",
        &[Documents(|draft| drop(components(draft, "sgxtcbcomponents").pop()))],
    ),
    case(
        "fifteen components of domains",
        TDX,
        "TDX component count mismatch",
        &[Documents(|draft| drop(components(draft, "tdxtcbcomponents").pop()))],
    ),
    case(
        "a verdict that is no word",
        ALL,
        "Failed to decode TcbInfo",
        &[Documents(|draft| draft.tcb_info["tcbLevels"][0]["tcbStatus"] = "Fine".into())],
    ),
    case(
        "a verdict that only a judge gives",
        ALL,
        "Unrecognized TCB status",
        &[Documents(|draft| draft.tcb_info["tcbLevels"][0]["tcbStatus"] = "TDRelaunchAdvised".into())],
    ),
    case(
        "a quoting enclave's verdict that only platforms have",
        ALL,
        "Unrecognized TCB status",
        &[Documents(|draft| draft.qe_identity["tcbLevels"][0]["tcbStatus"] = "SWHardeningNeeded".into())],
    ),
    case(
        "a module's verdict that only platforms have",
        TDX,
        "Unrecognized TCB status",
        &[Documents(|draft| {
            draft.tcb_info["tdxModuleIdentities"][0]["tcbLevels"][0]["tcbStatus"] = "ConfigurationNeeded".into()
        })],
    ),
    case(
        "no word about modules",
        TDX,
        "missing tdxModule",
        &[Documents(|draft| drop(draft.tcb_info.as_object_mut().unwrap().remove("tdxModule")))],
    ),
    case(
        "a module that nobody knows",
        TDX,
        "No TDX module identity with id TDX_01",
        &[Terms(|terms, _| terms.modules = Some(Vec::new()))],
    ),
    case(
        "a module below every verdict",
        TDX,
        "ISVSVN 5 is below",
        &[Terms(|terms, _| terms.modules = module(SvnLevel::up_to_date(6)))],
    ),
    case(
        "a module's signer cut short",
        TDX,
        "invalid length",
        &[Documents(|draft| draft.tcb_info["tdxModuleIdentities"][0]["mrsigner"] = "00".into())],
    ),
    case(
        "the identity of the other quoting enclave",
        ALL,
        "Unsupported QE Identity id/version",
        &[Documents(|draft| {
            draft.qe_identity["id"] = if draft.qe_identity["id"] == "QE" { "TD_QE" } else { "QE" }.into();
        })],
    ),
    case(
        "an identity in the first format",
        ALL,
        "Unsupported QE Identity id/version",
        &[Documents(|draft| draft.qe_identity["version"] = 1.into())],
    ),
    case("an identity without levels", ALL, "QE", &[Documents(|draft| draft.qe_identity["tcbLevels"] = json!([]))]),
    case("documents signed by an authority over machines", ALL, CHAIN, &[SignedByAuthority]),
    case("documents signed by the machine itself", ALL, "must be issued directly by the root CA", &[SignedByMachine]),
    case(
        "a verdict altered after it was signed",
        ALL,
        "Signature is invalid for tcb_info",
        &[Collateral(|collateral, _| replace(collateral, "tcb_info", "OutOfDate", "UpToDate"))],
    ),
    case(
        "an identity altered after it was signed",
        ALL,
        "Signature is invalid for qe_identity",
        &[Collateral(|collateral, _| replace(collateral, "qe_identity", "\"isvsvn\":4", "\"isvsvn\":1"))],
    ),
    case(
        "signatures of the two documents swapped",
        ALL,
        "Signature is invalid for tcb_info",
        &[Collateral(|collateral, _| {
            let (first, second) =
                (collateral["tcb_info_signature"].clone(), collateral["qe_identity_signature"].clone());
            (collateral["tcb_info_signature"], collateral["qe_identity_signature"]) = (second, first);
        })],
    ),
    case(
        "no signature over the verdict",
        ALL,
        "Invalid key length",
        &[Collateral(|collateral, _| collateral["tcb_info_signature"] = "".into())],
    ),
    case(
        "no signer of the verdict",
        ALL,
        "too short for TCB Info",
        &[Collateral(|collateral, _| collateral["tcb_info_issuer_chain"] = "".into())],
    ),
    case(
        "no signer of the identity",
        ALL,
        "too short for QE Identity",
        &[Collateral(|collateral, _| collateral["qe_identity_issuer_chain"] = "".into())],
    ),
    case(
        "a verdict from another root",
        ALL,
        CHAIN,
        &[Collateral(|collateral, others| {
            for name in ["tcb_info", "tcb_info_signature", "tcb_info_issuer_chain"] {
                collateral[name] = others.stranger[name].clone();
            }
        })],
    ),
    case(
        "an identity from another root",
        ALL,
        CHAIN,
        &[Collateral(|collateral, others| {
            for name in ["qe_identity", "qe_identity_signature", "qe_identity_issuer_chain"] {
                collateral[name] = others.stranger[name].clone();
            }
        })],
    ),
    // Revocation.
    case("a revoked machine", ALL, REVOKED, &[Terms(|terms, machine| terms.revoked = vec![machine.serial()])]),
    case(
        "a revoked authority",
        ALL,
        REVOKED,
        &[Terms(|terms, _| terms.revoked_authorities = vec![Authority::Platform])],
    ),
    case(
        "a revoked signer of documents",
        ALL,
        REVOKED,
        &[Terms(|terms, _| terms.revoked_authorities = vec![Authority::TcbSigner])],
    ),
    case(
        "a patch level whose keys are out",
        ALL,
        REVOKED,
        &[
            Machine(|traits| traits.pce_svn = 1),
            Terms(|terms, _| terms.lower_levels = vec![TcbLevelTerms::any(LevelStatus::Revoked)]),
        ],
    ),
    case(
        "a quoting enclave whose keys are out",
        ALL,
        REVOKED,
        &[Terms(|terms, _| terms.enclave_levels[0].status = LevelStatus::Revoked)],
    ),
    case(
        "a module whose keys are out",
        TDX,
        REVOKED,
        &[Terms(|terms, _| {
            terms.modules = module(SvnLevel { status: LevelStatus::Revoked, ..SvnLevel::up_to_date(0) })
        })],
    ),
    case(
        "a current module whose keys are out",
        TD15,
        REVOKED,
        &[
            Machine(|traits| traits.current_tee_tcb_svn[0] = 1),
            Terms(|terms, _| {
                let levels =
                    vec![SvnLevel::up_to_date(5), SvnLevel { status: LevelStatus::Revoked, ..SvnLevel::up_to_date(0) }];
                terms.modules = Some(vec![ModuleTerms { version: 1, levels }]);
            }),
        ],
    ),
    case(
        "no list of revoked authorities",
        ALL,
        "Failed to parse root CA CRL",
        &[Collateral(|collateral, _| collateral["root_ca_crl"] = "".into())],
    ),
    case(
        "no list of revoked machines",
        ALL,
        "Failed to parse PCK CRL",
        &[Collateral(|collateral, _| collateral["pck_crl"] = "".into())],
    ),
    case(
        "a list of revoked authorities that the root did not sign",
        ALL,
        "Failed to parse root CA CRL",
        &[Collateral(|collateral, _| collateral["root_ca_crl"] = collateral["pck_crl"].clone())],
    ),
    case(
        "a list of another root's authorities",
        ALL,
        "Failed to parse root CA CRL",
        &[Collateral(|collateral, others| collateral["root_ca_crl"] = others.stranger["root_ca_crl"].clone())],
    ),
    case(
        "a list of another root's machines",
        ALL,
        CHAIN,
        &[Collateral(|collateral, others| collateral["pck_crl"] = others.stranger["pck_crl"].clone())],
    ),
    case(
        "the list of authorities in place of that of machines",
        ALL,
        CHAIN,
        &[Collateral(|collateral, _| collateral["pck_crl"] = collateral["root_ca_crl"].clone())],
    ),
    // Time.
    case("collateral of last month", ALL, "CrlExpired", &[Days(30)]),
    case("collateral of next month", ALL, "TCBInfo issue date is in the future", &[Days(-30)]),
    case(
        "a verdict that has run out",
        ALL,
        "TCBInfo expired",
        &[Documents(|draft| draft.tcb_info["nextUpdate"] = YESTERDAY.into())],
    ),
    case(
        "a verdict of tomorrow",
        ALL,
        "TCBInfo issue date is in the future",
        &[Documents(|draft| draft.tcb_info["issueDate"] = TOMORROW.into())],
    ),
    case(
        "an identity that has run out",
        ALL,
        "QE Identity expired",
        &[Documents(|draft| draft.qe_identity["nextUpdate"] = YESTERDAY.into())],
    ),
    case(
        "an identity of tomorrow",
        ALL,
        "QE Identity issue date is in the future",
        &[Documents(|draft| draft.qe_identity["issueDate"] = TOMORROW.into())],
    ),
    case(
        "a date that is none",
        ALL,
        "issue date",
        &[Documents(|draft| draft.tcb_info["issueDate"] = "yesterday".into())],
    ),
    case(
        "certificates that have run out",
        ALL,
        "CertExpired",
        &[Days(24 * 366), Terms(|terms, _| terms.next_update = UnixSeconds(4_000_000_000))],
    ),
    case(
        "certificates of the future",
        ALL,
        "CertNotValidYet",
        &[Days(-3 * 366), Terms(|terms, _| terms.issued_at = UnixSeconds(1_600_000_000))],
    ),
    // Policy.
    case(
        "a development root where it is not wanted",
        ALL,
        "DEVELOPMENT root",
        &[Policy(|policy| policy.development_root = Permission::Refused)],
    ),
    case("a kind of quote that is not wanted", ALL, "the policy allows none", &[Policy(|policy| policy.kinds.clear())]),
    case(
        "software that nobody listed",
        ALL,
        "is not on the list of 0",
        &[Policy(|policy| policy.measurements.clear())],
    ),
    case("a machine that misses patches", ALL, "platform is OutOfDate", &[Machine(|traits| traits.cpu_svn[15] = 2)]),
    case(
        "a machine that misses a provisioning enclave's patch",
        ALL,
        "platform is OutOfDate",
        &[Machine(|traits| traits.pce_svn = 12)],
    ),
    case(
        "a module that misses patches",
        TDX,
        "platform is OutOfDate",
        &[Terms(|terms, _| {
            terms.modules =
                module(SvnLevel { status: LevelStatus::Known(TcbStatus::OutOfDate), ..SvnLevel::up_to_date(0) });
        })],
    ),
    case(
        "a domain older than its module",
        TD15,
        "platform is TDRelaunchAdvised",
        &[
            Machine(|traits| traits.tee_tcb_svn[0] = 1),
            Terms(|terms, _| {
                let old = SvnLevel { status: LevelStatus::Known(TcbStatus::OutOfDate), ..SvnLevel::up_to_date(0) };
                terms.modules = Some(vec![ModuleTerms { version: 1, levels: vec![SvnLevel::up_to_date(5), old] }]);
            }),
        ],
    ),
    case(
        "a machine that needs hardened software",
        ALL,
        "platform is SWHardeningNeeded",
        &[Terms(|terms, _| terms.status = TcbStatus::SwHardeningNeeded)],
    ),
    case(
        "a quoting enclave that misses patches",
        ALL,
        "platform is OutOfDate",
        &[Terms(|terms, _| terms.enclave_levels[0].status = LevelStatus::Known(TcbStatus::OutOfDate))],
    ),
    case("no patch level wanted", ALL, "the policy allows none", &[Policy(|policy| policy.tcb_statuses.clear())]),
    case(
        "an advisory that the policy denies",
        ALL,
        "advisory INTEL-SA-00615",
        &[
            Terms(|terms, _| terms.advisories = vec![AdvisoryId::new("INTEL-SA-00615")]),
            Policy(|policy| policy.denied_advisories = [AdvisoryId::new("intel-sa-00615")].into()),
        ],
    ),
    case(
        "a judgement from before a recovery",
        ALL,
        "at least 17 is required",
        &[Terms(|terms, _| terms.evaluation = TcbEvaluationNumber(16))],
    ),
    case(
        "a judgement over the quoting enclave from before a recovery",
        ALL,
        "at least 17 is required",
        &[Terms(|terms, _| terms.enclave_evaluation = TcbEvaluationNumber(16))],
    ),
    case(
        "a machine to which packages can be added",
        ALL,
        "dynamic platform switched on",
        &[Machine(|traits| traits.settings = vec![PlatformSetting::DynamicPlatform])],
    ),
    case(
        "a machine whose keys are kept elsewhere",
        ALL,
        "cached keys switched on",
        &[Machine(|traits| traits.settings = vec![PlatformSetting::CachedKeys])],
    ),
    case(
        "a machine whose cores are shared",
        ALL,
        "SMT switched on",
        &[Machine(|traits| traits.settings = vec![PlatformSetting::Smt])],
    ),
];

fn module(level: SvnLevel) -> Option<Vec<ModuleTerms>> {
    Some(vec![ModuleTerms { version: 1, levels: vec![level] }])
}

fn components<'a>(draft: &'a mut CollateralDraft<'_>, name: &str) -> &'a mut Vec<Value> {
    draft.tcb_info["tcbLevels"][0]["tcb"][name].as_array_mut().unwrap()
}

fn replace(collateral: &mut Value, name: &str, from: &str, to: &str) {
    let text = collateral[name].as_str().unwrap();
    assert!(text.contains(from));
    collateral[name] = text.replace(from, to).into();
}
