//! Lengths of files, and words that must not stand in them.

use super::{Finding, TidyError};
use crate::repository;
use std::path::{Path, PathBuf};

/// Most lines of a file of code.
const FILE_LINES: usize = 500;
/// Most lines of a `lib.rs`: documentation, modules, re-exports.
const LIB_LINES: usize = 80;

/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

/// Files below `tests` that may wait for time, and why.
const WAITING: &[(&str, &str)] = &[("tests/kit/src/links.rs", "to be late is what a slow link is for")];

/// Words that no file of code may have: `(word, in tests only, why)`. Written in two parts, or this
/// file would break its own rules.
const WORDS: &[(&str, bool, &str)] = &[
    (concat!("#[igno", "re"), false, "a test runs or is deleted"),
    (concat!("todo", "!("), false, "nothing is left for later"),
    (concat!("unimplemented", "!("), false, "nothing is left for later"),
    (concat!("thread::sle", "ep("), true, "tests wait for what they need, not for time"),
    (concat!("time::sle", "ep("), true, "tests wait for what they need, not for time"),
    (concat!("tokio::time::sle", "ep"), true, "tests wait for what they need, not for time"),
];

/// Hosts of package registries: no file but the lock files names one, so that a mirror works as well.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("rubygems", ".org"),
];

/// Endings of files that are code.
const CODE: &[&str] = &["rs", "py", "ts", "tsx", "js", "mjs"];
/// Endings of files that are text.
const TEXT: &[&str] =
    &["rs", "py", "ts", "tsx", "js", "mjs", "toml", "md", "json", "sh", "txt", "yml", "yaml", "html", "css"];

/// Checks every file of the repository.
///
/// # Errors
/// [`TidyError::Read`]
pub fn check() -> Result<Vec<Finding>, TidyError> {
    let root = repository::root();
    let wanted = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        let script = parent == "scripts" && !name.contains('.');
        (has_ending(path, TEXT) || script) && !name.ends_with("-lock.json")
    };
    let files = repository::files(&root, &wanted)
        .map_err(|source| TidyError::Read { path: root.display().to_string(), source })?;
    let mut findings = Vec::new();
    for file in files {
        findings.extend(file_findings(&file)?);
    }
    Ok(findings)
}

fn file_findings(file: &PathBuf) -> Result<Vec<Finding>, TidyError> {
    let name = repository::name(file);
    let bytes = std::fs::read(file).map_err(|source| TidyError::Read { path: name.clone(), source })?;
    Ok(findings_in(&name, &String::from_utf8_lossy(&bytes)))
}

/// What is wrong with a file called `name` that holds `text`.
fn findings_in(name: &str, text: &str) -> Vec<Finding> {
    let path = Path::new(name);
    let code = has_ending(path, CODE);
    let mut findings = Vec::new();
    let lines = text.lines().count();
    let limit = if path.ends_with("src/lib.rs") { LIB_LINES } else { FILE_LINES };
    if code && lines > limit && !LONGER.iter().any(|(longer, _)| *longer == name) {
        findings
            .push(Finding { place: name.to_owned(), words: format!("has {lines} lines, at most {limit} are allowed") });
    }
    // In a file of sources tests stand last.
    let may_wait = WAITING.iter().any(|(waiting, _)| *waiting == name);
    let mut tests = name.split('/').any(|part| part == "tests") || name.ends_with("tests.rs");
    for (at, line) in text.lines().enumerate() {
        tests |= line.trim_start().starts_with("#[cfg(test)]");
        let mut broken = |words: String| findings.push(Finding { place: format!("{name}:{}", at + 1), words });
        for (word, tests_only, why) in WORDS.iter().filter(|_| code) {
            if line.contains(word) && ((tests && !may_wait) || !tests_only) {
                broken(format!("has {word:?}, but {why}"));
            }
        }
        for host in HOSTS.iter().filter(|host| line.contains(*host)) {
            broken(format!("names {host:?}, but the project works with any mirror"));
        }
    }
    findings
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str, text: &str) -> Vec<String> {
        findings_in(name, text).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_long_file_and_a_long_lib_are_found() {
        assert_eq!(words("a/src/x.rs", &"\n".repeat(FILE_LINES + 1)), ["a/src/x.rs"]);
        assert_eq!(words("a/src/lib.rs", &"\n".repeat(LIB_LINES + 1)), ["a/src/lib.rs"]);
        assert!(words("a/src/lib.rs", &"\n".repeat(LIB_LINES)).is_empty());
    }

    #[test]
    fn waiting_for_time_is_found_in_tests_only() {
        let line = format!("    {}(x);", WORDS[5].0);
        assert!(words("a/src/x.rs", &line).is_empty());
        assert!(!words("a/tests/x.rs", &line).is_empty());
        assert!(!words("a/src/x.rs", &format!("#[cfg(test)]\n{line}")).is_empty());
    }

    #[test]
    fn a_registry_is_found_anywhere() {
        assert_eq!(words("README.md", &format!("see {}", HOSTS[0])), ["README.md:1"]);
    }
}
