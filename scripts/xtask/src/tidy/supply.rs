//! Whose code comes along, from where, and under which licence: `deny.toml`, as far as it can be held without a network.

use super::{Finding, TidyError};
use crate::repository;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is read of `deny.toml`.
#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

/// A package that is part of a program of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    /// Where it comes from, unless from the Rust registry.
    elsewhere: Option<String>,
    licence: String,
}

/// Checks every package that is part of a program of ours on Linux, its tests left out.
///
/// # Errors
/// [`TidyError`] if `deny.toml` or the crates cannot be read.
pub fn check() -> Result<Vec<Finding>, TidyError> {
    let file = repository::root().join("deny.toml");
    let read = |source| TidyError::Read { path: repository::name(&file), source };
    let text = std::fs::read_to_string(&file).map_err(read)?;
    let deny: Deny = toml::from_str(&text).map_err(|source| TidyError::Deny(Box::new(source)))?;
    let exceptions = deny.licenses.exceptions.iter().map(|exception| (exception.name.as_str(), &exception.allow));
    let exceptions: BTreeMap<_, _> = exceptions.collect();
    let packages = shipped()?;
    let mut findings: Vec<Finding> = packages
        .iter()
        .flat_map(|package| findings_in(package, &deny.licenses.allow, exceptions.get(package.name.as_str()).copied()))
        .collect();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for unused in exceptions.keys().filter(|name| !names.contains(**name)) {
        findings.push(Finding { place: "deny.toml".to_owned(), words: format!("excepts {unused}, which nobody uses") });
    }
    Ok(findings)
}

/// The packages, by `cargo tree`: unlike `cargo metadata` it leaves out what only an unused feature would bring.
fn shipped() -> Result<BTreeSet<Package>, TidyError> {
    let mut cargo = repository::cargo();
    cargo.args(["tree", "--locked", "--workspace", "--all-features", "--edges", "normal", "--prefix", "none"]);
    cargo.args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p}|{l}|"]);
    let listed = cargo.output().map_err(|source| TidyError::Read { path: "the crates".to_owned(), source })?;
    if !listed.status.success() {
        return Err(TidyError::Tree(String::from_utf8_lossy(&listed.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&listed.stdout).lines().filter_map(package_in).collect())
}

/// `name v1.2.3 (elsewhere)|licence|`
fn package_in(line: &str) -> Option<Package> {
    let mut parts = line.split('|');
    let (package, licence) = (parts.next()?, parts.next()?.to_owned());
    let name = package.split(' ').next()?.to_owned();
    let elsewhere = package.split_once(" (").map(|(_, place)| place.trim_end_matches(')').to_owned());
    Some(Package { name, elsewhere: elsewhere.filter(|place| place != "proc-macro"), licence })
}

fn findings_in(package: &Package, allow: &BTreeSet<String>, exception: Option<&BTreeSet<String>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |words: String| findings.push(Finding { place: package.name.clone(), words });
    let ours = repository::root();
    if let Some(place) = package.elsewhere.as_ref().filter(|place| !place.starts_with(&*ours.to_string_lossy())) {
        found(format!("comes from {place}, but only the Rust registry is trusted"));
    }
    let allowed = |licence: &str| allow.contains(licence) || exception.is_some_and(|also| also.contains(licence));
    if !is_satisfied(&package.licence, &allowed) {
        found(format!("has the licence {:?}, which deny.toml does not allow", package.licence));
    }
    findings
}

/// True if an SPDX expression can be satisfied with allowed licences alone. Old crates write `/` for `OR`.
fn is_satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = both(rest, allowed);
    while let [word, after @ ..] = *rest
        && *word == "OR"
    {
        *rest = after;
        satisfied |= both(rest, allowed);
    }
    satisfied
}

fn both(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut satisfied = one(rest, allowed);
    while let [word, after @ ..] = *rest
        && *word == "AND"
    {
        *rest = after;
        satisfied &= one(rest, allowed);
    }
    satisfied
}

fn one(rest: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let satisfied = either(rest, allowed);
            match *rest {
                [")", after @ ..] => *rest = after,
                _ => return false,
            }
            satisfied
        }
        [licence, "WITH", exception, after @ ..] => {
            *rest = after;
            allowed(&format!("{licence} WITH {exception}"))
        }
        [licence, after @ ..] => {
            *rest = after;
            allowed(licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn satisfied(expression: &str) -> bool {
        is_satisfied(expression, &|licence| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&licence))
    }

    #[test]
    fn one_allowed_choice_is_enough_and_all_of_a_conjunction_are_needed() {
        assert!(satisfied("MIT") && satisfied("GPL-3.0 OR MIT") && satisfied("MIT/Apache-2.0"));
        assert!(satisfied("(GPL-3.0 OR MIT) AND ISC") && satisfied("MIT AND ISC OR GPL-3.0"));
        assert!(!satisfied("GPL-3.0") && !satisfied("MIT AND GPL-3.0") && !satisfied("ISC AND (GPL-3.0 OR LGPL-3.0)"));
    }

    #[test]
    fn a_line_of_the_tree_is_read() {
        let package = |line: &str| package_in(line).map(|found| (found.name, found.elsewhere, found.licence));
        let mit = |name: &str, place: Option<&str>| Some((name.to_owned(), place.map(str::to_owned), "MIT".to_owned()));
        assert_eq!(package("syn v2.0.1|MIT| (*)"), mit("syn", None));
        assert_eq!(package("serde_derive v1.0.1 (proc-macro)|MIT|"), mit("serde_derive", None));
        assert_eq!(
            package("x v1.0.1 (https://example.org/x?rev=1#2)|MIT|"),
            mit("x", Some("https://example.org/x?rev=1#2"))
        );
        assert_eq!(package(""), None);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        let package = package_in("x v1.0.1 (https://example.org/x)|MIT|")
            .map(|package| findings_in(&package, &BTreeSet::from(["MIT".to_owned()]), None).len());
        assert_eq!(package, Some(1));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert!(satisfied("Apache-2.0 WITH LLVM-exception") && !satisfied("Apache-2.0"));
        assert!(!satisfied("MIT WITH Classpath-exception-2.0"));
    }

    #[test]
    fn an_expression_that_makes_no_sense_satisfies_nobody() {
        for nonsense in ["", "MIT MIT", "MIT)", "OR MIT", "(MIT"] {
            assert!(!satisfied(nonsense), "{nonsense}");
        }
    }
}
