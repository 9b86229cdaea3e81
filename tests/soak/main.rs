//! `peerway-soak churn|faults`: long runs of real `peerway` and Envoy processes, with a verdict. The exit code is 1 when
//! something did not hold, which is then in the report by name; `docs/reliability.md` says what is looked at.

mod call;
mod churn;
mod faults;
mod ground;
mod memory;
mod options;
mod pace;

use anyhow::{Context, Result};
use ground::Ground;
use options::{Kind, Options};
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    match judge(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what is asked for and says what came of it; whether everything held.
fn judge(options: &Options) -> Result<bool> {
    let ground = Ground::new(options)?;
    let report = match options.kind {
        Kind::Churn => churn::run(&ground, options),
        Kind::Faults => faults::run(&ground, options),
    };
    ground.stage.stop();
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            return Err(error.context(format!("the logs are in {}", ground.keep().display())));
        }
    };
    let text = format!("{report:#}\n");
    if let Some(file) = &options.json {
        std::fs::write(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    print!("{text}");
    let violations = violations(&report);
    for violation in &violations {
        eprintln!("VIOLATED {violation}");
    }
    if !violations.is_empty() {
        eprintln!("the logs are in {}", ground.keep().display());
    }
    Ok(violations.is_empty())
}

fn violations(report: &Value) -> Vec<&str> {
    let all = report["violations"].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).collect()
}
