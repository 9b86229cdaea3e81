//! Regular expressions that mean the same here and in Envoy.
//!
//! Envoy uses RE2. The `regex` crate is of the same family, but accepts some things that RE2 refuses or reads in
//! another way; one of those in a resource would make a proxy refuse all of it. So an expression is taken only when
//! it is made of what both know (RE2 syntax, <https://github.com/google/re2/wiki/Syntax>).

use crate::Invalid;
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassSet, ClassSetItem, ClassUnicodeKind, Flag, Flags, FlagsItemKind, GroupKind,
    HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, SpecialLiteralKind,
};
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest expression, in bytes.
pub const MAX_BYTES: usize = 1024;
/// Most repetitions of one part, nested ones multiplied (RE2's own bound).
pub const MAX_REPEAT: u32 = 1000;
/// Deepest nesting of groups, classes and repetitions.
const MAX_DEPTH: u32 = 50;
/// Largest compiled expression, in bytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// An expression that has to match the whole of a text. Compared by its text.
#[derive(Clone)]
pub struct Regular {
    text: String,
    whole: Regex,
}

impl Regular {
    /// Reads an expression; the error has an empty path and says what Envoy would not take.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let refuse = |problem: String| Invalid::new("", problem);
        if text.is_empty() {
            return Err(refuse("must not be empty".to_owned()));
        }
        if text.len() > MAX_BYTES {
            return Err(refuse(format!(
                "is {} bytes long, at most {MAX_BYTES} are allowed",
                text.len()
            )));
        }
        let ast = ParserBuilder::new()
            .nest_limit(MAX_DEPTH)
            .build()
            .parse(text)
            .map_err(|error| refuse(format!("is not a regular expression: {}", error.kind())))?;
        common(&ast, 1).map_err(refuse)?;
        let whole = RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|_| refuse("is not a regular expression that can be compiled".to_owned()))?;
        Ok(Regular {
            text: text.to_owned(),
            whole,
        })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches all of `value`, as Envoy asks.
    pub fn matches(&self, value: &str) -> bool {
        self.whole.is_match(value)
    }
}

impl PartialEq for Regular {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Regular {}

impl Hash for Regular {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Regular {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Regular {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Debug for Regular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for Regular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Refuses what RE2 does not know. `around` is how often what surrounds `ast` is repeated.
fn common(ast: &Ast, around: u32) -> Result<(), String> {
    match ast {
        Ast::Empty(_) | Ast::Dot(_) | Ast::ClassPerl(_) => Ok(()),
        Ast::Flags(set) => flags(&set.flags),
        Ast::Literal(one) => literal(one),
        Ast::Assertion(assertion) => match assertion.kind {
            AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText
            | AssertionKind::WordBoundary
            | AssertionKind::NotWordBoundary => Ok(()),
            _ => Err("uses a word boundary that Envoy does not know, use \\b".to_owned()),
        },
        Ast::ClassUnicode(class) => unicode(&class.kind),
        Ast::ClassBracketed(class) => match &class.kind {
            ClassSet::Item(one) => item(one),
            ClassSet::BinaryOp(_) => Err("combines character classes, which Envoy does not know".to_owned()),
        },
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(times) | RepetitionRange::AtLeast(times)) => {
                    *times
                }
                RepetitionKind::Range(RepetitionRange::Bounded(_, times)) => *times,
                _ => 1,
            };
            let around = around.saturating_mul(times.max(1));
            if around > MAX_REPEAT {
                return Err(format!("repeats a part more than {MAX_REPEAT} times"));
            }
            // RE2 takes `**` for a mistake; here it would be a repetition of a repetition.
            if matches!(&*repetition.ast, Ast::Repetition(_)) {
                return Err("repeats a repetition, put the inner one in parentheses".to_owned());
            }
            common(&repetition.ast, around)
        }
        Ast::Group(group) => {
            match &group.kind {
                GroupKind::CaptureIndex(_) => {}
                GroupKind::CaptureName { starts_with_p, name } => {
                    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                    if !starts_with_p || !name.name.bytes().all(plain) {
                        return Err("names a group, write (?P<name>...) with letters and digits".to_owned());
                    }
                }
                GroupKind::NonCapturing(set) => flags(set)?,
            }
            common(&group.ast, around)
        }
        Ast::Alternation(alternation) => alternation.asts.iter().try_for_each(|ast| common(ast, around)),
        Ast::Concat(concat) => concat.asts.iter().try_for_each(|ast| common(ast, around)),
    }
}

fn flags(set: &Flags) -> Result<(), String> {
    let known = set.items.iter().all(|item| match &item.kind {
        FlagsItemKind::Negation => true,
        FlagsItemKind::Flag(flag) => matches!(
            flag,
            Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed
        ),
    });
    if known {
        Ok(())
    } else {
        Err("sets a flag that Envoy does not know, i, m, s and U are there".to_owned())
    }
}

fn literal(literal: &Literal) -> Result<(), String> {
    let known = match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Octal => true,
        LiteralKind::Superfluous => literal.c.is_ascii_punctuation(),
        LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) => matches!(kind, HexLiteralKind::X),
        LiteralKind::Special(kind) => !matches!(kind, SpecialLiteralKind::Space),
    };
    if known {
        Ok(())
    } else {
        Err(format!(
            "escapes {:?} in a way that Envoy does not know",
            literal.c
        ))
    }
}

fn unicode(kind: &ClassUnicodeKind) -> Result<(), String> {
    match kind {
        ClassUnicodeKind::OneLetter(_) => Ok(()),
        ClassUnicodeKind::Named(name) if is_common_class(name) => Ok(()),
        _ => Err("uses a class of characters that Envoy does not know".to_owned()),
    }
}

/// General categories by their two letters, and scripts in RE2's spelling.
fn is_common_class(name: &str) -> bool {
    const SCRIPTS: [&str; 8] = [
        "Arabic", "Armenian", "Cyrillic", "Greek", "Han", "Hebrew", "Latin", "Thai",
    ];
    const CATEGORIES: [&str; 29] = [
        "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No", "Pc", "Pd",
        "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
    ];
    SCRIPTS.contains(&name) || CATEGORIES.contains(&name)
}

fn item(one: &ClassSetItem) -> Result<(), String> {
    match one {
        ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) => Ok(()),
        ClassSetItem::Literal(one) => literal(one),
        ClassSetItem::Range(range) => literal(&range.start).and_then(|()| literal(&range.end)),
        ClassSetItem::Unicode(class) => unicode(&class.kind),
        ClassSetItem::Bracketed(_) => {
            Err("has a character class inside another, which Envoy does not know".to_owned())
        }
        ClassSetItem::Union(union) => union.items.iter().try_for_each(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_has_to_match() {
        let expression = Regular::new("/v[0-9]+/.*|/x").unwrap();
        assert!(expression.matches("/v1/a") && expression.matches("/x"));
        assert!(!expression.matches("/x/y") && !expression.matches("a/v1/a"));
        assert_eq!(expression.as_str(), "/v[0-9]+/.*|/x");
    }

    #[test]
    fn what_both_know_is_taken() {
        for good in [
            "a",
            "(?i)abc",
            r"\d+\.\w*",
            r"[[:alpha:]_-]{1,63}",
            r"\p{Greek}",
            r"\pN",
            r"(?P<n>a)",
            r"\bx\b",
            "a{1000}",
            "(a|b)*?",
            r"\x41\x{42}",
            "(?s:.)",
            r"\-",
        ] {
            assert!(Regular::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_envoy_does_not_know_is_refused() {
        for (bad, why) in [
            ("", "must not be empty"),
            ("(", "is not a regular expression"),
            ("a(?=b)", "is not a regular expression"),
            (r"(a)\1", "is not a regular expression"),
            ("[a-z&&[^x]]", "combines character classes"),
            ("[a[b]]", "a character class inside another"),
            ("(?x) a b", "sets a flag"),
            ("(?<n>a)", "names a group"),
            (r"\b{start}a", "word boundary"),
            (r"\u0041", "escapes 'A'"),
            (r"\p{scx=Greek}", "class of characters"),
            ("a**", "repeats a repetition"),
            ("a{1001}", "more than 1000 times"),
            ("(a{100}){11}", "more than 1000 times"),
            (&"a".repeat(MAX_BYTES + 1), "at most 1024"),
            (&"(".repeat(100), "is not a regular expression"),
        ] {
            let error = Regular::new(bad).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
