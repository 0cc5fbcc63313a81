//! Whether a model may be listed, by the report beside it.

use crate::{
    failure::{Doing, Exit, Failure, Outcome},
    output,
    publish::measuring,
};
use encompute_leakage::Grade;
use encompute_model::{
    Bench,
    report::{Verdict, Verdicts},
};
use std::path::Path;

/// What the report of the model in `folder` says of its splits; measured where there is none of this model.
///
/// # Errors
/// [`Exit::Privacy`] for a split that may not be listed, or only where its creator says so.
pub fn judged(folder: &Path, list_grade_d: bool, doing: &str) -> Outcome<Verdicts> {
    let bench = Bench::open(folder).doing(Exit::Failed, doing)?;
    let mut progress = |step: &str| output::say(&format!("  {step} …"));
    let verdicts = Verdicts::of(&bench, &mut measuring(), &mut progress).doing(Exit::Failed, doing)?;
    let Some(Verdict { name, policy, grade, reason, listable, .. }) = verdicts.refused(list_grade_d) else {
        return Ok(verdicts);
    };
    let hint = match (grade, listable) {
        (Grade::D, true) => "to list it all the same: --list-grade-d",
        (Grade::F, _) => "cut later, release less or add noise, and see: encompute model split-report --help",
        _ => "fit a tail to what is released: scripts/models/tune-tail FOLDER",
    };
    Err(Failure::new(Exit::Privacy, format!("{doing}: split {name}, policy {policy}, grade {grade}: {reason}"))
        .hint(hint))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use encompute_model::{
        Report,
        report::{Extent, REPORT_FILE},
    };
    use serde_json::json;

    /// What publishing says of a model beside which lies a report with this letter, of the model's own digest or not.
    fn of_report(grade: &str, digest: Option<&str>, list_grade_d: bool) -> Outcome<Verdicts> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = tempfile::tempdir().unwrap();
        let copy =
            |from: &str| std::fs::copy(root.join(from), folder.path().join(Path::new(from).file_name().unwrap()));
        for name in ["model.onnx", "columns.toml", "calibration.csv"] {
            copy(&format!("scripts/models/breast-cancer/{name}")).unwrap();
        }
        for name in ["held-out.csv", "population.csv"] {
            copy(&format!("tests/fixtures/breast-cancer/{name}")).unwrap();
        }
        let card = std::fs::read_to_string(root.join("scripts/models/breast-cancer/model.toml")).unwrap();
        let card = card.replace("../../../tests/fixtures/breast-cancer/", "");
        std::fs::write(folder.path().join("model.toml"), card).unwrap();
        let own = Report::digest_of(&Bench::open(folder.path()).unwrap(), &Extent::default()).unwrap();
        let split = |policy: &str| {
            json!({ "name": "direction-1", "policy": policy, "on_card": true, "grade": grade, "bits": 30.0,
                    "listable": grade != "F", "reason": "as a test wants it" })
        };
        let splits = ["balanced", "private", "accurate"].map(split);
        let report = json!({ "digest": digest.unwrap_or(&own), "splits": splits });
        std::fs::write(folder.path().join(REPORT_FILE), report.to_string()).unwrap();
        super::judged(folder.path(), list_grade_d, "package")
    }

    #[test]
    fn a_split_whose_report_says_f_is_not_published() {
        let Err(refused) = of_report("F", None, true) else { unreachable!("an F was published") };
        assert_eq!(refused.exit, Exit::Privacy);
        assert_eq!(refused.text, "package: split direction-1, policy balanced, grade F: as a test wants it");
    }

    #[test]
    fn a_d_is_published_by_whoever_says_so_alone() {
        assert_eq!(of_report("D", None, false).err().map(|failure| failure.exit), Some(Exit::Privacy));
        assert!(of_report("D", None, true).is_ok());
    }

    #[test]
    fn a_report_of_something_else_is_not_taken() {
        let kept = of_report("C", None, false).unwrap_or_else(|failure| unreachable!("{}", failure.text));
        assert!(kept.splits.iter().all(|verdict| verdict.grade.to_string() == "C"));
        let measured =
            of_report("F", Some("of another model"), false).unwrap_or_else(|failure| unreachable!("{}", failure.text));
        assert!(measured.splits.iter().all(|verdict| verdict.grade.to_string() == "A"), "{measured:?}");
    }
}
