//! What every crate of ours says of itself: no unsafe code, and a Rust that its dependencies agree to.

use super::{Finding, TidyError, edges};
use crate::repository;
use cargo_metadata::Metadata;
use serde::Deserialize;

/// Crates that may hold unsafe code, outside the workspace all of them; with why.
const MAY_BE_UNSAFE: &[(&str, &str)] = &[
    ("encompute-marketplace", "ink!'s metadata is had by calling a foreign function, on the machine that builds"),
    ("encompute-anchor", "the same"),
    ("encompute-fuzz", "libFuzzer's entry point is one"),
    ("encompute-web", "what JavaScript calls is written as foreign functions, by wasm-bindgen's macro"),
    ("encompute-web-vectors", "the same"),
];

/// Where the oldest Rust is named besides the root's Cargo.toml, and in which words.
const RUST_NAMED: &[(&str, &str)] = &[("README.md", "Rust ≥ {}"), ("scripts/setup", "'{}.0\\n")];

/// What is read of a Cargo.toml.
#[derive(Deserialize)]
struct Manifest {
    package: Option<Named>,
    lints: Option<Lints>,
    workspace: Option<Workspace>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Lints {
    #[serde(default)]
    workspace: bool,
}

#[derive(Deserialize)]
struct Workspace {
    lints: Option<toml::Table>,
    package: Option<toml::Table>,
}

/// Checks every Cargo.toml of the repository, and every dependency's oldest Rust.
///
/// # Errors
/// [`TidyError`] if one cannot be read.
pub fn check() -> Result<Vec<Finding>, TidyError> {
    let root = repository::root();
    let failed = |path: String| move |source| TidyError::Read { path, source };
    let is_manifest = |path: &std::path::Path| path.ends_with("Cargo.toml");
    let mut findings = Vec::new();
    for file in repository::files(&root, &is_manifest).map_err(failed("the repository".to_owned()))? {
        let place = repository::name(&file);
        let text = std::fs::read_to_string(&file).map_err(failed(place.clone()))?;
        let manifest: Manifest = toml::from_str(&text)
            .map_err(|source| TidyError::Manifest { path: place.clone(), source: Box::new(source) })?;
        findings.extend(unsafe_code(&manifest).map(|words| Finding { place: place.clone(), words }));
        if let Some(rust) = manifest.workspace.and_then(|workspace| workspace.package).and_then(oldest_rust) {
            findings.extend(older(&edges::metadata()?, &rust));
            for (path, words) in RUST_NAMED {
                let text = std::fs::read_to_string(root.join(path)).map_err(failed((*path).to_owned()))?;
                let words = words.replace("{}", &rust);
                if !text.contains(&words) {
                    let words = format!("does not say {words:?}, but {place} does: rust-version is {rust}");
                    findings.push(Finding { place: (*path).to_owned(), words });
                }
            }
        }
    }
    Ok(findings)
}

fn oldest_rust(package: toml::Table) -> Option<String> {
    package.get("rust-version")?.as_str().map(str::to_owned)
}

/// What is wrong with how a manifest treats unsafe code.
fn unsafe_code(manifest: &Manifest) -> Option<String> {
    if let Some(lints) = manifest.workspace.as_ref().and_then(|workspace| workspace.lints.as_ref()) {
        let said = lints.get("rust").and_then(|rust| rust.get("unsafe_code")).and_then(toml::Value::as_str);
        return (said != Some("forbid")).then(|| "does not forbid unsafe_code to the workspace".to_owned());
    }
    let name = &manifest.package.as_ref()?.name;
    let may = MAY_BE_UNSAFE.iter().any(|(named, _)| named == name);
    let follows = manifest.lints.as_ref().is_some_and(|lints| lints.workspace);
    (!may && !follows).then(|| "lacks `[lints] workspace = true`, which forbids unsafe code".to_owned())
}

/// Dependencies that want a newer Rust than ours.
fn older(metadata: &Metadata, rust: &str) -> Vec<Finding> {
    let Ok(ours) = format!("{rust}.0").parse::<cargo_metadata::semver::Version>() else { return Vec::new() };
    let newer =
        metadata.packages.iter().filter(|package| package.rust_version.as_ref().is_some_and(|wants| *wants > ours));
    let words = |wants| format!("wants Rust {wants}, but rust-version is {rust}");
    newer
        .filter_map(|package| {
            Some(Finding { place: package.name.to_string(), words: words(package.rust_version.as_ref()?) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(text: &str) -> bool {
        unsafe_code(&toml::from_str(text).unwrap()).is_some()
    }

    #[test]
    fn a_crate_follows_the_workspace_or_is_named() {
        assert!(!found("package.name = 'x'\nlints.workspace = true"));
        assert!(found("package.name = 'x'") && found("package.name = 'x'\nlints.rust.unsafe_code = 'allow'"));
        assert!(!found("package.name = 'encompute-fuzz'\nworkspace = {}"));
        assert!(found("package.name = 'other'\nworkspace = {}"));
    }

    #[test]
    fn the_workspace_forbids() {
        assert!(!found("workspace.lints.rust.unsafe_code = 'forbid'"));
        assert!(found("workspace.lints.rust.unsafe_code = 'deny'") && found("workspace.lints.clippy.panic = 'warn'"));
    }
}
