//! Where things are: the repository and its target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The two folders every command needs, both absolute.
#[derive(Debug)]
pub(crate) struct Place {
    /// The repository: the folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, whatever decided it (CARGO_TARGET_DIR, a cargo configuration file, the default).
    pub(crate) target: PathBuf,
}

impl Place {
    /// Finds the repository from what cargo tells its child or else upwards from the current folder, then asks
    /// cargo for the target folder: cargo's own answer is the only one that honours all ways to configure it.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest_dir) => PathBuf::from(manifest_dir),
            None => here.clone(),
        };
        let root = workspace_above(&start).with_context(|| {
            format!(
                "no workspace at or above {}: run inside the repository",
                start.display()
            )
        })?;

        // Not run in the root: a relative CARGO_TARGET_DIR means relative to where the user stands.
        let output = Command::new(cargo())
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(root.join("Cargo.toml"))
            .output()
            .context("cargo cannot be started: install the Rust toolchain")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed:\n{}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no json")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory: update the Rust toolchain")?;
        Ok(Self {
            root,
            target: PathBuf::from(target),
        })
    }

    /// A cargo command that runs in the repository and builds into [`Place::target`].
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command
            .args(args)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        // Cargo set these for us as its child; a build script of a dependency must not read them as its own.
        for inherited in [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION",
        ] {
            command.env_remove(inherited);
        }
        command
    }
}

/// The cargo that runs us, so that a `cargo +toolchain xtask` stays on its toolchain.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The nearest folder at or above `start` whose Cargo.toml declares a workspace.
fn workspace_above(start: &Path) -> Option<PathBuf> {
    let declares_workspace = |folder: &Path| {
        std::fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line.trim_end() == "[workspace]"))
    };
    start
        .ancestors()
        .find(|folder| declares_workspace(folder))
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found_from_a_folder_inside_it() {
        let inside = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let root = workspace_above(&inside).unwrap();
        assert!(
            root.join("ARCHITECTURE.md").is_file(),
            "{} is not the repository",
            root.display()
        );
    }

    #[test]
    fn no_workspace_is_found_outside_of_one() {
        assert_eq!(workspace_above(Path::new("/")), None);
    }
}
