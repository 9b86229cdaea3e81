//! What a demo did, for people while it runs and as JSON in the end.

use super::stage::now;
use anyhow::Result;
use serde::Serialize;

/// One step of a story.
#[derive(Serialize)]
pub struct Step {
    /// A short, stable name.
    pub id: &'static str,
    /// What should happen.
    pub title: &'static str,
    /// Whether it did.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// All steps.
#[derive(Serialize, Default)]
pub struct Report {
    /// Whether every step did what it should.
    pub ok: bool,
    /// How long all took, in seconds.
    pub seconds: f64,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Report {
    /// Runs a step and tells about it: `work` returns what was seen. A step after a failed one is run all the same
    /// only if the caller goes on.
    ///
    /// # Errors
    /// What the step failed with; the step is in the report either way.
    pub fn step(
        &mut self,
        id: &'static str,
        title: &'static str,
        work: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        println!("\n[{id}] {title}");
        let begun = now();
        let result = work();
        let seconds = begun.elapsed().as_secs_f64();
        let (ok, seen) = match &result {
            Ok(seen) => (true, seen.clone()),
            Err(error) => (false, format!("{error:#}")),
        };
        println!(
            "    {} {seen} ({seconds:.2} s)",
            if ok { "ok:" } else { "FAILED:" }
        );
        self.steps.push(Step {
            id,
            title,
            ok,
            seen,
            seconds,
        });
        self.seconds += seconds;
        self.ok = self.steps.iter().all(|step| step.ok);
        result.map(|_| ())
    }
}

/// Tells what is being run.
pub fn tell(line: &str) {
    println!("    $ {line}");
}
