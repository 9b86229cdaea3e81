//! `cargo xtask fuzz`: builds the fuzzer of `tests/fuzz` and runs its targets, several side by side.

mod report;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::instrument::INSTRUMENT;
use crate::place::Place;
use crate::run;
use report::Outcome;

/// How long each target runs unless said otherwise, in seconds: enough to try every seed and its first mutations.
const SECONDS: u64 = 10;
/// Longest input, in bytes: a message of a peering with a few instances is a tenth of it.
const MAX_INPUT_BYTES: u32 = 16 * 1024;
/// An input that takes longer is a finding, in seconds.
const SLOWEST: u32 = 20;
/// A fuzzer that needs more memory is a finding, in MiB.
const MOST_MEMORY: u32 = 1024;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// `all`, or one of the names that `cargo xtask fuzz --target list` prints.
    target: String,
    seconds: u64,
    /// How many run at a time.
    jobs: usize,
    json: Option<PathBuf>,
    /// An input to run instead, once.
    input: Option<PathBuf>,
}

/// Runs what `args` ask for. The code is a failure when an input was found that a target does not survive.
pub(crate) fn exec(place: &Place, args: &[String]) -> Result<ExitCode> {
    let options = parse(args)?;
    let outcomes = fuzz(place, &options)?;
    let Some(outcomes) = outcomes else {
        return Ok(ExitCode::SUCCESS);
    };
    eprint!("{}", report::table(&outcomes));
    if let Some(path) = &options.json {
        fs::write(path, report::json(&outcomes))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let clean = outcomes.iter().all(Outcome::is_clean);
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs every target for `seconds`, for `cargo xtask test`.
pub(crate) fn shortly(place: &Place, seconds: u64) -> Result<()> {
    let options = Options {
        target: "all".to_owned(),
        seconds,
        jobs: cores(),
        json: None,
        input: None,
    };
    let outcomes = fuzz(place, &options)?.unwrap_or_default();
    eprint!("{}", report::table(&outcomes));
    ensure!(!outcomes.is_empty(), "no target was run");
    ensure!(
        outcomes.iter().all(Outcome::is_clean),
        "an input was found that a target does not survive"
    );
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        target: "all".to_owned(),
        seconds: SECONDS,
        jobs: cores(),
        json: None,
        input: None,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--target" => options.target.clone_from(value()?),
            "--seconds" => options.seconds = value()?.parse().context("--seconds needs a whole number")?,
            "--jobs" => options.jobs = value()?.parse().context("--jobs needs a whole number")?,
            "--json" => options.json = Some(PathBuf::from(value()?)),
            "--input" => options.input = Some(PathBuf::from(value()?)),
            other => bail!("unknown argument {other:?}: see `cargo xtask help`"),
        }
    }
    ensure!(
        options.seconds > 0,
        "--seconds: 0 would never end, give at least 1"
    );
    ensure!(options.jobs > 0, "--jobs: nothing would run, give at least 1");
    ensure!(
        options.input.is_none() || options.target != "all",
        "--input needs --target: one input is of one target"
    );
    Ok(options)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// `None` when nothing was fuzzed: the targets were listed, or one input was run.
fn fuzz(place: &Place, options: &Options) -> Result<Option<Vec<Outcome>>> {
    let fuzzer = build(place)?;
    let known = list(&fuzzer)?;
    if options.target == "list" {
        println!("{}", known.join("\n"));
        return Ok(None);
    }
    let targets: VecDeque<String> = known
        .iter()
        .filter(|name| options.target == "all" || options.target == **name)
        .cloned()
        .collect();
    if targets.is_empty() {
        bail!(
            "--target: {:?} is none of all, {}",
            options.target,
            known.join(", ")
        );
    }
    if let Some(input) = &options.input {
        let input = std::path::absolute(input)?;
        run::visibly(command(&fuzzer, &options.target).arg(input))?;
        return Ok(None);
    }
    let folder = place.target.join("fuzz");
    let waiting = Mutex::new(targets);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(target) = next else { return };
                    let outcome = one(&fuzzer, &folder, &target, options.seconds);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes: Result<Vec<Outcome>> = done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .collect();
    let mut outcomes = outcomes?;
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(Some(outcomes))
}

/// Builds the fuzzer with its workspace instrumented, beside everything else in the target folder.
fn build(place: &Place) -> Result<PathBuf> {
    let this = this_program()?;
    let mut cargo = place.cargo(&[
        "build",
        "--quiet",
        "--package",
        "peerway-fuzz",
        "--features",
        "libfuzzer",
    ]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", this).env(INSTRUMENT, "1");
    run::visibly(&mut cargo).context("the fuzzer needs a C++ compiler (g++) for libFuzzer")?;
    Ok(place.target.join("debug").join("peerway-fuzz"))
}

/// Where this program is. Building the workspace may have put another one of the same source in its place (with the
/// features that the others need); then Linux says of the running one that it is deleted.
fn this_program() -> Result<PathBuf> {
    let path = std::env::current_exe().context("this program cannot be found")?;
    Ok(not_deleted(path))
}

fn not_deleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

fn command(fuzzer: &Path, target: &str) -> Command {
    let mut command = Command::new(fuzzer);
    command
        .env("PEERWAY_FUZZ_TARGET", target)
        .env("RUST_BACKTRACE", "1");
    command
}

fn list(fuzzer: &Path) -> Result<Vec<String>> {
    let output = command(fuzzer, "list")
        .output()
        .context("the fuzzer cannot be started")?;
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}

/// Runs one target for `seconds`.
fn one(fuzzer: &Path, folder: &Path, target: &str, seconds: u64) -> Result<Outcome> {
    let (corpus, findings) = (
        folder.join("corpus").join(target),
        folder.join("findings").join(target),
    );
    let log = folder.join(format!("{target}.log"));
    let words = folder.join(format!("{target}.words"));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let before = files(&findings)?;
    let output = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
    let mut prefix = findings.clone().into_os_string();
    prefix.push("/");
    let mut child = Running(
        command(fuzzer, target)
            .env("PEERWAY_FUZZ_SEEDS", &corpus)
            .env("PEERWAY_FUZZ_WORDS", &words)
            .arg(joined("-artifact_prefix=", &prefix))
            .arg(joined("-dict=", words.as_os_str()))
            .args([
                format!("-max_total_time={seconds}"),
                format!("-max_len={MAX_INPUT_BYTES}"),
                format!("-timeout={SLOWEST}"),
                format!("-rss_limit_mb={MOST_MEMORY}"),
                "-print_final_stats=1".to_owned(),
            ])
            .arg(&corpus)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .context("the fuzzer cannot be started")?,
    );
    let status = child.0.wait().context("the fuzzer was lost")?;
    let text = fs::read(&log).with_context(|| format!("{} cannot be read", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let found = files(&findings)?
        .into_iter()
        .filter(|file| !before.contains(file))
        .collect();
    Ok(Outcome::read(target, &text, status.success(), found, &log))
}

fn joined(flag: &str, value: &OsStr) -> std::ffi::OsString {
    let mut whole = std::ffi::OsString::from(flag);
    whole.push(value);
    whole
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect())
}

/// A fuzzer that does not outlive this program's interest in it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_program_that_was_built_anew_is_found_under_its_name() {
        for path in ["target/debug/xtask", "target/debug/xtask (deleted)"] {
            assert_eq!(not_deleted(PathBuf::from(path)), Path::new("target/debug/xtask"));
        }
    }

    #[test]
    fn arguments_are_taken_and_bad_ones_name_themselves() {
        let options = parse(&words("--target hcl --seconds 3 --jobs 2 --json out.json")).unwrap();
        assert_eq!(
            (options.target.as_str(), options.seconds, options.jobs),
            ("hcl", 3, 2)
        );
        assert_eq!(options.json, Some(PathBuf::from("out.json")));
        for (bad, named) in [
            ("--target", "--target"),
            ("--seconds x", "--seconds"),
            ("--seconds 0", "--seconds"),
            ("--jobs 0", "--jobs"),
            ("--input f", "--target"),
            ("--colour red", "--colour"),
        ] {
            let error = format!("{:#}", parse(&words(bad)).unwrap_err());
            assert!(error.contains(named), "{bad}: {error}");
        }
    }
}
