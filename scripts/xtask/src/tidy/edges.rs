//! Which crate may know which: a crate boundary is a trust boundary.

use super::{Finding, TidyError};
use crate::repository;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// Crates that must not be reachable from a crate, tests left out: `(crate, never, why)`.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "encompute-node",
        &["encompute-keys", "encompute-release", "encompute-tail", "encompute-job"],
        "the worker can neither decrypt nor release",
    ),
    ("encompute-tail", &["encompute-keys", "encompute-release"], "the creator cannot name decrypted features"),
    ("encompute-envelope", &["encompute-keys"], "envelopes are sealed and opened where no FHE key may be"),
    (
        "encompute-host",
        &["encompute-protocol", "encompute-keys"],
        "files and clock know nothing of what is kept and timed",
    ),
    ("encompute-audit", &["encompute-chain", "encompute-store", "subxt"], "an audit has no network"),
    ("encompute-lifecycle", &["encompute-chain", "tokio"], "the rules are pure"),
    (
        "encompute-rollup",
        &["encompute-chain", "encompute-lifecycle", "tokio"],
        "an anchor's rules are pure, and not the market's",
    ),
    ("encompute-protocol", &["encompute-lifecycle", "tokio"], "the protocol is words and bytes"),
];

/// Crates that only some of ours may name: `(prefix of the name, who may, who may for its tests, why)`.
const ONLY: &[(&str, &[&str], &[&str], &str)] = &[
    ("ink", &[], &[], "ink! is in the contracts alone, outside the workspace"),
    ("subxt", &["encompute-chain"], &["encompute-devchain"], "one crate speaks to the chain"),
    ("tfhe", &["encompute-fhe", "encompute-keys"], &["encompute-head"], "few crates carry ciphertexts"),
    ("pallet-revive", &["encompute-devchain", "encompute-contract-tests"], &[], "the platform is in the chain"),
];

/// Names that begin like one of [`ONLY`]'s but are something else.
const OTHERS: &[&str] = &["indicatif", "inkwell"];

/// Features that must be off: `(crate, feature, why)`.
const FEATURES_OFF: &[(&str, &str, &str)] =
    &[("dcap-qvl", "danger-allow-tcb-override", "nobody may overrule what Intel says of a platform")];

/// Checks the workspace as cargo resolves it.
///
/// # Errors
/// [`TidyError::Metadata`]
pub fn check() -> Result<Vec<Finding>, TidyError> {
    let metadata = metadata()?;
    let graph = Graph::of(&metadata);
    let mut findings = graph.never();
    findings.extend(only(&metadata));
    findings.extend(graph.features(&metadata));
    Ok(findings)
}

/// The crates as cargo resolves them, with every feature.
///
/// # Errors
/// [`TidyError::Metadata`]
pub fn metadata() -> Result<Metadata, TidyError> {
    let mut command = MetadataCommand::new();
    command.manifest_path(repository::root().join("Cargo.toml")).features(cargo_metadata::CargoOpt::AllFeatures);
    Ok(command.other_options(vec!["--locked".to_owned()]).exec()?)
}

/// The resolved graph by name, dependencies of tests left out.
struct Graph {
    names: BTreeMap<PackageId, String>,
    edges: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

impl Graph {
    fn of(metadata: &Metadata) -> Self {
        let names = metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect();
        let normal = |dependency: &&cargo_metadata::NodeDep| {
            dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        };
        let edges = metadata
            .resolve
            .iter()
            .flat_map(|resolve| &resolve.nodes)
            .map(|node| (node.id.clone(), node.deps.iter().filter(normal).map(|edge| edge.pkg.clone()).collect()))
            .collect();
        Self { names, edges }
    }

    fn name(&self, id: &PackageId) -> &str {
        self.names.get(id).map_or("", String::as_str)
    }

    /// The way from a crate to each crate it can reach: who brought it in.
    fn reached(&self, from: &PackageId) -> BTreeMap<PackageId, PackageId> {
        let mut by: BTreeMap<PackageId, PackageId> = BTreeMap::new();
        let mut open = vec![from.clone()];
        while let Some(id) = open.pop() {
            for next in self.edges.get(&id).into_iter().flatten() {
                if next != from && !by.contains_key(next) {
                    by.insert(next.clone(), id.clone());
                    open.push(next.clone());
                }
            }
        }
        by
    }

    fn never(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (from, never, why) in NEVER {
            let Some((id, _)) = self.names.iter().find(|(_, name)| name == from) else { continue };
            let reached = self.reached(id);
            for found in reached.keys().filter(|found| never.contains(&self.name(found))) {
                let mut way = vec![self.name(found)];
                let mut at = found;
                while let Some(by) = reached.get(at) {
                    way.push(self.name(by));
                    at = by;
                }
                way.reverse();
                findings.push(Finding {
                    place: (*from).to_owned(),
                    words: format!("depends on {} ({}), but {why}", self.name(found), way.join(" → ")),
                });
            }
        }
        findings
    }

    fn features(&self, metadata: &Metadata) -> Vec<Finding> {
        let ours: BTreeSet<_> = metadata.workspace_members.iter().collect();
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).filter(|node| !ours.contains(&node.id));
        nodes
            .flat_map(|node| node.features.iter().map(|feature| (self.name(&node.id).to_owned(), feature.to_string())))
            .filter_map(|(package, feature)| {
                let (_, _, why) = FEATURES_OFF.iter().find(|(name, off, _)| *name == package && *off == feature)?;
                Some(Finding { place: package, words: format!("feature {feature} is on, but {why}") })
            })
            .collect()
    }
}

/// Direct dependencies of our crates, tests included.
fn only(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            let matches = |prefix: &str| {
                let rest = dependency.name.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
            };
            let Some((_, may, in_tests, why)) = ONLY.iter().find(|(prefix, ..)| matches(prefix)) else { continue };
            let name = package.name.as_str();
            let test = dependency.kind == DependencyKind::Development && in_tests.contains(&name);
            if !may.contains(&name) && !test && !OTHERS.contains(&dependency.name.as_str()) {
                findings.push(Finding {
                    place: name.to_owned(),
                    words: format!("depends on {}, but {why}", dependency.name),
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let id = |name: &str| PackageId { repr: name.to_owned() };
        let mut graph = Graph { names: BTreeMap::new(), edges: BTreeMap::new() };
        for (from, to) in edges {
            for name in [from, to] {
                graph.names.insert(id(name), (*name).to_owned());
            }
            graph.edges.entry(id(from)).or_default().insert(id(to));
        }
        graph
    }

    #[test]
    fn a_forbidden_crate_is_found_however_far_away_with_the_way_to_it() {
        let found = graph(&[("encompute-node", "encompute-head"), ("encompute-head", "encompute-keys")]).never();
        assert_eq!(found.len(), 1);
        assert!(found[0].words.contains("encompute-node → encompute-head → encompute-keys"), "{}", found[0].words);
    }

    #[test]
    fn the_same_crate_is_no_finding_where_nothing_leads_to_it() {
        let apart = graph(&[("encompute-node", "encompute-head"), ("encompute-cli", "encompute-keys")]);
        assert_eq!(apart.never(), []);
    }
}
