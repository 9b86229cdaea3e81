//! Validated names. Each is an `Arc<str>`, cheap to clone and impossible to mix up.
//!
//! All names that end up in an SNI, a SPIFFE ID or an Envoy cluster name are single DNS labels: a dot or a
//! slash inside a name would make those strings ambiguous.

use crate::Invalid;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest name that becomes a DNS label (RFC 1035 section 2.3.4), in bytes.
pub const MAX_LABEL_BYTES: usize = 63;
/// Longest free-form identifier (node, instance or check), in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// The name that a partition, a namespace and several singleton entries have unless said otherwise.
pub const DEFAULT: &str = "default";

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Validates `text`; the error has an empty path and names the rule that was broken.
            pub fn new(text: &str) -> Result<Self, Invalid> {
                $check(text).map_err(|problem| Invalid::new("", problem))?;
                Ok(Self(Arc::from(text)))
            }

            /// A value before every valid one, for ranges over ordered maps. It is not a valid name itself.
            pub fn lowest() -> Self {
                Self(Arc::from(""))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! default_name {
    ($type:ident) => {
        impl Default for $type {
            fn default() -> Self {
                Self(Arc::from(DEFAULT))
            }
        }

        impl $type {
            /// Whether this is the `default` one, which some strings leave out.
            pub fn is_default(&self) -> bool {
                self.as_str() == DEFAULT
            }
        }
    };
}

name!(
    /// The name of a service: 1 to 63 of `A-Z a-z 0-9 - _`, beginning and ending with a letter or digit.
    ServiceName, label
);
name!(
    /// The local name of a peering: 1 to 63 of `a-z 0-9 -`, beginning and ending with a letter or digit
    /// (wire facts, section 9).
    PeerName, peer_label
);
name!(
    /// An admin partition of this cluster; `default` unless said otherwise.
    Partition, label
);
name!(
    /// A namespace inside a partition; `default` unless said otherwise.
    Namespace, label
);
name!(
    /// A datacenter: the name of a cluster in SPIFFE IDs and SNIs; 1 to 63 of `a-z 0-9 - _`.
    Datacenter, datacenter_label
);
name!(
    /// A subset of a service: a label, because it is part of an SNI.
    SubsetName, label
);
name!(
    /// A sameness group.
    GroupName, label
);
name!(
    /// Who signs tokens.
    ProviderName, label
);
name!(
    /// A node of the catalog; unique per origin and partition.
    NodeName, identifier
);
name!(
    /// The id of a service instance; unique per node.
    InstanceId, identifier
);
name!(
    /// The id of a check; unique per node.
    CheckId, identifier
);
default_name!(Partition);
default_name!(Namespace);

fn label(text: &str) -> Result<(), String> {
    bounded(text, MAX_LABEL_BYTES)?;
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !text.bytes().all(inner) || !framed(text) {
        return Err(format!(
            "{text:?} is not a valid name: use letters, digits, '-' and '_', beginning and ending with a letter or digit"
        ));
    }
    Ok(())
}

fn peer_label(text: &str) -> Result<(), String> {
    bounded(text, MAX_LABEL_BYTES)?;
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.bytes().all(inner) || !framed(text) {
        return Err(format!(
            "{text:?} is not a valid peer name: use lower-case letters, digits and '-', beginning and ending with a letter or digit"
        ));
    }
    Ok(())
}

fn datacenter_label(text: &str) -> Result<(), String> {
    bounded(text, MAX_LABEL_BYTES)?;
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !text.bytes().all(inner) || !framed(text) {
        return Err(format!(
            "{text:?} is not a valid datacenter: use lower-case letters, digits, '-' and '_'"
        ));
    }
    Ok(())
}

fn identifier(text: &str) -> Result<(), String> {
    bounded(text, MAX_ID_BYTES)?;
    if text.chars().any(|c| c.is_control() || c == '/') {
        return Err(format!(
            "{text:?} is not a valid id: control characters and '/' are not allowed"
        ));
    }
    Ok(())
}

fn bounded(text: &str, limit: usize) -> Result<(), String> {
    match text.len() {
        0 => Err("must not be empty".to_owned()),
        n if n > limit => Err(format!("is {n} bytes long, at most {limit} are allowed")),
        _ => Ok(()),
    }
}

fn framed(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(text.bytes().next()) && edge(text.bytes().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        for good in ["web", "web-1", "Web_2", "a", &"x".repeat(63)] {
            assert!(ServiceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-web", "web-", "a.b", "a/b", "a b", "ü", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
        assert!(PeerName::new("west-1").is_ok());
        for bad in ["West", "west_1", "-west", ""] {
            assert!(PeerName::new(bad).is_err(), "{bad}");
        }
        assert!(Datacenter::new("DC1").is_err());
        assert!(InstanceId::new("web.1:8080 a").is_ok());
        assert!(InstanceId::new("web/1").is_err());
        assert!(InstanceId::new("web\n").is_err());
    }

    #[test]
    fn an_error_says_what_and_how_to_cure() {
        let error = ServiceName::new("a.b").unwrap_err().to_string();
        assert!(
            error.contains("\"a.b\"") && error.contains("letters, digits"),
            "{error}"
        );
    }
}
