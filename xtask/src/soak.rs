//! `cargo xtask soak`: builds everything optimised, fetches Envoy and becomes one of the long runs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::place::Place;
use crate::{envoy, run};

/// Becomes the run that `args` ask for. Returns only if that is not possible.
pub(crate) fn exec(place: &Place, args: Vec<String>) -> anyhow::Error {
    match prepare(place, args) {
        Ok(mut soak) => {
            let error = soak.exec();
            anyhow::Error::new(error).context(format!("`{}` cannot be started", run::line(&soak)))
        }
        Err(error) => error,
    }
}

fn prepare(place: &Place, args: Vec<String>) -> anyhow::Result<Command> {
    let envoy = envoy::provide(place, envoy::NEWEST)?;
    // The run finds the server that it runs beside itself: both are programs of this package.
    let build = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "peerway-tests",
        "--bins",
    ];
    run::visibly(&mut place.cargo(&build))?;
    // Left in the user's folder, so that a relative path in `--json FILE` means what it says.
    let mut soak = Command::new(place.target.join("release").join("peerway-soak"));
    soak.args(args).env(envoy::OVERRIDE, envoy);
    Ok(soak)
}
