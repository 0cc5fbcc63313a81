//! The page: its Rust for WebAssembly, the JavaScript beside it, and the files that a browser is served.

use crate::{
    contract::toolchain::{self, ToolchainError},
    repository,
};
use clap::Subcommand;
use std::{
    borrow::BorrowMut,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::SystemTime,
};

/// The page.
#[derive(Subcommand)]
pub enum Task {
    /// Builds everything that `encompute web` serves, into target/web/dist
    Build,
    /// Runs the page's tests: arithmetic under WebAssembly in Node, and whole jobs in a browser where there is one
    Test,
    /// Lighthouse's score for the accessibility of every page, which must be 95 or more; installs Lighthouse into a folder
    /// of its own
    Lighthouse,
}

/// What scores the pages: the newest that the Node of `scripts/setup --web` runs.
const LIGHTHOUSE: &str = "lighthouse@12.8.2";

/// Why the page was not built, or its tests failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    #[error("find a toolchain for WebAssembly")]
    Toolchain(#[from] ToolchainError),
    #[error("start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("{what} ended with {status}")]
    Ended { what: &'static str, status: ExitStatus },
}

/// The crates that become WebAssembly, and the files that they become.
const MODULES: [(&str, &str); 2] =
    [("encompute-web", "encompute_web.wasm"), ("encompute-web-vectors", "encompute_web_vectors.wasm")];
const TARGET: &str = "wasm32-unknown-unknown";

/// Runs a task.
///
/// # Errors
/// [`WebError`]
pub fn run(task: Task) -> Result<(), WebError> {
    match task {
        Task::Build => build(),
        Task::Test => {
            build()?;
            let mut test = npm("test");
            test.env("ENCOMPUTE_PROGRAMS", programs()).env("ENCOMPUTE_ROOT", repository::root());
            done(test, "the page's tests")
        }
        Task::Lighthouse => {
            build()?;
            let folder = workspace_target().join("web/lighthouse");
            let mut install = npm("install");
            install.args(["--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder).arg(LIGHTHOUSE);
            done(install, "installing Lighthouse")?;
            let mut score = npm("run");
            score.arg("lighthouse").env("ENCOMPUTE_LIGHTHOUSE", folder);
            done(score.env("ENCOMPUTE_PROGRAMS", programs()).env("ENCOMPUTE_ROOT", repository::root()), "Lighthouse")
        }
    }
}

fn build() -> Result<(), WebError> {
    let output = workspace_target().join("web");
    webassembly(&output)?;
    bind(&output)?;
    packages()?;
    let mut vite = npm("run");
    vite.args(["build", "--"]).arg("--outDir").arg(output.join("dist"));
    done(vite, "building the page")
}

/// Rust → WebAssembly. The library is built from source, because no other toolchain brings it for this target.
fn webassembly(output: &Path) -> Result<(), WebError> {
    let mut cargo = toolchain::find()?.cargo();
    // Paths of the machine that builds say nothing to whoever reads the page.
    let mut flags = vec!["--cfg".to_owned(), "getrandom_backend=\"wasm_js\"".to_owned()];
    for (folder, name) in [(repository::root(), "encompute"), (cargo_home(), "cargo")] {
        flags.push(format!("--remap-path-prefix={}=/{name}", folder.display()));
    }
    cargo
        .current_dir(folder())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--locked", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET])
        .args(MODULES.iter().flat_map(|(package, _)| ["--package", package]))
        .arg("--target-dir")
        .arg(output);
    done(cargo, "building the page's Rust")
}

/// WebAssembly → JavaScript beside it, where the page imports it from.
fn bind(output: &Path) -> Result<(), WebError> {
    for (_, file) in MODULES {
        let module = output.join(TARGET).join("release").join(file);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(folder())
            .args(["run", "--locked", "--quiet", "--package", "encompute-web-bind", "--target-dir"])
            .arg(output)
            .arg("--")
            .arg(module)
            .arg(page().join(".wasm"));
        done(cargo, "binding the page's Rust")?;
    }
    Ok(())
}

/// JavaScript packages, as the lockfile has them.
fn packages() -> Result<(), WebError> {
    let written = |path: PathBuf| path.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    // npm writes its own copy of the lockfile last.
    if written(page().join("node_modules/.package-lock.json")) >= written(page().join("package-lock.json")) {
        return Ok(());
    }
    let mut ci = npm("ci");
    ci.args(["--no-audit", "--no-fund"]);
    done(ci, "installing the page's packages")
}

/// npm of this machine; the one that `scripts/setup --web` installed where the machine's is too old.
fn npm(verb: &str) -> Command {
    let ours = workspace_target().join("tools/node/bin");
    let mut npm = Command::new("npm");
    if ours.join("npm").exists() {
        npm = Command::new(ours.join("npm"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // What npm runs looks for Node there, too.
        if let Ok(path) = std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path))) {
            npm.env("PATH", path);
        }
    }
    npm.current_dir(page()).arg(verb);
    npm
}

fn done(mut command: impl BorrowMut<Command>, what: &'static str) -> Result<(), WebError> {
    let command = command.borrow_mut();
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status().map_err(|source| WebError::Start { program, source })? {
        status if status.success() => Ok(()),
        status => Err(WebError::Ended { what, status }),
    }
}

fn folder() -> PathBuf {
    repository::root().join("client/web")
}

fn page() -> PathBuf {
    folder().join("page")
}

fn workspace_target() -> PathBuf {
    let workspace =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository::root().join("target"), PathBuf::from);
    repository::root().join(workspace)
}

/// Where the programs lie that the tests start.
fn programs() -> PathBuf {
    let ours = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    ours.unwrap_or_else(|| workspace_target().join("debug"))
}

fn cargo_home() -> PathBuf {
    let home = || std::env::var_os("HOME").unwrap_or_else(|| OsString::from("/root"));
    std::env::var_os("CARGO_HOME").map_or_else(|| PathBuf::from(home()).join(".cargo"), PathBuf::from)
}
