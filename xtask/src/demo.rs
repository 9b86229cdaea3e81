//! `cargo xtask demo`: everything between a fresh checkout and a running demo.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::place::Place;
use crate::{envoy, run};

/// Takes `--envoy-version` out of the arguments.
const VERSION_FLAG: &str = "--envoy-version";

/// Fetches Envoy, builds the binary and becomes it. Replacing the process, instead of waiting for a child,
/// makes Ctrl-C, the terminal and the exit code the demo's own. Returns only if that is not possible.
pub(crate) fn exec(place: &Place, args: Vec<String>) -> anyhow::Error {
    match prepare(place, args) {
        Ok(mut demo) => {
            let error = demo.exec();
            anyhow::Error::new(error).context(format!("`{}` cannot be started", run::line(&demo)))
        }
        Err(error) => error,
    }
}

fn prepare(place: &Place, mut args: Vec<String>) -> anyhow::Result<Command> {
    let version = envoy::take_version(&mut args, VERSION_FLAG)?;
    let envoy = envoy::provide(place, &version)?;
    // --workspace and not --package: with the features of the whole workspace the dependencies are those that
    // `cargo xtask test` has built, and are not built a second time.
    run::visibly(&mut place.cargo(&["build", "--quiet", "--workspace", "--bin", "peerway"]))?;

    let mut demo = Command::new(place.target.join("debug").join("peerway"));
    // Left in the user's folder, so that a relative path in `--json FILE` means what it says.
    demo.arg("demo").arg("--envoy-binary").arg(envoy).args(args);
    Ok(demo)
}
