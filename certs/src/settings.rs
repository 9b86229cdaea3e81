//! What an operator may set.

use peerway_model::Invalid;
use std::time::Duration;

/// How long a leaf lives unless said otherwise: 72 hours (xDS facts, section 5).
pub const DEFAULT_LEAF_TTL: Duration = Duration::from_secs(72 * 3600);
/// The shortest life of a leaf: 1 hour (xDS facts, section 5); below, renewals would crowd out other work.
pub const MIN_LEAF_TTL: Duration = Duration::from_secs(3600);
/// The longest life of a leaf: 365 days; there is no revocation, so a leaf must run out by itself.
pub const MAX_LEAF_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

/// Valid settings of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    leaf_ttl: Duration,
}

impl Settings {
    /// Settings with leaves of this life; parts of a second are dropped, as certificates have none.
    ///
    /// # Errors
    /// When it is outside [`MIN_LEAF_TTL`] to [`MAX_LEAF_TTL`]; the path is `leaf_ttl`.
    pub fn new(leaf_ttl: Duration) -> Result<Self, Invalid> {
        if leaf_ttl < MIN_LEAF_TTL || leaf_ttl > MAX_LEAF_TTL {
            let problem = format!("is {} s, use 1 hour to 365 days", leaf_ttl.as_secs());
            return Err(Invalid::new("leaf_ttl", problem));
        }
        Ok(Settings {
            leaf_ttl: Duration::from_secs(leaf_ttl.as_secs()),
        })
    }

    /// How long a leaf lives, counted from the moment it is issued.
    pub fn leaf_ttl(&self) -> Duration {
        self.leaf_ttl
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            leaf_ttl: DEFAULT_LEAF_TTL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_leaf_has_both_bounds() {
        assert_eq!(Settings::new(MIN_LEAF_TTL).unwrap().leaf_ttl(), MIN_LEAF_TTL);
        assert_eq!(Settings::new(MAX_LEAF_TTL).unwrap().leaf_ttl(), MAX_LEAF_TTL);
        for bad in [Duration::ZERO, Duration::from_secs(3599), Duration::MAX] {
            let error = Settings::new(bad).unwrap_err();
            assert_eq!(error.path, "leaf_ttl");
            assert!(error.problem.contains("1 hour to 365 days"), "{error}");
        }
    }
}
