//! Why an operation that crosses rooms failed, in the terms that every caller needs.

use std::fmt;

/// The kind of a failure, which decides the answer's status code and whether retrying helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request is wrong and will stay wrong.
    Invalid,
    /// The request contradicts what exists.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// The other side, or a rule, refuses.
    Denied,
    /// Not now; retrying may help.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// A failure with a message for the operator: lower case, no full stop, what and which, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// For the operator.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
