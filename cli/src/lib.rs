//! The command line: the server, the client commands, the Envoy launcher and the demo.
//!
//! Client commands speak the HTTP API only, so they drive any Peerway (and, where the API is the same, any Consul).

pub mod args;
pub mod client;
pub mod commands;
pub mod demo;

use clap::Parser;
use std::process::ExitCode;

/// Connects services of independent clusters through Envoy.
///
/// Every flag may be written with one dash or two, and with '=' or a space before its value.
#[derive(Parser)]
#[command(name = "peerway", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

/// Runs the command that `args` (the program's name first) asks for; the exit code of the process.
/// 0 means done, 1 that it failed, 2 that the command line is wrong.
pub fn run(args: Vec<String>) -> ExitCode {
    let cli = match Cli::try_parse_from(args::normalise(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap too, but go to standard output with exit code 0.
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
