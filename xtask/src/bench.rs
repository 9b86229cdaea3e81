//! `cargo xtask bench`: builds the benchmarks optimised and runs one.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::place::Place;
use crate::run;

/// Builds the benchmarks and becomes them with `args`. Returns only if that is not possible.
pub(crate) fn exec(place: &Place, args: Vec<String>) -> anyhow::Error {
    // --package and not --workspace: the benchmarks need few rooms, and all of them optimised takes minutes.
    let built =
        run::visibly(&mut place.cargo(&["build", "--quiet", "--release", "--package", "peerway-bench"]));
    if let Err(error) = built {
        return error;
    }
    // Left in the user's folder, so that a relative path in `--json FILE` means what it says.
    let mut bench = Command::new(place.target.join("release").join("peerway-bench"));
    bench.args(args);
    let error = bench.exec();
    anyhow::Error::new(error).context(format!("`{}` cannot be started", run::line(&bench)))
}
