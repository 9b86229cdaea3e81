//! `cargo xtask test`: the steps that decide whether a change may be committed, in the order of what they cost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::place::Place;
use crate::{envoy, foreign, fuzz, run};

/// Tells the tests where the oldest supported Envoy is.
const OLDEST_OVERRIDE: &str = "PEERWAY_ENVOY_OLDEST";

/// How long each fuzz target runs, in seconds.
const FUZZ_SECONDS: u64 = 3;

/// One step: what it is called and what it does. It may leave something for the steps after it.
struct Step<S> {
    name: &'static str,
    run: fn(&mut S) -> Result<()>,
}

/// What the steps of [`test`] share.
struct Shop<'a> {
    place: &'a Place,
    envoy: Option<PathBuf>,
    oldest_envoy: Option<PathBuf>,
    python: Option<PathBuf>,
}

/// How one step ended.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// Runs all steps of `cargo xtask test`, up to the first failure; prints a summary either way.
pub(crate) fn test(place: &Place) -> Result<ExitCode> {
    let steps = [
        Step {
            name: "format",
            run: format,
        },
        Step {
            name: "lints",
            run: lints,
        },
        Step {
            name: "envoy",
            run: fetch_envoy,
        },
        Step {
            name: "foreign",
            run: make_foreign,
        },
        Step {
            name: "build",
            run: build,
        },
        Step {
            name: "tests",
            run: tests,
        },
        Step {
            name: "fuzz",
            run: fuzz_shortly,
        },
    ];
    let mut shop = Shop {
        place,
        envoy: None,
        oldest_envoy: None,
        python: None,
    };
    let outcomes = run_all(&steps, &mut shop, now);
    eprint!("{}", summary(&outcomes, &steps));
    let green = outcomes.iter().all(|outcome| outcome.result.is_ok());
    Ok(if green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn format(shop: &mut Shop<'_>) -> Result<()> {
    run::visibly(&mut shop.place.cargo(&["fmt", "--all", "--check"]))
}

fn lints(shop: &mut Shop<'_>) -> Result<()> {
    run::visibly(
        &mut shop
            .place
            .cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )
}

fn fetch_envoy(shop: &mut Shop<'_>) -> Result<()> {
    let path = envoy::provide(shop.place, envoy::NEWEST)?;
    let oldest = envoy::provide(shop.place, envoy::OLDEST)?;
    eprintln!("{}\n{}", path.display(), oldest.display());
    shop.envoy = Some(path);
    shop.oldest_envoy = Some(oldest);
    Ok(())
}

fn make_foreign(shop: &mut Shop<'_>) -> Result<()> {
    let python = foreign::provide(shop.place)?;
    eprintln!("{}", python.display());
    shop.python = Some(python);
    Ok(())
}

/// A step of its own, so that what does not compile is told apart from what does not pass.
fn build(shop: &mut Shop<'_>) -> Result<()> {
    run::visibly(&mut shop.place.cargo(&["build", "--workspace"]))
}

fn tests(shop: &mut Shop<'_>) -> Result<()> {
    let mut command = shop.place.cargo(&["test", "--workspace"]);
    ensure!(shop.envoy.is_some(), "the tests need the envoy step before them");
    command.envs(shop.envoy.iter().map(|path| (envoy::OVERRIDE, path)));
    command.envs(shop.oldest_envoy.iter().map(|path| (OLDEST_OVERRIDE, path)));
    ensure!(
        shop.python.is_some(),
        "the tests need the foreign step before them"
    );
    command.envs(shop.python.iter().map(|path| (foreign::OVERRIDE, path)));
    run::visibly(&mut command)
}

/// Last, because it is the slowest to find anything.
fn fuzz_shortly(shop: &mut Shop<'_>) -> Result<()> {
    fuzz::shortly(shop.place, FUZZ_SECONDS)
}

#[allow(
    clippy::disallowed_methods,
    reason = "measures a developer's own commands; nothing here is under test time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Runs the steps in order until one fails; the outcomes of those that ran.
fn run_all<S>(steps: &[Step<S>], shared: &mut S, now: impl Fn() -> Instant) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for step in steps {
        eprintln!("==> {}", step.name);
        let start = now();
        let result = (step.run)(shared);
        let took = now().duration_since(start);
        match &result {
            Ok(()) => eprintln!("==> {} passed, {}", step.name, seconds(took)),
            Err(error) => eprintln!("==> {} FAILED, {}: {error:#}", step.name, seconds(took)),
        }
        let failed = result.is_err();
        outcomes.push(Outcome {
            name: step.name,
            took,
            result,
        });
        if failed {
            break;
        }
    }
    outcomes
}

/// The table at the end: every step with its result and duration, those not reached too.
fn summary<S>(outcomes: &[Outcome], steps: &[Step<S>]) -> String {
    let mut text = String::from("\n  step     result    time\n");
    for outcome in outcomes {
        let result = if outcome.result.is_ok() {
            "passed"
        } else {
            "FAILED"
        };
        text.push_str(&format!(
            "  {:<8} {result:<9} {}\n",
            outcome.name,
            seconds(outcome.took)
        ));
    }
    for step in &steps[outcomes.len()..] {
        text.push_str(&format!("  {:<8} not run\n", step.name));
    }
    let total = outcomes.iter().map(|outcome| outcome.took).sum();
    text.push_str(&format!("  {:<8} {:<9} {}\n", "all", "", seconds(total)));
    text
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod unit {
    use super::*;

    fn add_one(count: &mut u32) -> Result<()> {
        *count += 1;
        Ok(())
    }

    fn fail(_: &mut u32) -> Result<()> {
        anyhow::bail!("the cause")
    }

    #[test]
    fn the_first_failure_stops_the_rest_and_the_summary_says_so() {
        let steps = [
            Step {
                name: "one",
                run: add_one,
            },
            Step {
                name: "two",
                run: fail,
            },
            Step {
                name: "three",
                run: add_one,
            },
        ];
        let mut count = 0;
        let start = now();
        let outcomes = run_all(&steps, &mut count, || start);
        assert_eq!(count, 1, "the step after the failure must not run");
        assert_eq!(outcomes.len(), 2);
        let text = summary(&outcomes, &steps);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(lines.contains(&"  one      passed    0.0 s"), "{text}");
        assert!(lines.contains(&"  two      FAILED    0.0 s"), "{text}");
        assert!(lines.contains(&"  three    not run"), "{text}");
    }

    #[test]
    fn all_steps_run_when_none_fails() {
        let steps = [
            Step {
                name: "one",
                run: add_one,
            },
            Step {
                name: "two",
                run: add_one,
            },
        ];
        let mut count = 0;
        let start = now();
        let outcomes = run_all(&steps, &mut count, || start);
        assert_eq!(count, 2);
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    }
}
