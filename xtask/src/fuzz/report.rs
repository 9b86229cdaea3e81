//! What a fuzzer said at its end.

use std::path::{Path, PathBuf};

use serde_json::json;

/// How one target ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) target: String,
    /// Whether libFuzzer ended as it should.
    ended_well: bool,
    executions: u64,
    per_second: u64,
    /// Edges of the code that were reached.
    edges: u64,
    /// Edges with how often they were taken, and compared values.
    features: u64,
    /// Inputs that are kept because they reach something that no other does.
    corpus: u64,
    peak_mib: u64,
    /// Files with inputs that the target does not survive.
    findings: Vec<PathBuf>,
    log: PathBuf,
}

impl Outcome {
    /// Reads it from what libFuzzer wrote.
    pub(crate) fn read(
        target: &str,
        text: &str,
        ended_well: bool,
        findings: Vec<PathBuf>,
        log: &Path,
    ) -> Self {
        let stat = |name: &str| {
            let line = text.lines().rev().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        // `#1024	DONE   cov: 500 ft: 900 corp: 30/1234b ...`
        let progress = |word: &str| {
            let line = text
                .lines()
                .rev()
                .find(|line| line.starts_with('#') && line.contains(" cov: "))?;
            let value = line.split(word).nth(1)?.split([' ', '/']).next()?;
            value.parse().ok()
        };
        Self {
            target: target.to_owned(),
            ended_well,
            executions: stat("stat::number_of_executed_units:").unwrap_or(0),
            per_second: stat("stat::average_exec_per_sec:").unwrap_or(0),
            edges: progress(" cov: ").unwrap_or(0),
            features: progress(" ft: ").unwrap_or(0),
            corpus: progress(" corp: ").unwrap_or(0),
            peak_mib: stat("stat::peak_rss_mb:").unwrap_or(0),
            findings,
            log: log.to_owned(),
        }
    }

    /// Whether every input was survived. A run without an execution or without coverage proves nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.ended_well && self.findings.is_empty() && self.executions > 0 && self.edges > 0
    }
}

/// For people.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n  target           executions  per s   edges  corpus  MiB  result\n");
    for outcome in outcomes {
        let Outcome {
            target,
            executions,
            per_second,
            edges,
            corpus,
            peak_mib,
            ..
        } = outcome;
        let result = if outcome.is_clean() {
            "clean".to_owned()
        } else {
            verdict(outcome)
        };
        text.push_str(&format!(
            "  {target:<16} {executions:>10} {per_second:>6} {edges:>7} {corpus:>7} {peak_mib:>4}  {result}\n"
        ));
    }
    text
}

fn verdict(outcome: &Outcome) -> String {
    match outcome.findings.first() {
        Some(finding) => format!("FOUND {}; see {}", finding.display(), outcome.log.display()),
        None => format!("FAILED, see {}", outcome.log.display()),
    }
}

/// One object a target.
pub(crate) fn json(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|outcome| {
        let findings: Vec<String> = outcome
            .findings
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        json!({
            "target": outcome.target,
            "clean": outcome.is_clean(),
            "executions": outcome.executions,
            "executions_per_second": outcome.per_second,
            "edges": outcome.edges,
            "features": outcome.features,
            "corpus": outcome.corpus,
            "peak_mib": outcome.peak_mib,
            "findings": findings,
        })
    });
    let rows: Vec<serde_json::Value> = rows.collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Seed: 1
#2\tINITED cov: 6 ft: 6 corp: 1/1b exec/s: 0 rss: 27Mb
#1024\tDONE   cov: 512 ft: 900 corp: 30/1234b lim: 4 exec/s: 10 rss: 40Mb
Done 1024 runs in 2 second(s)
stat::number_of_executed_units: 1024
stat::average_exec_per_sec:     512
stat::new_units_added:          7
stat::peak_rss_mb:              41
";

    #[test]
    fn the_last_words_of_a_fuzzer_are_understood() {
        let outcome = Outcome::read("hcl", LOG, true, Vec::new(), Path::new("hcl.log"));
        assert_eq!((outcome.executions, outcome.per_second), (1024, 512));
        assert_eq!((outcome.edges, outcome.features, outcome.corpus), (512, 900, 30));
        assert_eq!(outcome.peak_mib, 41);
        assert!(outcome.is_clean());
        assert!(table(&[outcome]).contains("clean"));
    }

    #[test]
    fn a_finding_a_bad_end_and_silence_are_all_failures() {
        let read = |text: &str, well: bool, found: &[&str]| {
            let found = found.iter().map(PathBuf::from).collect();
            Outcome::read("hcl", text, well, found, Path::new("hcl.log"))
        };
        for bad in [
            read(LOG, true, &["crash-1"]),
            read(LOG, false, &[]),
            read("", true, &[]),
            read(&LOG.replace("cov: 512", "cov: 0"), true, &[]),
        ] {
            assert!(!bad.is_clean(), "{bad:?}");
            let text = table(std::slice::from_ref(&bad));
            assert!(text.contains("hcl.log"), "{text}");
            assert!(json(&[bad]).contains("\"clean\": false"));
        }
    }
}
