//! `peerway-sim --histories N --seed S [--json FILE]`, or `peerway-sim --replay SEED`: runs histories and says what
//! came of them. The exit code is 1 when an invariant did not hold.

use anyhow::{Context, Result, bail};
use peerway_runtime::SystemClock;
use peerway_sim::{History, Sabotage, replay, run};
use serde_json::{Value, json};
use std::process::ExitCode;

/// How many histories are run unless it is said.
const HISTORIES: u64 = 1_000;

struct Arguments {
    histories: u64,
    seed: u64,
    json: Option<String>,
    replay: Option<u64>,
    sabotage: Sabotage,
}

fn arguments() -> Result<Arguments> {
    let mut read = Arguments {
        histories: HISTORIES,
        seed: 1,
        json: None,
        replay: None,
        sabotage: Sabotage::None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().with_context(|| format!("{flag} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .with_context(|| format!("{flag} {value:?} is not a number"))
        };
        match flag.as_str() {
            "--histories" => read.histories = number()?,
            "--seed" => read.seed = number()?,
            "--json" => read.json = Some(value),
            "--replay" => read.replay = Some(number()?),
            "--sabotage" => {
                read.sabotage = match value.as_str() {
                    "drop-removal" => Sabotage::DropRemoval,
                    "keep-imports" => Sabotage::KeepImports,
                    "no-waiting" => Sabotage::NoWaiting,
                    "trusting" => Sabotage::Trusting,
                    _ => bail!(
                        "--sabotage is drop-removal, keep-imports, no-waiting or trusting, not {value:?}"
                    ),
                }
            }
            _ => bail!(
                "unknown argument {flag:?}: known are --histories, --seed, --json, --replay and --sabotage"
            ),
        }
    }
    Ok(read)
}

fn violation(history: &History) -> Value {
    let found = history.violation.as_ref();
    json!({
        "seed": history.seed,
        "invariant": found.map(|violation| violation.invariant),
        "text": found.map(|violation| &violation.text),
        "history": history.lines,
    })
}

fn main() -> Result<ExitCode> {
    let arguments = arguments()?;
    if let Some(seed) = arguments.replay {
        let history = replay(seed, arguments.sabotage);
        for line in &history.lines {
            println!("{line}");
        }
        println!(
            "seed {seed}, {} steps, trace {:016x}",
            history.steps, history.trace
        );
        return Ok(ExitCode::from(u8::from(history.violation.is_some())));
    }
    let clock = SystemClock::shared();
    let began = clock.monotonic();
    let report = run(arguments.histories, arguments.seed, arguments.sabotage);
    let seconds = clock.monotonic().saturating_sub(began).as_secs_f64();
    for history in &report.kept {
        if let Some(found) = &history.violation {
            println!("seed {}: {}: {}", history.seed, found.invariant, found.text);
        }
    }
    println!("{:?}", report.counts);
    println!(
        "{} histories from seed {}, {} steps, {} violations, {seconds:.1} s",
        report.histories, arguments.seed, report.steps, report.violations
    );
    if let Some(file) = &arguments.json {
        let text = json!({
            "histories": report.histories,
            "violations": report.violations,
            "seed": arguments.seed,
            "steps": report.steps,
            "seconds": seconds,
            "links": report.counts.links,
            "streams": report.counts.streams,
            "takeovers": report.counts.takeovers,
            "imports": report.counts.imports,
            "refused": report.counts.refused,
            "reissued_tokens": report.counts.reissued,
            "denied_requests": report.counts.denied,
            "revoked_tokens": report.counts.revoked,
            "resyncs": report.counts.resyncs,
            "lost": report.counts.lost,
            "commits": report.counts.commits,
            "found": report.kept.iter().map(violation).collect::<Vec<_>>(),
        });
        std::fs::write(file, format!("{text:#}\n")).with_context(|| format!("{file} cannot be written"))?;
    }
    Ok(ExitCode::from(u8::from(report.violations > 0)))
}
