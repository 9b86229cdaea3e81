//! Exceptions from the checks: few, explained, and gone when nothing needs them.

use crate::Finding;

/// Words a reason has at least; fewer say only that there is an exception.
const REASON_WORDS: usize = 5;

/// One file that one check does not hold for.
#[derive(Debug)]
pub(crate) struct Exception {
    /// The name of the check.
    pub(crate) check: &'static str,
    /// The file, from the root of the repository.
    pub(crate) path: &'static str,
    /// Why the file cannot follow the rule.
    pub(crate) because: &'static str,
}

/// The findings that no exception covers, as lines to print; and the exceptions of this check that cover none.
pub(crate) fn remaining(check: &str, findings: Vec<Finding>, exceptions: &[Exception]) -> Vec<String> {
    let covers = |exception: &Exception, finding: &Finding| {
        exception.check == finding.check && exception.path == finding.path
    };
    let unused = exceptions
        .iter()
        .filter(|exception| {
            exception.check == check && !findings.iter().any(|finding| covers(exception, finding))
        })
        .map(|exception| {
            format!(
                "{}: the exception from {check} is not needed any more: remove it",
                exception.path
            )
        });
    let left = findings
        .iter()
        .filter(|finding| !exceptions.iter().any(|exception| covers(exception, finding)))
        .map(|finding| format!("{}: {}", finding.path, finding.text));
    left.chain(unused).collect()
}

/// Exceptions without a real reason or for a check that does not exist.
pub(crate) fn faults(exceptions: &[Exception], checks: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for Exception { check, path, because } in exceptions {
        if because.split_whitespace().count() < REASON_WORDS {
            faults.push(format!("{path}: the exception from {check} does not say why"));
        }
        if !checks.contains(check) {
            faults.push(format!("{path}: there is no check called {check}"));
        }
    }
    faults
}

#[cfg(test)]
mod unit {
    use super::*;

    const EXCEPTION: Exception = Exception {
        check: "length",
        path: "a.rs",
        because: "a table that is read as one piece",
    };

    #[test]
    fn an_exception_covers_its_check_and_file_only() {
        let findings = vec![
            Finding::new("length", "a.rs", "long"),
            Finding::new("length", "b.rs", "long"),
            Finding::new("other", "a.rs", "bad"),
        ];
        assert_eq!(
            remaining("length", findings, &[EXCEPTION]),
            ["b.rs: long", "a.rs: bad"]
        );
    }

    #[test]
    fn an_exception_that_covers_nothing_is_reported() {
        let left = remaining("length", Vec::new(), &[EXCEPTION]);
        assert!(left.len() == 1 && left[0].contains("not needed"), "{left:?}");
        assert_eq!(remaining("other", Vec::new(), &[EXCEPTION]), Vec::<String>::new());
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_check() {
        assert_eq!(faults(&[EXCEPTION], &["length"]), Vec::<String>::new());
        assert_eq!(faults(&[EXCEPTION], &["names"]).len(), 1);
        assert_eq!(
            faults(
                &[Exception {
                    because: "needed",
                    ..EXCEPTION
                }],
                &["length"]
            )
            .len(),
            1
        );
    }
}
