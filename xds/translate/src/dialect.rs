//! Which Envoys are spoken to.

use std::fmt;

/// The oldest Envoy that is served, as (major, minor).
pub const OLDEST: (u32, u32) = (1, 36);

/// What has to be known of an Envoy to talk to it: a class of versions, never a single proxy. Few values on
/// purpose, because each is encoded for separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Envoy 1.36: connects to the application before policy has decided.
    From1_36,
    /// Envoy 1.37 and later: can wait with that (`TcpProxy.upstream_connect_mode`).
    From1_37,
}

impl Dialect {
    /// The dialect of an Envoy of this version. Versions newer than those tested (1.40) get the newest dialect.
    ///
    /// # Errors
    /// The version is older than [`OLDEST`].
    pub fn of(major: u32, minor: u32) -> Result<Self, TooOld> {
        if (major, minor) < OLDEST {
            Err(TooOld { major, minor })
        } else if (major, minor) < (1, 37) {
            Ok(Dialect::From1_36)
        } else {
            Ok(Dialect::From1_37)
        }
    }
}

/// An Envoy that is too old to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// Its major version.
    pub major: u32,
    /// Its minor version.
    pub minor: u32,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooOld { major, minor } = self;
        write!(
            f,
            "envoy {major}.{minor} is too old, run {}.{} or later",
            OLDEST.0, OLDEST.1
        )
    }
}

impl std::error::Error for TooOld {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_envoys_are_told_what_to_do() {
        assert_eq!(Dialect::of(1, 36), Ok(Dialect::From1_36));
        for (major, minor) in [(1, 37), (1, 40), (1, 99), (2, 0)] {
            assert_eq!(Dialect::of(major, minor), Ok(Dialect::From1_37));
        }
        for (major, minor) in [(0, 0), (1, 0), (1, 35)] {
            assert!(Dialect::of(major, minor).is_err());
        }
        assert_eq!(
            Dialect::of(1, 35).unwrap_err().to_string(),
            "envoy 1.35 is too old, run 1.36 or later"
        );
    }
}
