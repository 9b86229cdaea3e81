//! Benchmarks. Each compares within one run and prints JSON; nothing here asserts a time.
//!
//! `cargo xtask bench NAME [--json FILE]`

mod change;
#[cfg(feature = "envoys")]
mod policy;
mod rekey;
mod timing;
mod world;

use anyhow::{Context, Result, bail};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let (name, file) = match args {
        [name] => (name, None),
        [name, flag, file] if flag == "--json" || flag == "-json" => (name, Some(file)),
        _ => bail!("usage: NAME [--json FILE]; names: change, policy, rekey"),
    };
    let rows = match name.as_str() {
        "change" => change::run(),
        "rekey" => rekey::run()?,
        #[cfg(feature = "envoys")]
        "policy" => policy::run()?,
        other => bail!("unknown benchmark {other:?}, there are: change, policy, rekey"),
    };
    let text = serde_json::to_string_pretty(&rows)?;
    println!("{text}");
    if let Some(file) = file {
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}
