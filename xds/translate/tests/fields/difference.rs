//! What differs between two texts: the lines that do, below the lines that they are inside of by their indentation.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// One line of both texts, of the first only, or of the second only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    First,
    Second,
}

/// Fewest lines that are not written a second time.
const REPEATED: usize = 5;

/// Shows differences, and what was shown before only once.
#[derive(Default)]
pub(crate) struct Differences {
    shown: BTreeSet<Vec<String>>,
}

impl Differences {
    /// The differing lines, `- ` before those of `first` and `+ ` before those of `second`. Empty for equal texts.
    pub(crate) fn between(&mut self, first: &str, second: &str) -> String {
        let lines = merged(first, second);
        let mut out = String::new();
        // Where the lines stand that the last line which was written is inside of.
        let mut inside: Vec<usize> = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            if lines[at].0 == Of::Both {
                at += 1;
                continue;
            }
            let around = around(&lines, at);
            for outer in &around {
                if !inside.contains(outer) && lines[*outer].0 == Of::Both {
                    let _ = writeln!(out, "  {}", lines[*outer].1);
                }
            }
            inside = around;
            let end = lines[at..].iter().position(|(of, _)| *of == Of::Both);
            let end = end.map_or(lines.len(), |length| at + length);
            self.write(&mut out, &lines[at..end]);
            at = end;
        }
        out
    }

    /// Writes lines that differ.
    fn write(&mut self, out: &mut String, lines: &[(Of, &str)]) {
        let least = lines.iter().map(|(_, line)| indentation(line)).min().unwrap_or(0);
        let sign = |of: Of| if of == Of::First { '-' } else { '+' };
        let bare: Vec<String> = lines
            .iter()
            .map(|(of, line)| format!("{} {}", sign(*of), &line[least..]))
            .collect();
        if lines.len() >= REPEATED && !self.shown.insert(bare) {
            let blanks = " ".repeat(least);
            let _ = writeln!(out, "~ {blanks}as above, {} lines", lines.len());
            return;
        }
        for (of, line) in lines {
            let _ = writeln!(out, "{} {line}", sign(*of));
        }
    }
}

/// How many lines differ.
pub(crate) fn distance(first: &str, second: &str) -> usize {
    merged(first, second)
        .iter()
        .filter(|(of, _)| *of != Of::Both)
        .count()
}

/// The lines that a line is inside of, outermost first.
fn around(lines: &[(Of, &str)], at: usize) -> Vec<usize> {
    let own = lines[at].0;
    let mut indent = indentation(lines[at].1);
    let mut found = Vec::new();
    for (before, (of, line)) in lines[..at].iter().enumerate().rev() {
        let seen = *of == Of::Both || *of == own;
        if seen && !line.is_empty() && indentation(line) < indent {
            indent = indentation(line);
            found.push(before);
        }
    }
    found.reverse();
    found
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Both texts as one list of lines with as many common ones as there can be.
fn merged<'a>(first: &'a str, second: &'a str) -> Vec<(Of, &'a str)> {
    let (a, b): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let most = a.len().min(b.len()) - head;
    let tail = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(most)
        .take_while(|(x, y)| x == y)
        .count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    // `common[i][j]`: how many lines `x[i..]` and `y[j..]` can have in common.
    let mut common = vec![vec![0_u32; y.len() + 1]; x.len() + 1];
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            common[i][j] = match x[i] == y[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let mut lines: Vec<(Of, &str)> = a[..head].iter().map(|line| (Of::Both, *line)).collect();
    let (mut i, mut j) = (0, 0);
    while i < x.len() || j < y.len() {
        if i < x.len() && j < y.len() && x[i] == y[j] {
            lines.push((Of::Both, x[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == y.len() || (i < x.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push((Of::First, x[i]));
            i += 1;
        } else {
            lines.push((Of::Second, y[j]));
            j += 1;
        }
    }
    lines.extend(a[a.len() - tail..].iter().map(|line| (Of::Both, *line)));
    lines
}

#[test]
fn only_what_differs_is_shown_and_where_it_is() {
    let first = "A {\n b: 1,\n c: C {\n  d: 2,\n },\n e: 3,\n}\n";
    let second = "A {\n b: 1,\n c: C {\n  d: 4,\n  f: 5,\n },\n}\n";
    let shown = "  A {\n   c: C {\n-   d: 2,\n+   d: 4,\n+   f: 5,\n-  e: 3,\n";
    let mut differences = Differences::default();
    assert_eq!(differences.between(first, second), shown);
    assert_eq!(differences.between(first, second), shown);
    assert_eq!(differences.between(first, first), "");
    assert_eq!(differences.between("", "a\n b\n"), "+ a\n+  b\n");
    assert_eq!(distance(first, second), 4);
}

#[test]
fn what_is_long_is_shown_once() {
    let mut differences = Differences::default();
    let long = "A {\n1\n2\n3\n4\n5\n}";
    assert_eq!(differences.between("A {\n}", long), "+ 1\n+ 2\n+ 3\n+ 4\n+ 5\n");
    assert_eq!(differences.between("A {\n}", long), "~ as above, 5 lines\n");
}
