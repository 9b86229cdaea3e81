//! What the end-to-end tests share: where Envoy and the foreign peer are, and a stage that ends with the test.

pub mod neighbours;
pub mod openssl;
pub mod plain;

use anyhow::{Context, Result, bail};
use peerway_cli::demo::stage::Stage;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Names the Envoy binary to test with.
pub const ENVOY_ENV: &str = "PEERWAY_ENVOY";
/// Names the oldest supported Envoy binary.
pub const OLDEST_ENVOY_ENV: &str = "PEERWAY_ENVOY_OLDEST";

/// The Envoy binary that an environment variable names.
///
/// # Errors
/// When it is not set or there is no such file: end-to-end tests fail without Envoy, they are never skipped.
pub fn envoy(variable: &str) -> Result<PathBuf> {
    let Some(path) = std::env::var_os(variable) else {
        bail!("{variable} is not set: run `cargo xtask test`, or set it to what `cargo xtask envoy` prints");
    };
    let path = PathBuf::from(path);
    if path.is_file() {
        Ok(path)
    } else {
        bail!("{variable} names {}, which is not a file", path.display())
    }
}

/// Names the Python that the scripted foreign peer runs in.
pub const FOREIGN_ENV: &str = "PEERWAY_FOREIGN_PYTHON";

/// The Python of the foreign peer.
///
/// # Errors
/// When [`FOREIGN_ENV`] is not set: these tests fail without it, they are never skipped.
pub fn foreign_python() -> Result<PathBuf> {
    match std::env::var_os(FOREIGN_ENV) {
        Some(path) => Ok(PathBuf::from(path)),
        None => bail!(
            "{FOREIGN_ENV} is not set: run `cargo xtask test`, or set it to what `cargo xtask foreign` prints"
        ),
    }
}

/// A stage in a folder of its own; everything on it is stopped when it is dropped.
pub struct TestStage {
    /// The stage.
    pub stage: Stage,
    dir: Option<TempDir>,
}

impl TestStage {
    /// A stage with the binary under test and the Envoy that `variable` names.
    ///
    /// # Errors
    /// When there is no Envoy or no place for the folder.
    pub fn new(binary: &str, variable: &str) -> Result<Self> {
        let dir = TempDir::with_prefix("peerway-test-").context("no folder for the test")?;
        let stage = Stage::new(dir.path(), Path::new(binary), &envoy(variable)?)?;
        Ok(TestStage {
            stage,
            dir: Some(dir),
        })
    }
}

impl TestStage {
    /// Ends a test that used Envoys: none of them may have rejected anything or warned of a deprecated field.
    ///
    /// # Errors
    /// The first that has, with what it said.
    pub fn finish(self) -> Result<()> {
        let looked_at = self.stage.nothing_rejected()?;
        if looked_at == 0 {
            bail!("the test ran no Envoy, there is nothing to finish")
        } else {
            Ok(())
        }
    }
}

impl Drop for TestStage {
    fn drop(&mut self) {
        self.stage.stop();
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            // What the processes said is worth more than a tidy disk.
            eprintln!("logs are kept in {}", dir.keep().display());
        }
    }
}
