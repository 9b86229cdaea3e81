//! Text to tokens, one at a time.

use serde_json::Number;

use super::{Fault, strings};

/// How much of a word an error message quotes, in characters.
const QUOTED: usize = 40;

#[derive(Debug)]
pub(super) enum Kind<'a> {
    /// A bare word: a key, a label, `true`, `false` or `null`.
    Word(&'a str),
    /// A quoted string, with its escapes resolved.
    Text(String),
    Heredoc(String),
    Number(Number),
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Equals,
    Colon,
    Comma,
    End,
}

impl Kind<'_> {
    /// Says what was found, for error messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("the word {}", shorten(word)),
            Self::Text(text) => format!("the string {:?}", shorten(text)),
            Self::Heredoc(_) => "a heredoc".to_owned(),
            Self::Number(number) => format!("the number {number}"),
            Self::OpenBrace => "'{'".to_owned(),
            Self::CloseBrace => "'}'".to_owned(),
            Self::OpenBracket => "'['".to_owned(),
            Self::CloseBracket => "']'".to_owned(),
            Self::Equals => "'='".to_owned(),
            Self::Colon => "':'".to_owned(),
            Self::Comma => "','".to_owned(),
            Self::End => "the end of the text".to_owned(),
        }
    }
}

/// Cuts a text for an error message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Byte offset of its first character.
    pub(super) at: usize,
    /// Whether a new line stands between the token before and this one.
    pub(super) starts_line: bool,
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns the next token; at the end [`Kind::End`], as often as asked.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Fault> {
        let from = self.at;
        self.skip_blank()?;
        let starts_line = self.text[from..self.at].contains('\n');
        let at = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token {
                kind: Kind::End,
                at,
                starts_line,
            });
        };
        let mark = match first {
            '{' => Some(Kind::OpenBrace),
            '}' => Some(Kind::CloseBrace),
            '[' => Some(Kind::OpenBracket),
            ']' => Some(Kind::CloseBracket),
            '=' => Some(Kind::Equals),
            ':' => Some(Kind::Colon),
            ',' => Some(Kind::Comma),
            _ => None,
        };
        let (kind, length) = if let Some(kind) = mark {
            (kind, 1)
        } else if first == '"' {
            let (text, length) = strings::quoted(rest, at)?;
            (Kind::Text(text), length)
        } else if rest.starts_with("<<") {
            let (text, length) = strings::heredoc(rest, at)?;
            (Kind::Heredoc(text), length)
        } else if first.is_ascii_digit() || first == '-' {
            let word = word_at(rest);
            (Kind::Number(number(word, at)?), word.len())
        } else if first.is_alphabetic() || first == '_' {
            let word = word_at(rest);
            (Kind::Word(word), word.len())
        } else {
            return Err(Fault::new(at, unexpected(first)));
        };
        self.at += length;
        Ok(Token {
            kind,
            at,
            starts_line,
        })
    }

    fn skip_blank(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(inside) = rest.strip_prefix("/*") {
                let Some(end) = inside.find("*/") else {
                    return Err(Fault::new(self.at, "comment is not closed, expected '*/'"));
                };
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }
}

/// Returns the longest run of characters of words and numbers; `+` only within an exponent.
fn word_at(rest: &str) -> &str {
    let is_number = rest.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let mut before = ' ';
    let end = rest.find(|c: char| {
        let exponent = is_number && c == '+' && matches!(before, 'e' | 'E');
        before = c;
        !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.') || exponent)
    });
    &rest[..end.unwrap_or(rest.len())]
}

fn number(word: &str, at: usize) -> Result<Number, Fault> {
    let bad = |why: &str| Fault::new(at, format!("found {}, {why}", shorten(word)));
    let digits = word.strip_prefix('-').unwrap_or(word);
    let (whole, rest) = digits.split_at(run_of_digits(digits));
    let mut tail = rest;
    if let Some(after) = tail.strip_prefix('.') {
        let length = run_of_digits(after);
        tail = if length == 0 { tail } else { &after[length..] };
    }
    if let Some(after) = tail.strip_prefix(['e', 'E']) {
        let after_sign = after.strip_prefix(['+', '-']).unwrap_or(after);
        let length = run_of_digits(after_sign);
        tail = if length == 0 { tail } else { &after_sign[length..] };
    }
    if whole.is_empty() || !tail.is_empty() {
        return Err(bad("expected a number: put other text in double quotes"));
    }
    if whole.len() > 1 && whole.starts_with('0') {
        // HCL 1 reads it as octal, HCL 2 as decimal.
        return Err(bad(
            "expected a number without leading zeros: put a file mode in double quotes",
        ));
    }
    if rest.is_empty() {
        return word
            .parse::<u64>()
            .map(Number::from)
            .or_else(|_| word.parse::<i64>().map(Number::from))
            .map_err(|_| bad("expected an integer of at most 64 bits"));
    }
    word.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .ok_or_else(|| bad("expected a number that fits a double"))
}

fn run_of_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn unexpected(found: char) -> String {
    match found {
        '\'' => "found a single quote, expected text in double quotes".to_owned(),
        '<' => "found '<', expected a heredoc such as <<EOF".to_owned(),
        '\u{201c}' | '\u{201d}' => "found a typographic quote, expected a plain double quote".to_owned(),
        other => format!("found {other:?}, expected a key or a value"),
    }
}
