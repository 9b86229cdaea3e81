//! Just enough Rust lexing to tell code, comments and literals apart.

use std::iter::Peekable;
use std::str::CharIndices;

/// A source file taken apart.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// The file with comments and the insides of string and character literals blanked; lines stay where they are.
    pub(crate) code: String,
    /// Every string literal: its line, counted from 1, and its text with escapes as written.
    pub(crate) strings: Vec<(usize, String)>,
}

type Chars<'a> = Peekable<CharIndices<'a>>;

/// Takes a file apart. A file that does not compile gives some result, never a panic.
pub(crate) fn scan(source: &str) -> Scanned {
    let mut out = Scanned::default();
    let mut line = 1;
    let mut chars: Chars<'_> = source.char_indices().peekable();
    while let Some((at, character)) = chars.next() {
        let rest = &source[at..];
        let skipped = match character {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '\'' => char_literal(rest),
            'r' | '"' => match string(rest) {
                Some((opening, text)) => {
                    out.strings.push((line, text.to_owned()));
                    // The closing quote and hashes are as long as the opening ones without the `r`.
                    opening + text.len() + opening - usize::from(character == 'r')
                }
                None => 0,
            },
            _ => 0,
        };
        if skipped == 0 {
            out.code.push(character);
            line += usize::from(character == '\n');
            continue;
        }
        let end = at + skipped.min(rest.len());
        out.code.push_str(if character == '"' || character == 'r' {
            "\"\""
        } else {
            " "
        });
        let newlines = source[at..end].matches('\n').count();
        out.code.extend(std::iter::repeat_n('\n', newlines));
        line += newlines;
        while chars.next_if(|(next, _)| *next < end).is_some() {}
    }
    out
}

/// The length of the block comment that `rest` starts with; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the character literal that `rest` starts with, or 0 when the quote begins a lifetime.
fn char_literal(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            chars.next();
            chars
                .find(|(_, character)| *character == '\'')
                .map_or(rest.len(), |(end, _)| end + 1)
        }
        Some(_) => match chars.next() {
            Some((end, '\'')) => end + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// The string literal that `rest` starts with: the length of its opening and its text.
fn string(rest: &str) -> Option<(usize, &str)> {
    if let Some(raw) = rest.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let text = raw[hashes..].strip_prefix('"')?;
        let closing = format!("\"{}", "#".repeat(hashes));
        return Some((hashes + 2, &text[..text.find(&closing)?]));
    }
    let text = rest.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })?;
    Some((1, &text[..end]))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn strings(source: &str) -> Vec<(usize, String)> {
        scan(source).strings
    }

    #[test]
    fn strings_are_found_with_their_line() {
        let source = "let a = \"one\";\nlet b = r#\"t\"w\no\"#; b\"three\" r\"four\" \"fi\\\"ve\\\\\"";
        let found = strings(source);
        let wanted = [
            (1, "one"),
            (2, "t\"w\no"),
            (3, "three"),
            (3, "four"),
            (3, "fi\\\"ve\\\\"),
        ];
        assert_eq!(found, wanted.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn comments_and_characters_hide_quotes() {
        let source = "// \"no\"\n/* \"no\" /* nested */ \"no\" */ '\"' '\\'' '\\u{22}' <'a> \"yes\" r#type";
        assert_eq!(strings(source), [(2, "yes".to_owned())]);
    }

    #[test]
    fn the_code_keeps_its_lines_and_loses_the_rest() {
        let scanned = scan("a /* x\ny */ b // c\nd(\"todo\") \"e\nf\" g");
        assert!(
            !scanned.code.contains("todo") && !scanned.code.contains('c'),
            "{:?}",
            scanned.code
        );
        let lines: Vec<&str> = scanned.code.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[1].contains('b') && lines[2].contains("d(\"\")") && lines[3].contains('g'),
            "{lines:?}"
        );
    }

    #[test]
    fn what_never_ends_does_not_panic() {
        for source in ["\"", "r#\"", "/* /*", "'", "'\\", "'\\'", "é'é", "r###", "\"é\\"] {
            scan(source);
        }
    }
}
