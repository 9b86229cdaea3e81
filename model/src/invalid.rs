//! One way to say that a value is wrong: which field, and what to do about it.

use std::fmt;

/// A refused value: the path of the field and the problem with its cure.
///
/// Displays as `Sources[2].Name: must not be empty`. The path uses Consul's field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Dotted path with indexes, `Services[0].Consumers[1].Peer`; empty when the value has no name.
    pub path: String,
    /// What is wrong and what would be right; lower case, no full stop.
    pub problem: String,
}

impl Invalid {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Invalid {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// The same problem seen from one level up: `outer` is put before the path.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => outer.to_owned(),
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

impl std::error::Error for Invalid {}
