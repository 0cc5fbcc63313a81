//! The toolchain for PolkaVM: its `core` and `alloc` are built from source, so the sources must be there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A cargo and rustc that can build for PolkaVM.
pub struct Toolchain {
    /// The folder with both programs.
    pub folder: PathBuf,
    /// What `rustc --version` says.
    pub compiler: String,
    /// Its number, such as `1.96.0`.
    pub version: String,
}

/// Why there is no toolchain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    #[error(
        "none of {} has a rustc with library sources; install Debian's rustc-web, cargo-web, rust-web-src, rust-web-llvm and lld-22, or name a folder in {VARIABLE}",
        .tried.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    None { tried: Vec<PathBuf> },
}

/// Names a folder with another cargo and rustc.
const VARIABLE: &str = "ENCOMPUTE_CONTRACT_TOOLCHAIN";
/// Where Debian installs.
const DEBIAN: &str = "/usr/bin";

/// The folder that the environment names, else Debian's, else the one that runs this workspace.
///
/// # Errors
/// [`ToolchainError::None`] if none has the library's sources.
pub fn find() -> Result<Toolchain, ToolchainError> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let ours = std::env::var_os("CARGO").and_then(|cargo| Path::new(&cargo).parent().map(Path::to_path_buf));
    let tried: Vec<PathBuf> = match named {
        Some(folder) => vec![folder],
        None => [Some(PathBuf::from(DEBIAN)), ours].into_iter().flatten().collect(),
    };
    tried.iter().find_map(|folder| toolchain_in(folder)).ok_or(ToolchainError::None { tried })
}

fn toolchain_in(folder: &Path) -> Option<Toolchain> {
    let ask = |argument: [&str; 1]| {
        let output = Command::new(folder.join("rustc")).args(argument).env_remove("LD_LIBRARY_PATH").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let compiler = ask(["--version"])?;
    let sysroot = ask(["--print=sysroot"])?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    if !sources.is_dir() || !folder.join("cargo").is_file() {
        return None;
    }
    let version = compiler.split_whitespace().nth(1)?.to_owned();
    Some(Toolchain { folder: folder.to_path_buf(), compiler, version })
}

impl Toolchain {
    /// A cargo of this toolchain. Nothing of the cargo that runs this task leaks into it: its
    /// libraries, flags and profiles would change the code.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(self.folder.join("cargo"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = [
                "RUSTC",
                "RUSTFLAGS",
                "RUSTDOC",
                "RUSTUP_",
                "CARGO_PKG_",
                "CARGO_MANIFEST",
                "CARGO_PROFILE_",
                "CARGO_BUILD_",
                "CARGO_ENCODED",
                "CARGO_TARGET_",
                "CARGO_INCREMENTAL",
                "INK_",
                "LD_LIBRARY_PATH",
            ];
            if text == "CARGO" || ours.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        let mut path = vec![self.folder.clone()];
        path.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        // Building `core` from source and reading a target from a file are not stable yet.
        command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_JSON_TARGET_SPEC", "true");
        command
    }
}
