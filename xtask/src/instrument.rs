//! The compiler for the fuzzer: cargo runs this program in its place for the crates of the workspace, and it adds
//! what makes them report which code an input reaches. Dependencies are those of every other build.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set for cargo by `cargo xtask fuzz`: this program is to be a compiler.
pub(crate) const INSTRUMENT: &str = "PEERWAY_XTASK_INSTRUMENT";

/// As cargo-fuzz has them for a fuzzer without a sanitizer, which works with a stable compiler: there is no unsafe
/// code here for a sanitizer to look at. Optimised, since a faster fuzzer finds more, but with every check on.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Copt-level=1",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// Becomes the compiler that the first argument names. Returns only if that is not possible.
pub(crate) fn exec(mut args: impl Iterator<Item = OsString>) -> anyhow::Error {
    let Some(compiler) = args.next() else {
        return anyhow::anyhow!("{INSTRUMENT} is for cargo alone: unset it");
    };
    let error = Command::new(&compiler)
        .args(args)
        .args(FLAGS)
        .env_remove(INSTRUMENT)
        .exec();
    anyhow::Error::new(error).context(format!("the compiler {} cannot be started", compiler.display()))
}
