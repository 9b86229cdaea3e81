//! `cargo xtask sim`: builds the simulation of peering and becomes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::place::Place;
use crate::run;

/// Builds the simulation with optimisations, since a long run costs nothing but processor time, and replaces this
/// process with it, so that the exit code is its own. Returns only if that is not possible.
pub(crate) fn exec(place: &Place, args: Vec<String>) -> anyhow::Error {
    let build = ["build", "--quiet", "--release", "--package", "peerway-sim"];
    if let Err(error) = run::visibly(&mut place.cargo(&build)) {
        return error;
    }
    // Left in the user's folder, so that a relative path in `--json FILE` means what it says.
    let mut simulation = Command::new(place.target.join("release").join("peerway-sim"));
    simulation.args(args);
    let error = simulation.exec();
    anyhow::Error::new(error).context(format!("`{}` cannot be started", run::line(&simulation)))
}
