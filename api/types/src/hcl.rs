//! Reads the configuration language that Consul's users write, to JSON values.
//!
//! It is the data-only part that HCL 1 and HCL 2 have in common, read tolerantly: attributes
//! (`port = 1`), blocks (`ports { http = 1 }`), labelled blocks (`service "web" { }`), lists, objects,
//! strings, heredocs, numbers, booleans, null and comments. There are no expressions: `${...}`, `%{...}`
//! and `%REQ(X)%` inside a string are text like any other, and a quote inside them must be escaped.
//! Between members of an object a comma or a new line may stand, or nothing.
//!
//! What becomes of blocks:
//!
//! - A block given once is an object; given again, the objects become an array in the order written. So
//!   `a { }` is `{"a": {}}` and `a { } a { }` is `{"a": [{}, {}]}`. Whoever reads the value must take
//!   either where the schema says list.
//! - Labels are keys of nested objects: `service "web" { }` is `{"service": {"web": {}}}`, and another
//!   label adds a key beside it. The rule above then holds for blocks with the same labels.
//! - Within one object a key given by an attribute is given once. A second attribute, an attribute beside
//!   a block, or blocks with different numbers of labels under one key, are errors: silently keeping one
//!   of them could drop a policy.
//!
//! Keys keep their case; a text that begins with `{` is read as JSON, with repeated keys refused too.

mod json;
mod lexer;
mod parser;
mod strings;

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// The longest text that is read, in bytes. A hand-written configuration is far below it.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The deepest nesting of a document, in levels: the document is one, each object, list and label is one,
/// and a block is two because it may become an element of an array. It is what serde_json reads back.
pub const MAX_DEPTH: usize = 127;

/// Where and why a text could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct HclError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1; in JSON documents as serde_json counts, in bytes.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

/// Returns the document as a JSON object.
///
/// # Errors
///
/// When the text is longer than [`MAX_BYTES`], nested deeper than [`MAX_DEPTH`], not of the language, or
/// gives a key twice in a way that the module's rules refuse.
pub fn parse(text: &str) -> Result<Value, HclError> {
    if text.len() > MAX_BYTES {
        let message = format!("text has {} bytes, expected at most {MAX_BYTES}", text.len());
        return Err(HclError {
            line: 1,
            column: 1,
            message,
        });
    }
    // Editors on some systems begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return json::parse(text);
    }
    parser::parse(text).map_err(|fault| fault.locate(text))
}

/// An error that knows only its byte offset; lines are counted once, when it is reported.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
    /// Where the member stands that this one clashes with.
    earlier: Option<usize>,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            earlier: None,
        }
    }

    fn after(at: usize, message: impl Into<String>, earlier: usize) -> Self {
        Self {
            at,
            message: message.into(),
            earlier: Some(earlier),
        }
    }

    fn locate(self, text: &str) -> HclError {
        let (line, column) = position(text, self.at);
        let message = match self.earlier {
            Some(at) => format!("{}, first on line {}", self.message, position(text, at).0),
            None => self.message,
        };
        HclError {
            line,
            column,
            message,
        }
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
