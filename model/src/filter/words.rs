//! A filter as words.

/// A word with the byte at which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits and what else may stand in a field or a bare value.
    Bare(String),
    /// What stood in quotes.
    Quoted(String),
    Open,
    Close,
    Equal,
    Unequal,
    /// `["key"]` behind a field.
    Index(String),
}

/// The words of `text`; the error says at which byte something is wrong.
pub(super) fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return Ok(words);
        };
        let (kind, length) = match first {
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '"' | '`' => {
                let (value, length) = quoted(rest, first).ok_or_else(|| unfinished(at))?;
                (Kind::Quoted(value), length)
            }
            '[' => index(rest).ok_or_else(|| format!("at byte {at}: expected [\"key\"]"))?,
            '=' if rest.starts_with("==") => (Kind::Equal, 2),
            '!' if rest.starts_with("!=") => (Kind::Unequal, 2),
            c if is_bare(c) => {
                let length = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
                (Kind::Bare(rest[..length].to_owned()), length)
            }
            other => return Err(format!("at byte {at}: {other:?} has no meaning here")),
        };
        words.push(Word { at, kind });
        rest = &rest[length..];
    }
}

fn unfinished(at: usize) -> String {
    format!("at byte {at}: the quotes are not closed")
}

fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':')
}

/// The text in quotes at the beginning of `rest`, and how many bytes it takes with its quotes. In `"` a backslash
/// keeps the next character as it is.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn index(rest: &str) -> Option<(Kind, usize)> {
    let inner = rest.get(1..)?;
    let first = inner.chars().next().filter(|c| matches!(c, '"' | '`'))?;
    let (key, length) = quoted(inner, first)?;
    inner[length..]
        .starts_with(']')
        .then_some((Kind::Index(key), length + 2))
}
