//! `cargo xtask bench`: builds the benchmarks optimised and runs one.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::place::Place;
use crate::{envoy, run};

/// The benchmarks that run whole clusters with Envoys. What they measure is Envoys, so nothing of ours is optimised for
/// them, which would take minutes.
const WITH_ENVOYS: [&str; 1] = ["policy"];

/// Builds the benchmarks and becomes them with `args`. Returns only if that is not possible.
pub(crate) fn exec(place: &Place, args: Vec<String>) -> anyhow::Error {
    let named = args.first().map(String::as_str);
    if named.is_some_and(|name| WITH_ENVOYS.contains(&name)) {
        return match with_envoys(place, args) {
            Ok(never) => never,
            Err(error) => error,
        };
    }
    // --package and not --workspace: the benchmarks need few rooms, and all of them optimised takes minutes.
    let only = ["--package", "peerway-bench", "--no-default-features"];
    let built = run::visibly(place.cargo(&["build", "--quiet", "--release"]).args(only));
    if let Err(error) = built {
        return error;
    }
    // Left in the user's folder, so that a relative path in `--json FILE` means what it says.
    let mut bench = Command::new(place.target.join("release").join("peerway-bench"));
    bench.args(args);
    start(bench)
}

fn with_envoys(place: &Place, args: Vec<String>) -> anyhow::Result<anyhow::Error> {
    // --workspace and not --package: with the features of the whole workspace, most of it is built already.
    let both = ["--bin", "peerway", "--bin", "peerway-bench"];
    run::visibly(place.cargo(&["build", "--quiet", "--workspace"]).args(both))?;
    let debug = place.target.join("debug");
    let mut bench = Command::new(debug.join("peerway-bench"));
    bench
        .args(args)
        .env("PEERWAY_BENCH_BINARY", debug.join("peerway"))
        .env("PEERWAY_ENVOY", envoy::provide(place, envoy::NEWEST)?);
    Ok(start(bench))
}

fn start(mut bench: Command) -> anyhow::Error {
    let error = bench.exec();
    anyhow::Error::new(error).context(format!("`{}` cannot be started", run::line(&bench)))
}
