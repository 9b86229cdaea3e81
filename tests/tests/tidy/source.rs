//! Checks of one file at a time. The words they look for are put together at run time, so that no check finds
//! itself.

use crate::{Finding, literals};

/// No absolute path of somebody's machine.
pub(crate) const MACHINE_PATH: &str = "machine-path";
/// No work that is left for later, and no test that is switched off.
pub(crate) const UNFINISHED: &str = "unfinished";
/// Every source file starts with what it is for.
pub(crate) const DOC_LINE: &str = "doc-line";
/// No source file is longer than can be read at once.
pub(crate) const LENGTH: &str = "length";
/// No file is named after nothing in particular.
pub(crate) const FILE_NAME: &str = "file-name";
/// Lints are only silenced with a reason.
pub(crate) const SILENCED: &str = "silenced";

/// Lines a source file may have. Test files are lists of cases and may be longer.
const LINES: usize = 600;

/// Names that say nothing of what a file or folder holds.
const EMPTY_NAMES: [&str; 8] = [
    "utils", "util", "common", "helpers", "helper", "misc", "shared", "stuff",
];

/// Folders of machines that a path in the repository must not begin with.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let folders = ["home", "root", "work", "Users"].map(|folder| format!("/{folder}/"));
    let mut findings = Vec::new();
    for (number, line) in numbered(text) {
        for folder in &folders {
            // A longer path or an address may have such a folder inside of it: only the beginning counts.
            let begins = |at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|character| character.is_alphanumeric() || "_-.~}>*/".contains(character))
            };
            if line.match_indices(folder.as_str()).any(|(at, _)| begins(at)) {
                let text = format!(
                    "line {number}: a path under {folder} exists on one machine only: make it relative"
                );
                findings.push(Finding::new(MACHINE_PATH, path, text));
            }
        }
    }
    findings
}

/// Macros for code that is not written, and attributes that switch a test off.
pub(crate) fn unfinished(path: &str, text: &str) -> Vec<Finding> {
    let needles = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["#[ig", "nore"],
        [", ig", "nore)]"],
    ]
    .map(|parts| parts.concat());
    let mut findings = Vec::new();
    for (number, line) in numbered(text) {
        for needle in needles.iter().filter(|needle| line.contains(needle.as_str())) {
            let text = format!("line {number}: {needle} is for work that is not done: do it or leave it out");
            findings.push(Finding::new(UNFINISHED, path, text));
        }
    }
    findings
}

/// The first line of a source file is a `//!` line that says something.
pub(crate) fn doc_line(path: &str, text: &str) -> Vec<Finding> {
    let first = text.lines().find(|line| !line.trim().is_empty());
    match first.and_then(|line| line.strip_prefix("//!")) {
        Some(says) if !says.trim().is_empty() => Vec::new(),
        _ => vec![Finding::new(
            DOC_LINE,
            path,
            "the first line must be a //! line that says what the file is for",
        )],
    }
}

/// At most [`LINES`] lines, except in test files.
pub(crate) fn length(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= LINES || is_test(path) {
        return Vec::new();
    }
    vec![Finding::new(
        LENGTH,
        path,
        format!("{lines} lines, at most {LINES} are allowed: split it by noun"),
    )]
}

/// True for files that only tests use: `tests.rs`, `..._tests.rs`, and all below a folder called `tests`.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs") || path.ends_with("_tests.rs")
}

/// The part of a file before a test module written in it; such a module is the last thing in its file.
pub(crate) fn before_tests(text: &str) -> &str {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens_module = |next: &&str| next.starts_with("mod ") && next.trim_end().ends_with('{');
        if line.trim_end() == "#[cfg(test)]" && lines.peek().is_some_and(opens_module) {
            return &text[..at];
        }
        at += line.len();
    }
    text
}

/// Neither the file nor a folder above it has an empty name.
pub(crate) fn file_name(path: &str) -> Vec<Finding> {
    let empty = path
        .split('/')
        .find(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part)));
    let text = |part: &str| format!("{part} says nothing of what is in it: name it after the thing it holds");
    empty
        .map(|part| Finding::new(FILE_NAME, path, text(part)))
        .into_iter()
        .collect()
}

/// `allow` and `expect` attributes without a `reason`.
pub(crate) fn silenced_without_reason(path: &str, text: &str) -> Vec<Finding> {
    let code = literals::scan(text).code;
    let mut findings = Vec::new();
    for opening in ["[allow(", "[expect("] {
        for (at, _) in code.match_indices(opening) {
            let attribute = &code[at..];
            let attribute = &attribute[..attribute.find(")]").unwrap_or(attribute.len())];
            if !attribute.contains("reason") {
                let number = code[..at].matches('\n').count() + 1;
                let text = format!(
                    "line {number}: {}) has no reason: add `reason = \"...\"`",
                    &attribute[1..]
                );
                findings.push(Finding::new(SILENCED, path, text));
            }
        }
    }
    findings
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found_where_they_begin() {
        for folder in ["home/me", "root/x", "work/main", "Users/me"] {
            let bad = format!("first\nlet path = \"/{folder}/file\";\n");
            let findings = machine_paths("a.rs", &bad);
            assert!(
                findings.len() == 1 && findings[0].text.starts_with("line 2:"),
                "{findings:?}"
            );
            assert_eq!(
                machine_paths("a.rs", &format!("see example.com/{folder}/file and ~/{folder}")),
                []
            );
        }
        assert_eq!(
            machine_paths("a.rs", "target/envoy, /etc/peerway, /v1/health/service/web"),
            []
        );
    }

    #[test]
    fn unfinished_work_is_found() {
        let words = ["to", "do unimple", "mented #[ig", "nore cfg_attr(x, ig", "nore"];
        let bad = [
            [words[0], "do!(\"later\")"].concat(),
            ["unimple", "mented!()"].concat(),
            ["#[ig", "nore = \"slow\"]"].concat(),
            ["#[cfg_attr(miri, ig", "nore)]"].concat(),
        ];
        for line in bad {
            assert_eq!(
                unfinished("a.rs", &format!("fn a() {{\n{line}\n}}\n")).len(),
                1,
                "{line}"
            );
        }
        assert_eq!(
            unfinished(
                "a.rs",
                "// what is to do: ignore it, it is unimplemented elsewhere"
            ),
            []
        );
    }

    #[test]
    fn a_file_without_its_first_line_is_found() {
        for bad in [
            "",
            "fn a() {}",
            "//!\nfn a() {}",
            "use std::fs;\n//! Late.",
            "/// Other.\nfn a() {}",
        ] {
            assert_eq!(doc_line("a.rs", bad).len(), 1, "{bad:?}");
        }
        assert_eq!(doc_line("a.rs", "\n//! What it is for.\nfn a() {}"), []);
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_a_test() {
        let long = "x\n".repeat(LINES + 1);
        assert_eq!(length("mesh/src/a.rs", &long).len(), 1);
        assert_eq!(length("mesh/src/a.rs", &"x\n".repeat(LINES)), []);
        for test in [
            "mesh/src/tests.rs",
            "mesh/src/a/tests.rs",
            "mesh/tests/a.rs",
            "tests/src/lib.rs",
        ] {
            assert_eq!(length(test, &long), [], "{test}");
        }
        assert_eq!(length("mesh/src/attests.rs", &long).len(), 1);
    }

    #[test]
    fn a_file_is_cut_at_its_test_module_only() {
        let cut = "a\n#[cfg(test)]\nmod tests {\nb\n}\n";
        assert_eq!(before_tests(cut), "a\n");
        let whole = "a\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse b;\nc\n";
        assert_eq!(before_tests(whole), whole);
    }

    #[test]
    fn empty_names_are_found() {
        for bad in [
            "mesh/src/utils.rs",
            "mesh/src/common/a.rs",
            "tests/helpers.py",
            "utils/Cargo.toml",
        ] {
            assert_eq!(file_name(bad).len(), 1, "{bad}");
        }
        assert_eq!(file_name("mesh/src/common_name.rs"), []);
    }

    #[test]
    fn an_allow_needs_a_reason() {
        for bad in [
            "#[allow(dead_code)]",
            "#![allow(a, b)]",
            "#[expect(clippy::panic)]",
            "#[allow(a)] // reason",
        ] {
            assert_eq!(silenced_without_reason("a.rs", bad).len(), 1, "{bad}");
        }
        for good in [
            "#[allow(a, reason = \"b\")]",
            "#[expect(\n    a,\n    reason = \"b\",\n)]",
            "// #[allow(a)]",
        ] {
            assert_eq!(silenced_without_reason("a.rs", good), [], "{good}");
        }
    }
}
