//! The repository as the checks see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold nothing of ours, by name, wherever they are.
const NOT_OURS: [&str; 3] = ["target", ".git", "__pycache__"];

/// Files whose text is not ours. In a linked work tree `.git` is a file, which says where the repository is.
const NOT_OUR_TEXT: [&str; 3] = [".git", "LICENSE", "Cargo.lock"];

/// Bytes above which a file is not read as text: no file of ours that a person edits is that long.
const TEXT_BYTES: u64 = 1 << 20;

/// One file of the repository.
pub(crate) struct TextFile {
    /// Relative to the root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The text of one file, by its path from the root.
pub(crate) fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path} cannot be read: {error}"))
}

/// Every text file, sorted by path. Walked, and not asked of git, so that a file is checked before it is added
/// and an unpacked archive can be checked too.
pub(crate) fn text_files() -> Result<Vec<TextFile>, String> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A file can vanish between listing and reading when an editor saves: then it is not there.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                folders.push(entry.path());
            }
            let small = entry.metadata().is_ok_and(|data| data.len() <= TEXT_BYTES);
            if kind.is_file() && small && !NOT_OUR_TEXT.contains(&name.as_str()) {
                let Ok(text) = fs::read_to_string(entry.path()) else {
                    continue;
                };
                let path = entry.path();
                let path = path
                    .strip_prefix(&root)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                files.push(TextFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What `cargo metadata` says of the workspace's own packages.
pub(crate) fn cargo_metadata() -> Result<serde_json::Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata printed no json: {error}"))
}
