//! Quoted strings and heredocs.

use super::Fault;
use super::lexer::shorten;

/// Reads the quoted string that `rest` begins with, `at` bytes into the document. Returns its content and
/// its length in the text.
pub(super) fn quoted(rest: &str, at: usize) -> Result<(String, usize), Fault> {
    let mut content = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((content, offset + 1)),
            '\n' => break,
            '\\' => {
                let (resolved, length) = escape(&rest[offset + 1..], at + offset)?;
                content.push(resolved);
                // All characters of an escape but an unknown first one are ASCII, and that is an error.
                for _ in 0..length {
                    chars.next();
                }
            }
            other => content.push(other),
        }
    }
    Err(Fault::new(
        at,
        "string is not closed on its line, expected '\"'; use a heredoc for several lines",
    ))
}

/// Reads what follows a backslash. Returns the character and how many characters stood for it.
fn escape(rest: &str, at: usize) -> Result<(char, usize), Fault> {
    let simple = match rest.chars().next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('"') => '"',
        Some('\\') => '\\',
        Some('a') => '\u{07}',
        Some('b') => '\u{08}',
        Some('f') => '\u{0c}',
        Some('v') => '\u{0b}',
        Some('x') => return code_point(rest, 2, at),
        Some('u') => return code_point(rest, 4, at),
        Some('U') => return code_point(rest, 8, at),
        Some(other) => {
            let message = format!(
                "found the escape \\{}, expected one of n r t \" \\ a b f v x u U",
                other.escape_default()
            );
            return Err(Fault::new(at, message));
        }
        None => {
            return Err(Fault::new(
                at,
                "found the end of the text after a backslash, expected an escape",
            ));
        }
    };
    Ok((simple, 1))
}

fn code_point(rest: &str, digits: usize, at: usize) -> Result<(char, usize), Fault> {
    rest.get(1..=digits)
        .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .and_then(char::from_u32)
        .map(|c| (c, digits + 1))
        .ok_or_else(|| {
            let kind = &rest[..1];
            Fault::new(
                at,
                format!("escape \\{kind} expects {digits} hexadecimal digits of a Unicode character"),
            )
        })
}

/// Reads the heredoc that `rest` begins with: `<<WORD` or `<<-WORD`, then lines up to one that holds only
/// WORD, indented or not. Nothing in between is an escape, and every line keeps its end.
///
/// With `<<-`, the closing word's indentation is taken from every line if all lines have it, as HCL 1
/// does; otherwise the text stays as it is.
pub(super) fn heredoc(rest: &str, at: usize) -> Result<(String, usize), Fault> {
    let (first, _) = rest.split_once('\n').unwrap_or((rest, ""));
    let head = first[2..].trim_end();
    let (indented, word) = match head.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, head),
    };
    if word.is_empty()
        || !word
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        let found = shorten(word);
        return Err(Fault::new(
            at,
            format!("found {found:?} after '<<', expected a word that ends the heredoc"),
        ));
    }
    let start = (first.len() + 1).min(rest.len());
    let mut end = start;
    for line in rest[start..].split_inclusive('\n') {
        if line.trim() == word {
            let body = &rest[start..end];
            let margin = &line[..line.len() - line.trim_start().len()];
            let content = if indented {
                unindent(body, margin)
            } else {
                body.to_owned()
            };
            return Ok((content, end + line.trim_end().len()));
        }
        end += line.len();
    }
    let word = shorten(word);
    Err(Fault::new(
        at,
        format!("heredoc is not closed, expected a line that holds only {word}"),
    ))
}

fn unindent(body: &str, margin: &str) -> String {
    let stripped: Option<String> = body
        .split_inclusive('\n')
        .map(|line| {
            if line.trim().is_empty() {
                Some(line.strip_prefix(margin).unwrap_or(line))
            } else {
                line.strip_prefix(margin)
            }
        })
        .collect();
    stripped.unwrap_or_else(|| body.to_owned())
}
