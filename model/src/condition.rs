//! What has become of a config entry: the conditions that Consul's clients read in its `Status`.

use crate::ConfigKey;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionKind {
    /// Whether the entry makes sense with what else is there.
    Accepted,
    /// Whether a route has a place on a parent.
    Bound,
    /// Whether more routes than one ask for what only one can have; the one kind that is well when it does not hold.
    Conflicted,
    /// Whether what the entry names is there.
    ResolvedRefs,
}

impl ConditionKind {
    /// Consul's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionKind::Accepted => "Accepted",
            ConditionKind::Bound => "Bound",
            ConditionKind::Conflicted => "Conflicted",
            ConditionKind::ResolvedRefs => "ResolvedRefs",
        }
    }
}

/// An entry, or a listener of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// The entry; it need not be there.
    pub entry: ConfigKey,
    /// The name of a listener.
    pub section: Option<String>,
}

/// One of the things that are to be said about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: ConditionKind,
    /// Whether it holds.
    pub holds: bool,
    /// Why, as one of Consul's words, or of the Gateway API of Kubernetes where Consul has none.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
    /// The listener of a gateway or the parent of a route that it is about; `None` for the entry as a whole.
    pub part: Option<Part>,
}

impl Condition {
    /// Whether nothing is wrong there.
    pub fn is_well(&self) -> bool {
        self.holds != (self.kind == ConditionKind::Conflicted)
    }
}
