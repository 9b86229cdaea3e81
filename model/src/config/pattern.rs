//! A name, or any name.

use std::fmt;

/// Either one exact value or all of them, written `*`. There are no partial wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern<T> {
    /// Only this one.
    Exact(T),
    /// All.
    Any,
}

impl<T: PartialEq> Pattern<T> {
    /// Whether `value` is meant.
    pub fn matches(&self, value: &T) -> bool {
        match self {
            Pattern::Exact(own) => own == value,
            Pattern::Any => true,
        }
    }

    /// Whether everything that `other` matches is matched by this one too.
    pub fn contains(&self, other: &Pattern<T>) -> bool {
        match (self, other) {
            (Pattern::Any, _) => true,
            (Pattern::Exact(own), Pattern::Exact(other)) => own == other,
            (Pattern::Exact(_), Pattern::Any) => false,
        }
    }

    /// Whether some value is matched by both.
    pub fn overlaps(&self, other: &Pattern<T>) -> bool {
        match (self, other) {
            (Pattern::Exact(own), Pattern::Exact(other)) => own == other,
            _ => true,
        }
    }

    /// Whether this is `*`.
    pub fn is_any(&self) -> bool {
        matches!(self, Pattern::Any)
    }

    /// The value, unless this is `*`.
    pub fn exact(&self) -> Option<&T> {
        match self {
            Pattern::Exact(value) => Some(value),
            Pattern::Any => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Pattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(value) => value.fmt(f),
            Pattern::Any => f.write_str("*"),
        }
    }
}
