//! `PrioritizeByLocality`: whether callers prefer instances that are near.

/// Whether callers prefer instances that are near, as a resolver says for its service and `proxy-defaults` for all
/// services of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByLocality {
    /// All are the same to them.
    Never,
    /// They go to those in their own zone; when none of these is well to those in their region, and then to all others.
    Failover,
}

impl ByLocality {
    /// All of them, in the order in which help texts list them.
    pub const ALL: [ByLocality; 2] = [ByLocality::Never, ByLocality::Failover];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            ByLocality::Never => "none",
            ByLocality::Failover => "failover",
        }
    }

    /// The value of this text, or `None` when there is none.
    pub fn parse(text: &str) -> Option<Self> {
        ByLocality::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}
