//! Where a run takes place: a stage in a folder of its own, which stays when something did not hold.

use crate::options::Options;
use anyhow::{Context, Result};
use peerway_cli::demo::stage::Stage;
use peerway_tests::{ENVOY_ENV, envoy};
use std::path::PathBuf;
use tempfile::TempDir;

/// The `peerway` that is built beside this program.
const BINARY: &str = "peerway-e2e";

/// The stage and its folder.
pub(crate) struct Ground {
    pub(crate) stage: Stage,
    dir: TempDir,
}

impl Ground {
    /// A stage with the binary and the Envoy to run.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let own = std::env::current_exe().context("this program cannot be found")?;
        let binary = options
            .binary
            .clone()
            .unwrap_or_else(|| own.with_file_name(BINARY));
        let dir = TempDir::with_prefix("peerway-soak-").context("no folder for the run")?;
        let stage = Stage::new(dir.path(), &binary, &envoy(ENVOY_ENV)?)?;
        Ok(Ground { stage, dir })
    }

    /// Leaves the folder where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.dir.keep()
    }

    /// Bytes of the data files of a cluster.
    pub(crate) fn stored_bytes(&self, cluster: &str) -> u64 {
        let folder = self.stage.dir().join(format!("{cluster}-data"));
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .filter_map(|file| file.metadata().ok())
            .map(|data| data.len())
            .sum()
    }

    /// Lines of the logs in which a process says that it panicked.
    pub(crate) fn panics(&self) -> Vec<String> {
        let logs = std::fs::read_dir(self.stage.dir())
            .into_iter()
            .flatten()
            .flatten();
        let texts = logs
            .filter(|log| log.path().extension().is_some_and(|end| end == "log"))
            .filter_map(|log| Some((log.file_name(), std::fs::read_to_string(log.path()).ok()?)));
        let lines = texts.flat_map(|(name, text)| {
            let found = text.lines().find(|line| line.contains("panicked at"));
            found.map(|line| format!("{} panicked: {line}", name.to_string_lossy()))
        });
        lines.collect()
    }
}
