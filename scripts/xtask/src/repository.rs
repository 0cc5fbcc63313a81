//! Where things are in this repository.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root: the folder two above this crate.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A cargo of this workspace's own toolchain, in the root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Every file under `folder` that `wanted` accepts, sorted, build outputs and hidden folders left out.
pub fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                if name != "target" && name != "node_modules" && !name.starts_with('.') && !name.starts_with("target-")
                {
                    folders.push(path);
                }
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path as texts and messages name it: relative to the root.
pub fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines of a Rust source that become a program: comments, blank lines and the tests at its end left out.
pub fn code_of(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..tests].lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_are_no_code() {
        let code = "/// Old words.\npub struct A(u8);\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(code_of(code), code_of("// New words.\npub struct A(u8);\n"));
        assert_ne!(code_of(code), code_of("pub struct A(u16);\n"));
    }
}
